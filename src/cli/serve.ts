import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import type { LoadedConfig } from '../config/load.ts';
import { machineOf } from '../config/places.ts';
import type { Config } from '../config/resolve.ts';
import { boundHeap } from '../garbage.ts';
import type { Logger } from '../log.ts';
import { publishOwner } from '../store/disk/owner.ts';
import type { Sessions } from '../store/types.ts';
import type { Policy } from '../upstream/demo-policy.ts';
import { logPath, startBackground } from './background.ts';
import { examples } from './examples.ts';
import { factsOf } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { print, printError, printProse, printStyled } from './screen.ts';
import { startText } from './start-text.ts';
import { terminalLine } from './terminal-log.ts';

/** What the log of a server without a model says in front. */
const demoNotice =
  'No model is set up, so the built-in demo answers: a script that uses the tools, no language model. `rlm-opencode init` sets one up.\n';

/**
 * `rlm-opencode serve`: runs the proxy until it is told to stop.
 * @param policies Scripts that the demo upstream asks before its own
 */
export function serveCommand(policies: readonly Policy[] = []): Command {
  const command = new Command('serve')
    .description('run the proxy')
    .option('--background', 'start it as a process of its own and return')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode serve', 'in this terminal: a line a turn'],
        ['rlm-opencode serve --background', '`logs -f` shows what it does, `stop` ends it'],
        ['rlm-opencode serve --upstream-url http://127.0.0.1:11434/v1', 'a local Ollama'],
        ['rlm-opencode serve 2>turns.jsonl', 'JSON lines, for programs'],
      ),
    );
  return addSettingFlags(command).action(async (options: { background?: boolean }) => {
    const loaded = loadFromFlags({ ...options });
    if (options.background === true) await serveInBackground(loaded);
    else await serve(loaded, policies);
  });
}

/** The same arguments are given to a process of its own. */
async function serveInBackground(loaded: LoadedConfig): Promise<void> {
  const args = process.argv.slice(3).filter((argument) => argument !== '--background');
  const { address, pid, isNew } = await startBackground(loaded.config.dataDir, args);
  if (!isNew) {
    print(`rlm-opencode is listening on ${address} already (process ${pid}).\n`);
    return;
  }
  print(`rlm-opencode listening on ${address}\n`);
  // What the server itself would say on a screen has gone into its log.
  const { config } = loaded;
  printError(
    startText(factsOf(loaded), { dataDir: config.dataDir, logFile: logPath(config.dataDir) }),
  );
  for (const warning of loaded.warnings) printProse(`${warning}\n`);
}

async function serve(loaded: LoadedConfig, policies: readonly Policy[]): Promise<void> {
  const { config } = loaded;
  // Loaded only here: the other commands start sooner without it.
  const [{ checkBind }, { createLogger }, { openLocalApp }] = await Promise.all([
    import('../http/guard.ts'),
    import('../log.ts'),
    import('./local-app.ts'),
  ]);
  checkBind(config.server);
  boundHeap();
  const log = createLogger(config.logLevel, process.stderr.isTTY ? showLine : undefined);
  await using app = await openLocalApp(config, log, { loaded, policies });
  const address = await app.server.listen();
  await publish(config.dataDir, { address, secret: app.ownerSecret }, app.sessions);
  for (const warning of loaded.warnings) printProse(`${warning}\n`);
  print(`rlm-opencode listening on ${address}\n`);
  const facts = factsOf(loaded);
  if (process.stderr.isTTY) printError(startText(facts, { ...config, env: machineOf().env }));
  else {
    if (config.providers.length === 0) printError(demoNotice);
    const { model, upstreams } = facts;
    log.info({ address, upstreams, model, dataDir: config.dataDir }, 'listening');
  }
  const stopping = new AbortController();
  const told = tellOfProviders(config, log, stopping.signal);
  await stopSignal();
  stopping.abort();
  await told;
}

/** A line of the log for somebody who looks on. */
function showLine(json: string): void {
  printStyled(terminalLine(json, process.stderr.columns), process.stderr);
}

/**
 * Tells commands where the server is; on a full or read-only disk as soon as the store could be
 * opened.
 */
async function publish(
  dataDir: string,
  server: { readonly address: string; readonly secret: string },
  sessions: Sessions,
): Promise<void> {
  if (sessions.fault === undefined) {
    await publishOwner(dataDir, server);
    return;
  }
  systemClock.after(
    publishMs,
    () => void publish(dataDir, server, sessions).catch(() => undefined),
  );
}

/** Between two looks whether the store is open, milliseconds. */
const publishMs = 1000;

/**
 * What a provider's own list says against the settings: better at the start than at the first
 * question.
 */
async function tellOfProviders(config: Config, log: Logger, signal: AbortSignal): Promise<void> {
  const { checkProviders } = await import('./provider-check.ts');
  for (const { level, text, advice } of await checkProviders(config, signal)) {
    if (level !== 'ok' && !signal.aborted) log.warn({ advice }, text);
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  return promise;
}
