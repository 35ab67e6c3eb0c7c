import { Command } from 'commander';
import { addExamples } from './command-examples.ts';
import type { StartableName } from './launch.ts';

type Load = (args: readonly string[]) => Promise<Command>;

/**
 * Every command by its name, under the heading of its group. A command is loaded when it is run:
 * most of what a start takes is loading. Add one: a file, a line here. A loader is given what
 * stands behind the name.
 */
const groups: Readonly<Record<string, Readonly<Record<string, Load>>>> = {
  'To begin:': {
    init: async () => (await import('./init.ts')).initCommand(),
    ...startClients(['opencode', 'codex', 'claude', 'qwen', 'kilo']),
    setup: async () => (await import('./setup.ts')).setupCommand(),
    demo: async () => (await import('./demo.ts')).demoCommand(),
  },
  'The server:': {
    serve: async () => (await import('./serve.ts')).serveCommand(),
    status: async () => (await import('./status.ts')).statusCommand(),
    open: async () => (await import('./open.ts')).openCommand(),
    stop: async () => (await import('./stop.ts')).stopCommand(),
    logs: async () => (await import('./logs.ts')).logsCommand(),
    service: async () => (await import('./service.ts')).serviceCommand(),
  },
  'What is stored:': {
    ingest: async () => (await import('./ingest.ts')).ingestCommand(),
    search: async () => (await import('./search.ts')).searchCommand(),
    find: async () => (await import('./search.ts')).findCommand(),
    get: async () => (await import('./get.ts')).getCommand(),
    stats: async () => (await import('./stats.ts')).statsCommand(),
    sessions: async () => (await import('./sessions.ts')).sessionsCommand(),
    ask: async () => (await import('./ask.ts')).askCommand(),
    mcp: async () => (await import('./mcp.ts')).mcpCommand(),
    store: async () => (await import('./store.ts')).storeCommand(),
  },
  'When something is wrong, and the rest:': {
    doctor: async () => (await import('./doctor.ts')).doctorCommand(),
    config: async () => (await import('./config.ts')).configCommand(),
    completion: async () =>
      (await import('./completion.ts')).completionCommand(async () => rlmProgram('', [])),
    trace: async () => (await import('./trace.ts')).traceCommand(),
    replay: async () => (await import('./replay.ts')).replayCommand(),
    bench: async () => (await import('./bench/bench.ts')).benchCommand(),
  },
};

const commands = Object.assign(Object.create(null), ...Object.values(groups)) as Record<
  string,
  Load
>;

/** What somebody types who has just installed this. */
const firstSteps = `
The first time:
  $ rlm-opencode init      choose a provider and a model
  $ rlm-opencode opencode  OpenCode with memory; or codex, claude, qwen, kilo
  $ rlm-opencode demo      see it work first: no key, nothing to set up
`;

/** A command for each client that can be started. */
function startClients(names: readonly StartableName[]): Record<string, Load> {
  return Object.fromEntries(
    names.map((name) => [
      name,
      async (args: readonly string[]) => (await import('./launch.ts')).launchCommand(name, args),
    ]),
  );
}

const versionFlags = '-V, --version';

/**
 * `rlm-opencode` with the command that the arguments name; with all of them where they name none,
 * for help and for what is misspelt.
 * @param args What will be parsed; absent: all commands
 */
export async function rlmProgram(version: string, args: readonly string[] = []): Promise<Command> {
  const program = new Command('rlm-opencode')
    .description('a local proxy that gives coding assistants a memory without a wall')
    .version(version, versionFlags);
  const needed = new Set(neededFor(args[0] ?? ''));
  for (const [heading, group] of Object.entries(groups)) {
    program.commandsGroup(heading);
    for (const [name, load] of Object.entries(group)) {
      if (needed.has(name)) program.addCommand(await load(args.slice(1)));
    }
  }
  program.helpCommand('help [command]', 'say how a command is used');
  program.addHelpText('after', firstSteps);
  addExamples(program);
  return program;
}

/** Names of the commands that must be there when the first argument is `first`. */
function neededFor(first: string): readonly string[] {
  if (versionFlags.split(', ').includes(first)) return [];
  return Object.hasOwn(commands, first) ? [first] : Object.keys(commands);
}
