import { statfsSync, statSync } from 'node:fs';
import { Command } from 'commander';
import { countOf } from '../base/numbers.ts';
import { unreadableReason } from '../base/system-words.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/resolve.ts';
import { shownSettings } from '../config/show.ts';
import { ProxyError } from '../errors.ts';
import { findConfigFile } from '../setup/config-file.ts';
import type { ClientSetup } from '../setup/client-setup.ts';
import { knownSetups } from '../setup/known-setups.ts';
import { mcpClientNames, mcpSetup } from '../setup/mcp-setups.ts';
import { readOwner } from '../store/disk/owner.ts';
import type { IndexCheck } from '../search/index/index-check.ts';
import type { SharedStatus } from '../store/shared-side.ts';
import type { CheckProgress, SessionHealth, Sessions } from '../store/types.ts';
import { size } from './numbers.ts';
import { clientFacts } from './client-facts.ts';
import { isAnswering, serverOf, withOperations } from './operations-client.ts';
import { ProgressLine } from './progress-line.ts';
import type { Finding } from './provider-check.ts';
import { writeFault } from './write-fault.ts';
import { exitCodes, finish } from './run.ts';
import { differencesOf, type KnownServer, knownServer } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { mcpCommand, noProxy, setupPlaces } from './setup.ts';
import { fetchHealth } from './status.ts';
import { print, printJson, proseFor } from './screen.ts';
import { shortPath } from './start-text.ts';
import { databaseFindings, replicaFindings } from './store-check.ts';

/**
 * `rlm-opencode doctor`: looks at everything that can be wrong around the proxy and says what to
 * do.
 */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description('look for what is wrong, and say what to do')
    .option('--offline', 'do not ask the providers')
    .option('--deep', 'compare every stored text and every row of the indexes with its checksum')
    .option('--json', 'JSON for machines');
  return addSettingFlags(command).action(doctor);
}

async function doctor(flags: { offline?: boolean; deep?: boolean; json?: boolean }): Promise<void> {
  const loaded = loadFromFlags({ ...flags });
  const { config } = loaded;
  const running = await knownServer(config);
  const findings = [
    nodeFinding(),
    ...configFindings(loaded, running),
    dataDirFinding(config),
    await serverFinding(config),
    ...(await sharedAndStoreFindings(flags, config)),
    ...(flags.offline === true ? [] : await providerFindings(config, running)),
    ...(await clientFindings(loaded, running)),
  ];
  if (findings.some(({ level }) => level === 'fail')) finish(exitCodes.nothing);
  if (flags.json === true) {
    printJson(findings, 2);
    return;
  }
  for (const { level, text, advice } of findings) {
    const said = advice === undefined ? text : `${text}\n${advice}`;
    const lines = proseFor(process.stdout, said, levelWidth).split('\n');
    print(`${level.padEnd(levelWidth)}${lines.join(`\n${' '.repeat(levelWidth)}`)}\n`);
  }
}

/** Cells in front of what was found. */
const levelWidth = 6;

function nodeFinding(): Finding {
  return { level: 'ok', text: `Node ${process.version} on ${process.platform} ${process.arch}` };
}

/** The server's own providers, asked by the server; without one those of the settings here. */
async function providerFindings(
  config: Config,
  running: KnownServer | undefined,
): Promise<readonly Finding[]> {
  if (running !== undefined) return running.checkProviders();
  // Loaded only here: the other commands start sooner without an HTTP client.
  const { checkProviders } = await import('./provider-check.ts');
  return checkProviders(config, new AbortController().signal);
}

function configFindings(loaded: LoadedConfig, running: KnownServer | undefined): Finding[] {
  const { filePath, fileFound, warnings, config } = loaded;
  const findings: Finding[] = warnings.map((text) => ({ level: 'note', text }));
  const mode = statSync(filePath, { throwIfNoEntry: false })?.mode ?? 0;
  findings.unshift({
    level: 'ok',
    text: fileFound
      ? `settings: ${shortPath(filePath)}`
      : `settings: no file (${shortPath(filePath)}), so variables and what is usual`,
  });
  if (fileFound && (mode & 0o077) !== 0) {
    findings.push({
      level: 'note',
      text: `${filePath} can be read by others.`,
      advice: `If it holds a key: chmod 600 ${filePath}`,
    });
  }
  if (running !== undefined) {
    const keys = [...differencesOf(shownSettings(loaded), running.facts).keys()];
    if (keys.length > 0) {
      findings.push({
        level: 'note',
        text: `the server at ${running.address} was started with other settings than these: ${keys.join(', ')}`,
        advice: '`rlm-opencode config` shows both. What follows is about the server.',
      });
    }
  }
  const upstreams = running?.facts.upstreams ?? config.providers;
  if (upstreams.length === 0) {
    findings.push({
      level: 'note',
      text: `no model is set up${running === undefined ? '' : ' in the running server'}: a demo script answers`,
      advice: 'rlm-opencode init',
    });
  }
  return findings;
}

/** Less than this is soon full, bytes. */
const lowFreeBytes = 1_000_000_000;

/** Whether something can be stored: writes a test file and looks at the free space. */
function dataDirFinding({ dataDir }: Config): Finding {
  const stat = statSync(dataDir, { throwIfNoEntry: false });
  if (stat === undefined)
    return { level: 'ok', text: `data: ${shortPath(dataDir)} (not there yet)` };
  if (!stat.isDirectory()) {
    return {
      level: 'fail',
      text: `data: ${dataDir} is no directory.`,
      advice: 'Set RLM_DATA_DIR.',
    };
  }
  const fault = writeFault(dataDir);
  if (fault !== undefined) {
    return {
      level: 'fail',
      text: `data: ${fault.message}`,
      advice: fault.parts.hint ?? 'Set RLM_DATA_DIR.',
    };
  }
  if ((stat.mode & 0o077) !== 0) {
    return {
      level: 'fail',
      text: `data: ${dataDir} can be read by others.`,
      advice: `chmod 700 ${dataDir}`,
    };
  }
  const { bavail, bsize } = statfsSync(dataDir);
  const text = `data: ${shortPath(dataDir)}, ${size(bavail * bsize)} free`;
  return bavail * bsize >= lowFreeBytes
    ? { level: 'ok', text }
    : { level: 'note', text, advice: 'When it is full, chats go on and nothing is stored.' };
}

async function serverFinding({ dataDir }: Config): Promise<Finding> {
  const owner = await readOwner(dataDir);
  const server = serverOf(owner);
  if (server === undefined) {
    return owner === undefined
      ? { level: 'note', text: 'server: not running', advice: 'rlm-opencode serve --background' }
      : { level: 'note', text: `server: none; process ${owner.pid} (a command) holds the stores` };
  }
  if (await isAnswering(server)) return answeringFinding(server.address, dataDir);
  return {
    level: 'fail',
    text: `server: process ${server.pid} does not answer at ${server.address}.`,
    advice: `See \`rlm-opencode logs\`; if it hangs: kill ${server.pid}`,
  };
}

/**
 * A server that could not store something goes on answering, so only here and in its log does one
 * learn of it.
 */
async function answeringFinding(address: string, dataDir: string): Promise<Finding> {
  const { status, lastStoreFault } = await fetchHealth(address);
  if (status === 'ok') return { level: 'ok', text: `server: ${address}` };
  return {
    level: 'fail',
    text: `server: ${address} answers, but could not store something since it was started (${String(lastStoreFault)}).`,
    advice: `Is there room in ${dataDir}? \`rlm-opencode logs\` says what failed.`,
  };
}

/** Of the database first, where machines share their stores: it may be why the rest fails. */
async function sharedAndStoreFindings(
  flags: { readonly deep?: boolean },
  config: Config,
): Promise<readonly Finding[]> {
  const database = await databaseFindings(config);
  const isAway = database.some(({ level }) => level === 'fail');
  const stores = await storeFindings(flags, flags.deep === true);
  // Why it cannot be opened stands there already.
  const told = isAway
    ? stores.filter(({ text }) => !text.startsWith('stores: The shared store '))
    : stores;
  return [...database, ...told];
}

async function storeFindings(flags: object, deep: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const line = new ProgressLine();
  try {
    await withOperations(flags, async (call) => {
      const sessions = (await call('sessions', {})) as Awaited<ReturnType<Sessions['list']>>;
      findings.push({ level: 'ok', text: `stores: ${sessions.length}` });
      const shared = (await call('shared-store', {})) as SharedStatus | null;
      if (shared !== null) findings.push(...replicaFindings(shared));
      for (const { id, damage } of sessions) {
        const health = (await call('check-session', { session: id, deep }, (progress) => {
          const { doneBytes, totalBytes } = progress as CheckProgress;
          line.bar(totalBytes === 0 ? 1 : doneBytes / totalBytes, id);
        })) as SessionHealth & { readonly index?: IndexCheck };
        line.clear();
        const { damage: found, entries, index } = health;
        if (deep && found.length === 0) {
          const text = `store ${id}: ${countOf(entries, 'text')} and ${countOf(index?.files ?? 0, 'index file')}: all is what was written`;
          findings.push({ level: 'ok', text });
        }
        for (const path of index?.damaged ?? []) {
          findings.push({
            level: 'note',
            text: `store ${id}: ${path} was damaged; it is a cache, was deleted and is made anew`,
          });
        }
        const all = found.length > 0 || damage === undefined ? found : [damage];
        findings.push(
          ...all.map((text): Finding => {
            const advice = `Save what is sound: rlm-opencode sessions salvage ${id}`;
            return { level: 'fail', text: `store ${id}: ${text}`, advice };
          }),
        );
      }
    });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    const { hint } = error.parts;
    findings.push({
      level: 'fail',
      text: `stores: ${error.message}`,
      advice: hint,
    });
  }
  return findings;
}

/**
 * Of each client that has the proxy in its own configuration. That none has it is no fault:
 * `rlm-opencode opencode` needs no configuration.
 */
async function clientFindings(
  loaded: LoadedConfig,
  running: KnownServer | undefined,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, setup] of Object.entries(knownSetups)) {
    findings.push(
      ...(await readable(setup.title, async () => clientFinding({ name, setup, loaded, running }))),
    );
  }
  for (const name of mcpClientNames) findings.push(...(await mcpFinding(name, loaded)));
  if (findings.length > 0) return findings;
  const text = 'clients: none has the proxy in its configuration';
  const advice = 'rlm-opencode opencode needs none; for good: rlm-opencode setup opencode';
  return [{ level: 'ok', text, advice }];
}

/** Of a client that has the tools beside a model of its own: what it starts may have moved. */
async function mcpFinding(name: string, loaded: LoadedConfig): Promise<readonly Finding[]> {
  const setup = mcpSetup(name, mcpCommand(loaded));
  if (setup === undefined) return [];
  return readable(setup.title, async () => {
    const { path, text } = await findConfigFile(setup.paths(setupPlaces()), setup.isInstalled);
    if (text === undefined || !setup.isInstalled(text)) return undefined;
    const fresh = await setup.install(text, noProxy, { liftToolOutput: false });
    const where = `${setup.title}: has the tools over MCP, set up in ${shortPath(path)}`;
    return fresh.ok && fresh.text === text
      ? { level: 'ok', text: where }
      : {
          level: 'note',
          text: `${where} with another program or data directory than these`,
          advice: `rlm-opencode setup ${name} --mcp`,
        };
  });
}

/** A finding about a client's file, if there is one, or that it cannot be read. */
async function readable(
  title: string,
  look: () => Promise<Finding | undefined>,
): Promise<readonly Finding[]> {
  try {
    const finding = await look();
    return finding === undefined ? [] : [finding];
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const text = `${title}: its configuration cannot be read: ${unreadableReason(error)}`;
    return [{ level: 'note', text }];
  }
}

/** Undefined where the proxy is not in its configuration. */
async function clientFinding(from: {
  readonly name: string;
  readonly setup: ClientSetup;
  readonly loaded: LoadedConfig;
  readonly running: KnownServer | undefined;
}): Promise<Finding | undefined> {
  const { name, setup, loaded, running } = from;
  const { path, text } = await findConfigFile(setup.paths(setupPlaces()), setup.isInstalled);
  if (text === undefined || !setup.isInstalled(text)) return undefined;
  if ((running?.facts.configuredPort ?? loaded.config.server.port) === 0) {
    return {
      level: 'note',
      text: `${setup.title}: set up, but RLM_PORT is 0: the server takes another port each time`,
    };
  }
  const facts = clientFacts(loaded, running, setup.limitsIn(text));
  const fresh = await setup.install(text, facts, { liftToolOutput: false });
  return fresh.ok && fresh.text === text
    ? { level: 'ok', text: `${setup.title}: set up in ${shortPath(path)}` }
    : {
        level: 'note',
        text: `${setup.title}: set up in ${shortPath(path)} with other settings than these`,
        advice: `rlm-opencode setup ${name}`,
      };
}
