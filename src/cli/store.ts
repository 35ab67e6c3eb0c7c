import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { countOf, grouped } from '../base/numbers.ts';
import type { Config } from '../config/resolve.ts';
import { ProxyError } from '../errors.ts';
import type { RoleGrant } from '../shared/database/init.ts';
import { isSessionId } from '../store/disk/session-paths.ts';
import type { PushedStore, PushProgress, PushReport, SharedStatus } from '../store/shared-side.ts';
import { examples } from './examples.ts';
import { size } from './numbers.ts';
import { withOperations } from './operations-client.ts';
import { ProgressLine } from './progress-line.ts';
import type { Finding } from './provider-check.ts';
import { exitCodes, finish } from './run.ts';
import { print, printError, printJson, printProse, proseFor } from './screen.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { storeLines } from './shared-text.ts';
import { shortPath } from './start-text.ts';
import { faultFinding, probeFindings, probeSharedStore, replicaFindings } from './store-check.ts';

/** `rlm-opencode store`: a store that machines share. */
export function storeCommand(): Command {
  const init = new Command('init')
    .description('make the tables of a shared store, once; run again it changes nothing')
    .option(
      '--role <name=project,...>',
      'a database role and the projects that it may see (* for all); may be given several times',
      (text: string, before: readonly RoleGrant[]) => [...before, roleOf(text)],
      [] as readonly RoleGrant[],
    )
    .option('--json', 'JSON for machines: {store, isNew, hasTeamKey, roles}')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode store init', 'in the database of RLM_STORE_URL'],
        ['rlm-opencode store init --role ann=git:github.com/acme/shop', ''],
      ),
    );
  const status = new Command('status')
    .description('say how a shared store is, and how much of it is on this machine')
    .option('--json', 'JSON for machines: {database, fault, shared}')
    .addHelpText('after', examples(['rlm-opencode store status', 'per project: rows, who wrote']));
  const push = new Command('push')
    .description('have stores of this machine become shared; what is there is not sent again')
    .argument('[stores...]', 'directories or session ids (default: all that have a project)')
    .option('--dry-run', 'only say what would be sent')
    .option('--json', 'JSON for machines: {stores: [{from, session, project, texts, …}]}')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode store push --dry-run', 'what would be sent, and where to'],
        ['rlm-opencode store push .', 'the store of this directory'],
      ),
    );
  const key = new Command('key')
    .description('print a fresh team key, with which the database cannot read what it holds')
    .addHelpText('after', examples(['rlm-opencode store key', 'before the first `store init`']));
  return new Command('store')
    .description('share stores with other machines over a PostgreSQL database')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode store init', 'once, as the owner of the database'],
        ['rlm-opencode store status', 'how it is'],
        ['rlm-opencode store push', 'local stores become shared'],
      ),
    )
    .addCommand(addSettingFlags(init, ['data-dir']).action(initStore))
    .addCommand(addSettingFlags(status, ['data-dir']).action(storeStatus))
    .addCommand(addSettingFlags(push, ['data-dir']).action(pushStores))
    .addCommand(key.action(printKey));
}

interface StoreFlags {
  readonly json?: boolean;
  readonly dataDir?: string;
}

/** The settings, with an address in them. @throws ProxyError `config_invalid` */
function configOf(flags: StoreFlags): Config & { readonly store: { readonly url: string } } {
  const { config } = loadFromFlags({ ...flags });
  const { store } = config;
  if (store.url !== undefined) return { ...config, store: { ...store, url: store.url } };
  throw new ProxyError(
    'config_invalid',
    'No shared store is set: stores are files of this machine.',
    {
      hint: 'export RLM_STORE_URL=postgres://user:password@host:5432/database (docs/team.md)',
    },
  );
}

function roleOf(text: string): RoleGrant {
  const [, role, list] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const projects = (list ?? '').split(',').filter((project) => project !== '');
  if (role !== undefined && projects.length > 0) return { role, projects };
  throw new ProxyError('invalid_request', `--role cannot be \`${text}\`.`, {
    hint: 'It is a name and its projects: ann=git:github.com/acme/shop,git:github.com/acme/api',
  });
}

async function initStore(
  flags: StoreFlags & { readonly role: readonly RoleGrant[] },
): Promise<void> {
  const { store } = configOf(flags);
  const [{ initSharedStore }, { createLogger }, { systemClock }] = await Promise.all([
    import('../shared/database/init.ts'),
    import('../log.ts'),
    import('../clock.ts'),
  ]);
  const report = await initSharedStore(store.url, {
    log: createLogger('warn'),
    clock: systemClock,
    teamKey: store.key,
    roles: flags.role,
  });
  if (flags.json === true) {
    printJson(report, 2);
    return;
  }
  const { store: shown, isNew, hasTeamKey } = report;
  const key = hasTeamKey
    ? 'With a team key: the database cannot read what it holds.\n'
    : 'Without a team key: who administers the database can read what it holds.\n';
  print(
    isNew
      ? `The shared store is made: ${shown}\n${key}`
      : `The shared store is there already, nothing in it was changed: ${shown}\n${key}`,
  );
  for (const { role, projects } of flags.role) {
    print(`  ${role} sees ${projects.includes('*') ? 'every project' : projects.join(', ')}\n`);
  }
  const keyLine = hasTeamKey ? '  export RLM_STORE_KEY=...   the same for all\n' : '';
  print(
    `\nOn every machine of the team:\n  export RLM_STORE_URL=...   the address with its own role\n${keyLine}  rlm-opencode doctor        looks whether all is well\n  rlm-opencode store push    shares what that machine has stored\n`,
  );
}

async function storeStatus(flags: StoreFlags): Promise<void> {
  const config = configOf(flags);
  const [database, fault] = await probeSharedStore(config).then(
    (probe) => [probe, undefined] as const,
    (error: unknown) => {
      if (!(error instanceof ProxyError)) throw error;
      return [undefined, error] as const;
    },
  );
  let shared: SharedStatus | null = null;
  let sharedFault = fault;
  try {
    await withOperations(flags, async (call) => {
      shared = (await call('shared-store', {})) as SharedStatus | null;
    });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    sharedFault ??= error;
  }
  if (sharedFault !== undefined) finish(exitCodes.failed);
  if (flags.json === true) {
    printJson({ database, fault: sharedFault?.message, shared }, 2);
    return;
  }
  const findings: Finding[] = database === undefined ? [] : [...probeFindings(database)];
  if (sharedFault !== undefined) findings.push(faultFinding(sharedFault));
  if (shared !== null) findings.push(...replicaFindings(shared));
  for (const { level, text, advice } of findings) {
    const sentence = text.replace(/^shared store: /, '');
    const mark = level === 'ok' ? '' : `${level}: `;
    print(`${proseFor(process.stdout, `${mark}${sentence}`)}\n`);
    if (advice !== undefined) print(`${proseFor(process.stdout, advice)}\n`);
  }
  if (database?.bytes !== undefined) print(`its tables take ${size(database.bytes)}\n`);
  for (const store of (shared as SharedStatus | null)?.stores ?? []) {
    print(`\n${storeLines(store).join('\n')}\n`);
  }
}

async function pushStores(
  stores: readonly string[],
  flags: StoreFlags & { readonly dryRun?: boolean },
): Promise<void> {
  const { localDataDir } = configOf(flags);
  const line = new ProgressLine();
  await withOperations(flags, async (call) => {
    const args = {
      from: resolve(localDataDir),
      stores: stores.map((store) => (isSessionId(store) ? store : resolve(store))),
      dryRun: flags.dryRun === true,
    };
    const report = (await call('push-stores', args, (progress) => {
      const { project, done, total } = progress as PushProgress;
      const words = `${grouped(done)} of ${countOf(total, 'text')}  ${project}`;
      line.bar(total === 0 ? 1 : done / total, words);
    })) as PushReport;
    line.clear();
    if (flags.json === true) {
      printJson(report, 2);
      return;
    }
    if (report.stores.length === 0) {
      printProse(`Nothing is stored in ${localDataDir}, so there is nothing to share.\n`);
      finish(exitCodes.nothing);
      return;
    }
    for (const store of report.stores) print(pushedText(store, args.dryRun));
  });
}

function pushedText(store: PushedStore, isTrial: boolean): string {
  const { from, directory, project, texts, again, events, remembered, bytes } = store;
  const parts = [
    ...(texts === 0 ? [] : [`${countOf(texts, 'text')} (${size(bytes)})`]),
    ...(again === 0 ? [] : [countOf(again, 'further call or file', 'further calls and files')]),
    ...(events === 0 ? [] : [countOf(events, 'decision')]),
    ...(remembered === 0 ? [] : [countOf(remembered, 'value of chats', 'values of chats')]),
  ];
  const what = isTrial ? 'would be sent' : 'sent';
  const sent = parts.length === 0 ? 'all of it is there already' : `${what}: ${parts.join(', ')}`;
  const lines = [
    project,
    `  ${directory === undefined ? from : shortPath(directory)}`,
    `  ${sent}`,
    ...(store.isRenumbered === true
      ? [
          '  What chats remember names entries by other numbers and stays here:',
          '  they go on with what their clients send.',
        ]
      : []),
    ...(store.unlinked === undefined
      ? []
      : [`  links to stores that are not shared: ${store.unlinked.join(', ')}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Bytes of a fresh key: as many as AES-256 has. */
const keyBytes = 32;

function printKey(): void {
  print(`${randomBytes(keyBytes).toString('base64url')}\n`);
  printError(
    `Keep it where the team keeps its secrets: what is stored with it is lost without it.
It is chosen before the first \`rlm-opencode store init\`, and every machine has it:
  export RLM_STORE_KEY=...
`,
  );
}
