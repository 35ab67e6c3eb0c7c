import { Command } from 'commander';
import { addExamples } from './command-examples.ts';
import type { StartableName } from './launch.ts';

/**
 * Every command by its name. A command is loaded when it is run: most of what a start takes is
 * loading. Add one: a file, a line here. A loader is given what stands behind the name.
 */
const commands: Readonly<Record<string, (args: readonly string[]) => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand(),
  ...startClients(['opencode', 'codex', 'claude', 'qwen', 'kilo']),
  init: async () => (await import('./init.ts')).initCommand(),
  setup: async () => (await import('./setup.ts')).setupCommand(),
  demo: async () => (await import('./demo.ts')).demoCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  stop: async () => (await import('./stop.ts')).stopCommand(),
  logs: async () => (await import('./logs.ts')).logsCommand(),
  ingest: async () => (await import('./ingest.ts')).ingestCommand(),
  search: async () => (await import('./search.ts')).searchCommand(),
  find: async () => (await import('./search.ts')).findCommand(),
  get: async () => (await import('./get.ts')).getCommand(),
  stats: async () => (await import('./stats.ts')).statsCommand(),
  sessions: async () => (await import('./sessions.ts')).sessionsCommand(),
  config: async () => (await import('./config.ts')).configCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  ask: async () => (await import('./ask.ts')).askCommand(),
  service: async () => (await import('./service.ts')).serviceCommand(),
  completion: async () =>
    (await import('./completion.ts')).completionCommand(async () => rlmProgram('', [])),
  bench: async () => (await import('./bench/bench.ts')).benchCommand(),
};

/** A command for each client that can be started. */
function startClients(names: readonly StartableName[]): typeof commands {
  return Object.fromEntries(
    names.map((name) => [
      name,
      async (args: readonly string[]) => (await import('./launch.ts')).launchCommand(name, args),
    ]),
  );
}

/** What people type who mean one of the commands, and what they mean. */
const meant: Readonly<Record<string, string>> = {
  version: '--version',
  install: 'setup',
  uninstall: 'setup uninstall',
  configure: 'init',
  login: 'init',
  auth: 'init',
  settings: 'config',
  start: 'serve --background',
  run: 'serve',
  restart: 'stop, then serve --background',
  models: 'doctor',
  list: 'sessions',
  ls: 'sessions',
  grep: 'search',
  rg: 'search',
  read: 'get',
  cat: 'get',
  log: 'logs',
  check: 'doctor',
  upgrade: '--version, and npm install -g rlm-opencode',
  'claude-code': 'claude',
  'qwen-code': 'qwen',
  'kilo-code': 'kilo',
};

const versionFlags = '-V, --version';

/**
 * `rlm-opencode` with the command that the arguments name; with all of them where they name none,
 * for help and for what is misspelt.
 * @param args What will be parsed; absent: all commands
 */
export async function rlmProgram(version: string, args: readonly string[] = []): Promise<Command> {
  const program = new Command('rlm-opencode')
    .description('a local proxy that gives coding assistants a memory without a wall')
    .version(version, versionFlags)
    .configureOutput({ outputError: (text, write) => write(inOurWords(text)) });
  for (const name of neededFor(args[0] ?? '')) {
    const command = await commands[name]?.(args.slice(1));
    if (command !== undefined) program.addCommand(command);
  }
  addExamples(program);
  return program;
}

/** A command that there is not: what is meant, or where all of them are named. */
function inOurWords(text: string): string {
  const found = /^error: unknown command '(.*)'\n(?:\(Did you mean (.*)\?\)\n)?$/s.exec(text);
  if (found === null) return text;
  const [, typed = '', near] = found;
  const name = Object.hasOwn(meant, typed) ? meant[typed] : near;
  const advice =
    name === undefined
      ? 'All that there are: rlm-opencode --help'
      : `Did you mean: rlm-opencode ${name}`;
  return `There is no command \`${typed}\`.\n${advice}\n`;
}

/** Names of the commands that must be there when the first argument is `first`. */
function neededFor(first: string): readonly string[] {
  if (versionFlags.split(', ').includes(first)) return [];
  return Object.hasOwn(commands, first) ? [first] : Object.keys(commands);
}
