import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants as osConstants } from 'node:os';
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import type { LoadedConfig } from '../config/load.ts';
import { machineOf } from '../config/places.ts';
import { shownSettings } from '../config/show.ts';
import { ProxyError } from '../errors.ts';
import { type RunSettings, type StartableClient, startableClients } from '../setup/runs.ts';
import { startBackground } from './background.ts';
import { clientFacts } from './client-facts.ts';
import { grouped } from '../base/numbers.ts';
import type { Finding } from './provider-check.ts';
import { programOn } from './on-path.ts';
import { printProse } from './screen.ts';
import { differencesOf, type KnownServer, knownServer } from './server-facts.ts';
import { loadFromFlags } from './setting-flags.ts';

/** A client by the name of its command. */
export type StartableName = keyof typeof startableClients;

/** Longest wait for the word of the providers before the client is started, milliseconds. */
const checkMs = 3000;

/**
 * `rlm-opencode codex ...`: starts a client with everything set for this run. No file of its own is
 * touched.
 * @param args What stands behind the client's name: all of it is the client's
 */
export function launchCommand(name: StartableName, args: readonly string[]): Command {
  const client: StartableClient = startableClients[name];
  return (
    new Command(name)
      .description(`start ${client.title} with everything set for this run`)
      .argument('[args...]', `what ${client.title} itself is given`)
      // Also `--help` and `--` are the client's.
      .helpOption(false)
      .allowUnknownOption()
      .addHelpText('after', helpText(name, client))
      .action(() => launch(client, args))
  );
}

function helpText(name: string, { title }: StartableClient): string {
  return `
Starts the server if none runs, and ${title} with the proxy as its provider.
None of its files are touched; what stands behind \`${name}\` is handed on to it.

Examples:
  $ rlm-opencode ${name}
  $ rlm-opencode ${name} --version
`;
}

async function launch(client: StartableClient, args: readonly string[]): Promise<void> {
  const { env } = machineOf();
  const path = programOn(env['PATH'] ?? '', client.program);
  if (path === undefined) {
    throw new ProxyError(
      'not_found',
      `${client.title} is not installed: there is no \`${client.program}\` on your PATH.`,
      { hint: `Install it: ${client.install}` },
    );
  }
  const loaded = loadFromFlags({});
  const server = await serverFor(loaded);
  const facts = clientFacts(loaded, server, undefined);
  const token = facts.hasToken ? tokenOf(loaded, server) : undefined;
  const settings = client.settingsFor({ ...facts, token }, env);
  await tellOf(server, loaded);
  const isBare = client.bareCommands?.includes(args[0] ?? '') === true;
  await runToItsEnd(path, isBare ? args : [...settings.args, ...args], settings.env);
}

/** The server that runs, else one that is started and stays. */
async function serverFor(loaded: LoadedConfig): Promise<KnownServer> {
  const { config } = loaded;
  const running = await knownServer(config);
  if (running !== undefined) return running;
  const { address, pid, isNew } = await startBackground(config.dataDir, []);
  if (isNew) {
    printProse(`rlm-opencode: started a server (process ${pid}); \`rlm-opencode stop\` ends it.\n`);
  }
  const started = await knownServer(config);
  if (started !== undefined) return started;
  throw new ProxyError('config_invalid', `The server at ${address} is of another version.`, {
    hint: 'End it with `rlm-opencode stop`, then run this again.',
  });
}

function tokenOf({ config }: LoadedConfig, { address }: KnownServer): string {
  const { apiToken } = config.server;
  if (apiToken !== undefined) return apiToken;
  throw new ProxyError('config_invalid', `The server at ${address} wants a token.`, {
    hint: 'Set RLM_API_TOKEN to the one that it was started with.',
  });
}

/** In one line who answers; then what is wrong with it. The client is started all the same. */
async function tellOf(server: KnownServer, loaded: LoadedConfig): Promise<void> {
  const { address, facts } = server;
  const given = shownSettings(loaded).filter(({ source }) => source !== 'default');
  const different = [...differencesOf(given, facts).keys()];
  const { model } = facts;
  if (model === undefined) {
    printProse(
      `rlm-opencode: ${address}, no model is set up: the built-in demo answers, a script. \`rlm-opencode init\` sets one up.\n`,
    );
  } else {
    const provider = model.name.slice(0, model.name.indexOf('.'));
    const findings = await inTime(server.checkProviders());
    const own = findings?.filter((finding) => finding.provider === provider);
    const assumed = model.isAssumed ? ' (assumed)' : '';
    const window = `window ${grouped(model.contextWindowTokens)} tokens${assumed}`;
    printProse(`rlm-opencode: ${model.name} ${wordOf(own)}; ${window}; ${address}\n`);
    for (const { level, text, advice } of own ?? []) {
      if (level !== 'ok') printProse(`  ${text}\n${advice === undefined ? '' : `  ${advice}\n`}`);
    }
  }
  if (different.length > 0) {
    printProse(
      `  The server was started with other settings than these: ${different.join(', ')}. To use yours: rlm-opencode stop, then this again.\n`,
    );
  }
}

/** Undefined where the providers take too long: nobody waits for them to start a client. */
async function inTime(check: Promise<readonly Finding[]>): Promise<readonly Finding[] | undefined> {
  const late = new AbortController();
  try {
    return await Promise.race([
      check.catch(() => undefined),
      systemClock.sleep(checkMs, late.signal).then(() => undefined),
    ]);
  } finally {
    late.abort();
  }
}

function wordOf(findings: readonly Finding[] | undefined): string {
  if (findings === undefined) return 'has not answered yet';
  if (findings.some(({ level }) => level === 'fail')) return 'will not answer';
  return findings.some(({ level }) => level === 'note') ? 'is in doubt' : 'answers';
}

/** Runs a program on this terminal and ends as it ends. */
async function runToItsEnd(
  path: string,
  args: readonly string[],
  env: RunSettings['env'],
): Promise<void> {
  const child = spawn(path, args, { stdio: 'inherit', env: { ...machineOf().env, ...env } });
  const stopHandingOn = handOnSignals(child);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  stopHandingOn();
  if (signal === null) {
    process.exitCode = code ?? 0;
    return;
  }
  // Whoever started this learns what ended the client. Where the signal is ignored: a shell's way.
  process.exitCode = signalExitBase + osConstants.signals[signal];
  process.kill(process.pid, signal);
}

/** A shell's exit code for a program that a signal has ended is this and the signal's number. */
const signalExitBase = 128;

function leaveAlone(): void {}

/** @returns Ends it */
function handOnSignals(child: ChildProcess): () => void {
  // What is typed in a terminal reaches the client, too; only what is sent to this process alone
  // has to be handed on.
  const isTyped = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  const handOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  const listeners = [
    ...(['SIGTERM', 'SIGHUP'] as const).map((signal) => [signal, handOn] as const),
    ...(['SIGINT', 'SIGQUIT'] as const).map(
      (signal) => [signal, isTyped ? leaveAlone : handOn] as const,
    ),
  ];
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}
