import { countOf } from '../base/numbers.ts';
import type { Config } from '../config/resolve.ts';
import { ProxyError } from '../errors.ts';
import type { StoreProbe } from '../shared/database/probe.ts';
import type { SharedStatus } from '../store/shared-side.ts';
import { size } from './numbers.ts';
import type { Finding } from './provider-check.ts';

/** A connection may take so long to be made, milliseconds. */
const connectMs = 5_000;
/** From so long a round trip on, turns are noticeably slower, milliseconds. */
const slowMs = 50;

/**
 * The database as it answers now. @throws ProxyError `store_away` that says why, and what to do
 */
export async function probeSharedStore({ store }: Config): Promise<StoreProbe> {
  const [{ probeStore }, { silentLogger }] = await Promise.all([
    import('../shared/database/probe.ts'),
    import('../log.ts'),
  ]);
  return probeStore(store.url!, { log: silentLogger(), connectMs, teamKey: store.key });
}

/** What there is to say of the database of a shared store; nothing where none is set. */
export async function databaseFindings(config: Config): Promise<readonly Finding[]> {
  if (config.store.url === undefined) return [];
  try {
    return probeFindings(await probeSharedStore(config));
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return [faultFinding(error)];
  }
}

/** Why a database cannot be used, and what to do. */
export function faultFinding({ message, parts }: ProxyError): Finding {
  return { level: 'fail', text: message, advice: parts.hint };
}

/** What a database has said of itself. */
export function probeFindings(probe: StoreProbe): readonly Finding[] {
  return [reached(probe), ...tablesOf(probe), ...encryptionOf(probe), ...standbyOf(probe)];
}

function reached({ store, serverVersion, roundTripMs, isReadOnly }: StoreProbe): Finding {
  const trip = `${roundTripMs < 10 ? roundTripMs.toFixed(1) : Math.round(roundTripMs)} ms`;
  const text = `shared store: ${store}, PostgreSQL ${serverVersion}, a round trip takes ${trip}`;
  if (isReadOnly) {
    return {
      level: 'fail',
      text: `${text}; it can only be read.`,
      advice: 'It is a standby: name the primary, or all hosts with commas, in RLM_STORE_URL.',
    };
  }
  if (roundTripMs < slowMs) return { level: 'ok', text };
  const advice = 'Each text that is stored waits for one: a nearer database makes turns faster.';
  return { level: 'note', text, advice };
}

function tablesOf({ tables, knownTables, hasRightKey }: StoreProbe): readonly Finding[] {
  if (tables === undefined) {
    const advice = 'Once, as the owner of the database: rlm-opencode store init';
    return [{ level: 'fail', text: 'shared store: it has no tables yet.', advice }];
  }
  if (tables > knownTables) {
    const text = `shared store: its tables are of version ${tables}, this program knows ${knownTables}.`;
    return [{ level: 'fail', text, advice: 'Install the newer version of rlm-opencode.' }];
  }
  if (hasRightKey === false) {
    const text = 'shared store: this machine has another team key than the store was made with.';
    return [{ level: 'fail', text, advice: 'Set RLM_STORE_KEY as the others have it.' }];
  }
  if (tables < knownTables) {
    const text = `shared store: its tables are of version ${tables}, this program knows ${knownTables}: limits of a day hold for each proxy by itself.`;
    const advice = 'Once, as the owner of the database: rlm-opencode store init';
    return [{ level: 'note', text, advice }];
  }
  return [];
}

function encryptionOf({ isEncrypted, store }: StoreProbe): readonly Finding[] {
  if (isEncrypted === undefined) return [];
  if (isEncrypted) return [{ level: 'ok', text: 'shared store: the connection is encrypted' }];
  return [{ level: 'ok', text: `shared store: ${store} is on this machine, not encrypted` }];
}

function standbyOf({ standby }: StoreProbe): readonly Finding[] {
  if (standby === undefined) return [];
  const { count, isSynchronous, waitsForDisk } = standby;
  const findings: Finding[] = [];
  if (!waitsForDisk) {
    findings.push({
      level: 'note',
      text: 'shared store: synchronous_commit is off: a crash of the database may lose the last acknowledged texts.',
      advice: 'alter role NAME set synchronous_commit = on;',
    });
  }
  if (isSynchronous) {
    findings.push({ level: 'ok', text: 'shared store: each text waits for a synchronous standby' });
  } else if (count > 0) {
    findings.push({
      level: 'note',
      text: `shared store: ${countOf(count, 'asynchronous standby', 'asynchronous standbys')}: one that takes over may lack texts that were acknowledged.`,
      advice: 'Set synchronous_standby_names, or live with it (docs/team.md).',
    });
  } else {
    findings.push({
      level: 'ok',
      text: 'shared store: no standby; what is in its backups is safe',
    });
  }
  return findings;
}

/** How far what is here is behind the database, and what waits for it. */
export function replicaFindings(status: SharedStatus): readonly Finding[] {
  const { stores, waiting, isAway, outages } = status;
  const here = stores.filter((store) => store.here !== undefined);
  const behind = here.reduce(
    (sum, { rows, here: at = 0 }) => sum + Math.max(0, (rows ?? at) - at),
    0,
  );
  const bytes = here.reduce((sum, { hereBytes = 0 }) => sum + hereBytes, 0);
  const findings: Finding[] = [];
  if (isAway) {
    const text = `shared store: away at present; ${countOf(outages, 'outage')} since the start`;
    findings.push({ level: 'note', text, advice: 'Chats go on; it is looked for all the time.' });
  }
  findings.push({
    level: 'ok',
    text: `shared store: ${here.length} of ${countOf(stores.length, 'project')} here, ${size(bytes)}, ${countOf(behind, 'row')} behind${behind > 0 ? ' (the next turn fetches them)' : ''}`,
  });
  if (waiting.rows > 0) {
    const wait = waiting.rows === 1 ? 'waits' : 'wait';
    findings.push({
      level: 'note',
      text: `shared store: ${countOf(waiting.rows, 'row')} (${size(waiting.bytes)}) ${wait} on this machine to be sent.`,
      advice: 'They are sent by themselves when the database can be reached.',
    });
  }
  return findings;
}
