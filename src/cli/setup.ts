import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Argument, Command } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import { machineOf } from '../config/places.ts';
import { ProxyError } from '../errors.ts';
import type { ClientSetup, SetupPlaces } from '../setup/client-setup.ts';
import {
  backupPath,
  type ConfigFile,
  findConfigFile,
  type OwnPart,
  readConfigFile,
  writeConfigFile,
} from '../setup/config-file.ts';
import { knownSetups } from '../setup/known-setups.ts';
import { mcpClientNames, mcpSetup } from '../setup/mcp-setups.ts';
import { noteMadeFolder, removeMadeFolders } from '../setup/made-folders.ts';
import { noKey, tokenVariable } from '../setup/proxy-facts.ts';
import { textDiff } from '../setup/text-diff.ts';
import { type ClientFacts, clientFacts } from './client-facts.ts';
import { grouped } from '../base/numbers.ts';
import { examples } from './examples.ts';
import { nearest } from './nearest.ts';
import { exitCodes, finish } from './run.ts';
import { print, printError, printProse } from './screen.ts';
import { shortPath } from './start-text.ts';
import { type KnownServer, knownServer } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';

interface SetupFlags {
  readonly file?: string;
  readonly dryRun?: boolean;
  readonly liftToolOutput?: boolean;
  /** The tools as an MCP server, and not the proxy. */
  readonly mcp?: boolean;
}

/** A client's row, its file, and what it is to know. */
interface Chosen {
  readonly name: string;
  readonly part: OwnPart;
  readonly setup: ClientSetup;
  readonly file: ConfigFile;
  readonly facts: ClientFacts;
  readonly running: KnownServer | undefined;
  readonly dataDir: string;
}

const clientNames = Object.keys(knownSetups);
const allNames = [...new Set([...clientNames, ...mcpClientNames])];
const usualClient = 'opencode';

/** `rlm-opencode-setup`: the same as `rlm-opencode setup`. */
export function setupProgram(version: string): Command {
  return withActions(new Command('rlm-opencode-setup').version(version));
}

/**
 * `rlm-opencode setup`: puts the proxy into a client's configuration and takes it out again. Starts
 * nothing.
 */
export function setupCommand(): Command {
  return withActions(new Command('setup'));
}

function withActions(command: Command): Command {
  const typed = command.name() === 'setup' ? 'rlm-opencode setup' : command.name();
  withFlags(command)
    .description("add the proxy to a client's configuration, or take it out again")
    .addArgument(clientArgument('none: say what is set up'))
    .option('--dry-run', 'only show what would change')
    .action(async (client, flags) => {
      if (client === undefined) await overview(typed, flags);
      else await install(client, flags);
    })
    .addHelpText(
      'after',
      examples(
        [`${typed} codex --dry-run`, 'what would be written, and where'],
        [`${typed} codex`, 'writes it: `install codex` is the same'],
        [`${typed} uninstall codex`, 'the file is as it was before'],
        [`${typed} cursor --mcp`, 'only the tools that read, for who keeps another model'],
      ),
    );
  command.addCommand(
    withFlags(new Command('install'))
      .description('add the proxy, or bring it up to date')
      .addArgument(clientArgument('which one').default(usualClient))
      .option('--dry-run', 'only show what would change')
      .option('--lift-tool-output', "also lift OpenCode's cut of tool outputs, for all providers")
      .action(install),
  );
  command.addCommand(
    withFlags(new Command('uninstall'))
      .description('take the proxy out')
      .addArgument(clientArgument('which one').default(usualClient))
      .option('--dry-run', 'only show what would change')
      .action(uninstall),
  );
  command.addCommand(
    withFlags(new Command('status'))
      .description('say whether it is set up')
      .addArgument(clientArgument('none: all of them'))
      .action((client, flags) =>
        client === undefined && flags.file === undefined
          ? statusOfAll(typed, flags)
          : status(client ?? usualClient, flags),
      ),
  );
  return command;
}

/** Its choices are there to be shown and completed; what is none of them is answered here. */
function clientArgument(description: string): Argument {
  const argument = new Argument('[client]', description);
  argument.argChoices = [...allNames];
  return argument;
}

function withFlags(command: Command): Command {
  command.option('--file <path>', "the client's configuration file, if it is not the usual one");
  command.option('--mcp', 'the tools that read, as an MCP server: the client keeps its model');
  return addSettingFlags(command, ['host', 'port', 'data-dir', 'upstream-url', 'upstream-model']);
}

async function install(client: string, flags: SetupFlags): Promise<void> {
  const chosen = await choose(client, flags);
  const { setup, file, facts } = chosen;
  const liftToolOutput = flags.liftToolOutput === true;
  if (liftToolOutput && setup.liftsToolOutput !== true) {
    throw new ProxyError('invalid_request', `${setup.title} has no such cut that could be lifted.`);
  }
  if (chosen.part === 'provider') tellOfAddress(chosen);
  const outcome = await setup.install(file.text, facts, { liftToolOutput });
  const changed = await apply(chosen, outcome, flags);
  if (!changed || flags.dryRun === true) return;
  const [first = '', ...others] = setup.next(facts);
  print(
    `Next: ${[first, ...others].join('\n      ')}\n` +
      `If ${setup.title} is running, start it again: it reads this at its start.\n`,
  );
}

/** What may turn out otherwise than it is written now. */
function tellOfAddress({ facts, running }: Chosen): void {
  tellOfLimits(facts);
  if (running?.facts.configuredPort === 0) {
    printProse(
      `The server took the free port of ${running.address} and will take another one when it is started again: give it one with RLM_PORT.\n`,
    );
  }
}

async function uninstall(client: string, flags: SetupFlags): Promise<void> {
  const chosen = await choose(client, flags);
  const { name, setup, file, part } = chosen;
  if (file.text === undefined || !setup.isInstalled(file.text)) {
    print(`${file.path}: nothing to take out.\n`);
    if (flags.file === undefined) await tellOfOthers(name, part);
    return;
  }
  const backup = await readConfigFile(backupPath(file.path, part));
  const outcome = await setup.uninstall(file.text, backup.text);
  if (outcome.ok && outcome.text === undefined) {
    await removeFile(chosen, flags);
    return;
  }
  const changed = await apply(chosen, outcome, flags);
  if (changed && flags.dryRun !== true) await rm(backup.path, { force: true });
}

/** Who takes it out of the wrong client learns of the right one. */
async function tellOfOthers(name: string, part: OwnPart): Promise<void> {
  for (const other of await allChosen({})) {
    if ((other.name === name && other.part === part) || (await stateOf(other)) === 'absent')
      continue;
    print(`It is in ${other.setup.title}: rlm-opencode setup uninstall ${typedFor(other)}\n`);
  }
}

/** Every client with each part of ours that it can have. */
async function allChosen(flags: SetupFlags): Promise<readonly Chosen[]> {
  const own = flags.mcp === true ? [] : clientNames.map(async (name) => choose(name, flags));
  const mcp = mcpClientNames.map(async (name) => choose(name, { ...flags, mcp: true }));
  return Promise.all([...own, ...mcp]);
}

/** What is typed behind the command for this one. */
function typedFor({ name, part }: Chosen): string {
  return part === 'mcp' ? `${name} --mcp` : name;
}

/** A file that the installation made, with nothing in it that is not ours. */
async function removeFile({ file, dataDir }: Chosen, flags: SetupFlags): Promise<void> {
  print(`${file.path}: ${flags.dryRun === true ? 'would be removed' : 'removed'}.\n`);
  if (flags.dryRun === true) return;
  await rm(file.path);
  await removeMadeFolders(dataDir, file.path);
}

async function status(client: string, flags: SetupFlags): Promise<void> {
  const chosen = await choose(client, flags);
  const state = await stateOf(chosen);
  const { part, file, facts } = chosen;
  const typed = `rlm-opencode setup ${typedFor(chosen)}`;
  const what =
    part === 'mcp'
      ? 'as an MCP server'
      : `${facts.address}, window ${grouped(facts.contextWindowTokens)} tokens`;
  const said = {
    absent: `not set up.\nTo do it: ${typed}`,
    current: `set up, ${what}.`,
    stale: `set up, but not with these settings.\nTo bring it up to date: ${typed}`,
  };
  printProse(`${file.path}: ${said[state]}\n`, process.stdout);
  finish(state === 'current' ? exitCodes.done : exitCodes.nothing);
}

/** Of every client; it ends with 1 where none is set up. */
async function statusOfAll(typed: string, flags: SetupFlags): Promise<void> {
  finish((await overview(typed, flags)) ? exitCodes.done : exitCodes.nothing);
}

/** What is set up, of all clients. @returns Whether one is */
async function overview(typed: string, flags: SetupFlags): Promise<boolean> {
  let isAny = false;
  const mcp = flags.mcp === true ? ' --mcp' : '';
  for (const chosen of await allChosen(flags)) {
    const state = await stateOf(chosen);
    isAny ||= state !== 'absent';
    // Who does not ask for it is told only where it is.
    if (chosen.part === 'mcp' && flags.mcp !== true && state === 'absent') continue;
    const mcpMark = chosen.part === 'mcp' ? 'MCP: ' : '';
    const said = { absent: 'not set up', current: 'set up', stale: 'set up with other settings' };
    const where = state === 'absent' ? '' : `  ${shortPath(chosen.file.path)}`;
    print(`${chosen.name.padEnd(10)}${mcpMark}${said[state]}${where}\n`);
  }
  print(`
To set one up, or bring it up to date: ${typed} ${usualClient}${mcp}
To take it out: ${typed} uninstall ${usualClient}${mcp}     (--dry-run only shows the change)
`);
  return isAny;
}

async function stateOf({ setup, file, facts }: Chosen): Promise<'absent' | 'current' | 'stale'> {
  if (file.text === undefined || !setup.isInstalled(file.text)) return 'absent';
  const outcome = await setup.install(file.text, facts, { liftToolOutput: false });
  return outcome.ok && outcome.text === file.text ? 'current' : 'stale';
}

/** What the client has to know comes from the server that runs, before the settings here. */
async function choose(name: string, flags: SetupFlags): Promise<Chosen> {
  const loaded = loadFromFlags({ ...flags });
  const part: OwnPart = flags.mcp === true ? 'mcp' : 'provider';
  const own = Object.hasOwn(knownSetups, name) ? knownSetups[name] : undefined;
  const setup = part === 'mcp' ? mcpSetup(name, mcpCommand(loaded)) : own;
  if (setup === undefined && part === 'mcp' && own !== undefined) {
    throw new ProxyError(
      'invalid_request',
      `${own.title} cannot be given an MCP server from here.`,
      {
        hint: `Clients that can: ${mcpClientNames.join(', ')}.`,
      },
    );
  }
  if (setup === undefined && mcpClientNames.includes(name)) {
    throw new ProxyError('invalid_request', `\`${name}\` cannot use the proxy as its model.`, {
      hint: `It can have the tools beside its own: add --mcp.`,
    });
  }
  if (setup === undefined) {
    const [near] = nearest(name, [...allNames, 'install', 'uninstall', 'status'], 1);
    const meant = near === undefined ? '' : `Did you mean: rlm-opencode setup ${near}\n`;
    throw new ProxyError('invalid_request', `\`${name}\` is no client that can be set up.`, {
      hint: `${meant}Clients: ${clientNames.join(', ')}; with --mcp: ${mcpClientNames.join(', ')}. Before one may stand: install, uninstall, status.`,
    });
  }
  const file =
    flags.file === undefined
      ? await findConfigFile(setup.paths(setupPlaces()), setup.isInstalled)
      : await readConfigFile(resolve(flags.file));
  const { dataDir } = loaded.config;
  if (part === 'mcp')
    return { name, part, setup, file, running: undefined, dataDir, facts: noProxy };
  const running = await knownServer(loaded.config);
  const installed = file.text === undefined ? undefined : setup.limitsIn(file.text);
  const facts = clientFacts(loaded, running, installed);
  return { name, part, setup, file, running, dataDir, facts };
}

/** An MCP server is started by its client, at no address and without limits. */
export const noProxy: ClientFacts = {
  address: '',
  hasToken: false,
  contextWindowTokens: 0,
  maxOutputTokens: 0,
  limitsFrom: 'settings',
  hasModel: false,
};

/** What a client is to start: this program, wherever the client is started from. */
export function mcpCommand({ config, sources }: LoadedConfig): readonly string[] {
  const main = fileURLToPath(new URL('../../bin/rlm-opencode.js', import.meta.url));
  // What the settings file says it reads by itself.
  const isSaid = ['flag', 'environment'].includes(sources.get('dataDir')?.kind ?? '');
  const dataDir = isSaid ? ['--data-dir', resolve(config.dataDir)] : [];
  return [process.execPath, main, 'mcp', ...dataDir];
}

/** Where this user's configurations lie. */
export function setupPlaces(): SetupPlaces {
  const { env, folders, homeDir } = machineOf();
  return { configHome: folders.configHome, homeDir, env };
}

/** Limits that nobody states are said to be assumed: clients compact and cut answers by them. */
function tellOfLimits({
  limitsFrom,
  hasModel,
  contextWindowTokens,
  maxOutputTokens,
}: ClientFacts): void {
  const numbers = `window ${grouped(contextWindowTokens)} tokens, answer ${grouped(maxOutputTokens)}`;
  if (limitsFrom === 'assumed') {
    printProse(
      hasModel
        ? `Nobody states how much the model holds, so usual limits are written (${numbers}). Where that is wrong: \`contextWindow\` in the settings, or RLM_UPSTREAM_CONTEXT_WINDOW; then run this again.\n`
        : `No model is set up yet, so usual limits are written (${numbers}). Set one up with \`rlm-opencode init\`, then run this again.\n`,
    );
  } else if (limitsFrom === 'installed') {
    printProse(
      hasModel
        ? "Nobody states how much the model holds, so the client's limits stay as they are.\n"
        : "No model is set up yet, so the client's limits stay as they are. Set one up: rlm-opencode init\n",
    );
  }
}

/**
 * Writes an edit, or shows it, or says why there is none and what to paste. @returns Whether there
 * is a change
 */
async function apply(
  { setup, file, facts, dataDir, part }: Chosen,
  outcome: Awaited<ReturnType<ClientSetup['uninstall']>>,
  { dryRun }: SetupFlags,
): Promise<boolean> {
  if (!outcome.ok) {
    printError(
      `${file.path} was left alone: ${outcome.fault}.\n` +
        `Once it is mended, run this again, or paste this into it yourself:\n\n${setup.toPaste(facts)}\n`,
    );
    finish(exitCodes.failed);
    return false;
  }
  const { text = '' } = outcome;
  if (text === file.text) {
    print(`${file.path}: nothing to change.\n`);
    return false;
  }
  print(`${file.path}\n${withoutKeys(textDiff(file.text ?? '', text))}`);
  if (dryRun === true) {
    print('Nothing was written (--dry-run).\n');
    return true;
  }
  const made = await writeConfigFile(
    file,
    text,
    setup.isInstalled(file.text ?? '') ? undefined : backupPath(file.path, part),
  );
  if (made !== undefined) await noteMadeFolder(dataDir, made);
  print('Written.\n');
  return true;
}

/** Values that stand where a key does and are none: a variable's name, and our own word. */
const noSecrets: ReadonlySet<string> = new Set([noKey, tokenVariable, '']);

/** The user's own configuration may hold keys beside our part: in JSON, YAML or TOML. */
function withoutKeys(diff: string): string {
  const quoted = /("[\w-]*(?:key|token|authorization|password|secret)"\s*:\s*)"([^"]*)"/gi;
  const bare =
    /^([-+ ]\s*(?:- )?[\w-]*(?:key|token|authorization|password|secret)\s*[:=]\s*)"?([^"\n]*)"?/gim;
  return diff.replaceAll(quoted, withoutValue).replaceAll(bare, withoutValue);
}

function withoutValue(whole: string, name: string, value: string): string {
  const isNoSecret = /env_?key/i.test(name) || /^\$?\{/.test(value) || noSecrets.has(value.trim());
  return isNoSecret ? whole : `${name}"***"`;
}
