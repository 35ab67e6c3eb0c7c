import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { machineOf } from '../config/places.ts';
import { ProxyError } from '../errors.ts';
import type { ClientSetup, SetupPlaces } from '../setup/client-setup.ts';
import {
  backupPath,
  type ConfigFile,
  findConfigFile,
  readConfigFile,
  writeConfigFile,
} from '../setup/config-file.ts';
import { knownSetups } from '../setup/known-setups.ts';
import { noKey, tokenVariable } from '../setup/proxy-facts.ts';
import { textDiff } from '../setup/text-diff.ts';
import { type ClientFacts, clientFacts } from './client-facts.ts';
import { exitCodes, finish } from './run.ts';
import { print, printError } from './screen.ts';
import { type KnownServer, knownServer } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';

interface SetupFlags {
  readonly file?: string;
  readonly dryRun?: boolean;
  readonly liftToolOutput?: boolean;
}

/** A client's row, its file, and what it is to know. */
interface Chosen {
  readonly name: string;
  readonly setup: ClientSetup;
  readonly file: ConfigFile;
  readonly facts: ClientFacts;
  readonly running: KnownServer | undefined;
}

const clientNames = Object.keys(knownSetups);
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
    .argument('[client]', `${clientNames.join(', ')}; none: say what is set up`)
    .option('--dry-run', 'only show what would change')
    .action((client, flags) => (client === undefined ? overview(typed) : install(client, flags)))
    .addHelpText(
      'after',
      `
Examples:
  $ ${typed} codex --dry-run       what would be written, and where
  $ ${typed} codex                 the same as: ${typed} install codex
  $ ${typed} uninstall codex       the file is as it was before
`,
    );
  command.addCommand(
    withFlags(new Command('install'))
      .description('add the proxy, or bring it up to date')
      .argument('[client]', clientNames.join(', '), usualClient)
      .option('--dry-run', 'only show what would change')
      .option('--lift-tool-output', "also lift OpenCode's cut of tool outputs, for all providers")
      .action(install),
  );
  command.addCommand(
    withFlags(new Command('uninstall'))
      .description('take the proxy out')
      .argument('[client]', clientNames.join(', '), usualClient)
      .option('--dry-run', 'only show what would change')
      .action(uninstall),
  );
  command.addCommand(
    withFlags(new Command('status'))
      .description('say whether it is set up')
      .argument('[client]', clientNames.join(', '), usualClient)
      .action(status),
  );
  return command;
}

function withFlags(command: Command): Command {
  command.option('--file <path>', "the client's configuration file, if it is not the usual one");
  return addSettingFlags(command, ['host', 'port', 'data-dir', 'upstream-url', 'upstream-model']);
}

async function install(client: string, flags: SetupFlags): Promise<void> {
  const chosen = await choose(client, flags);
  const { setup, file, facts, running } = chosen;
  const liftToolOutput = flags.liftToolOutput === true;
  if (liftToolOutput && setup.liftsToolOutput !== true) {
    throw new ProxyError('invalid_request', `${setup.title} has no such cut that could be lifted.`);
  }
  tellOfLimits(facts);
  if (running?.facts.configuredPort === 0) {
    printError(
      `The server took the free port of ${running.address} and will take another one when it is started again: give it one with RLM_PORT.\n`,
    );
  }
  const outcome = await setup.install(file.text, facts, { liftToolOutput });
  const changed = await apply(chosen, outcome, flags);
  if (!changed || flags.dryRun === true) return;
  const [first = '', ...others] = setup.next(facts);
  print(
    `Next: ${[first, ...others].join('\n      ')}\n` +
      `A ${setup.title} that is running reads this when it is started again.\n`,
  );
}

async function uninstall(client: string, flags: SetupFlags): Promise<void> {
  const chosen = await choose(client, flags);
  const { setup, file } = chosen;
  if (file.text === undefined || !setup.isInstalled(file.text)) {
    print(`${file.path}: nothing to take out.\n`);
    return;
  }
  const backup = await readConfigFile(backupPath(file.path));
  const outcome = await setup.uninstall(file.text, backup.text);
  if (outcome.ok && outcome.text === undefined) {
    await removeFile(file, flags);
    return;
  }
  const changed = await apply(chosen, outcome, flags);
  if (changed && flags.dryRun !== true) await rm(backup.path, { force: true });
}

/** A file that the installation made, with nothing in it that is not ours. */
async function removeFile(file: ConfigFile, flags: SetupFlags): Promise<void> {
  print(`${file.path}: ${flags.dryRun === true ? 'would be removed' : 'removed'}.\n`);
  if (flags.dryRun !== true) await rm(file.path);
}

async function status(client: string, flags: SetupFlags): Promise<void> {
  const chosen = await choose(client, flags);
  const state = await stateOf(chosen);
  const { name, file, facts } = chosen;
  const said = {
    absent: 'not installed.',
    current: `installed, ${facts.address}, window ${facts.contextWindowTokens} tokens.`,
    stale: `installed, but not with these settings. Run: rlm-opencode setup ${name}`,
  };
  print(`${file.path}: ${said[state]}\n`);
  finish(state === 'current' ? exitCodes.done : exitCodes.nothing);
}

/** What is set up, of all clients. */
async function overview(typed: string): Promise<void> {
  for (const name of clientNames) {
    const chosen = await choose(name, {});
    const state = await stateOf(chosen);
    const said = { absent: 'not set up', current: 'set up', stale: 'set up with other settings' };
    const where = state === 'absent' ? '' : `  ${chosen.file.path}`;
    print(`${name.padEnd(10)}${said[state]}${where}\n`);
  }
  print(`\nTo set one up: ${typed} ${usualClient}     (--dry-run only shows the change)\n`);
}

async function stateOf({ setup, file, facts }: Chosen): Promise<'absent' | 'current' | 'stale'> {
  if (file.text === undefined || !setup.isInstalled(file.text)) return 'absent';
  const outcome = await setup.install(file.text, facts, { liftToolOutput: false });
  return outcome.ok && outcome.text === file.text ? 'current' : 'stale';
}

/** What the client has to know comes from the server that runs, before the settings here. */
async function choose(name: string, flags: SetupFlags): Promise<Chosen> {
  const setup = Object.hasOwn(knownSetups, name) ? knownSetups[name] : undefined;
  if (setup === undefined) {
    throw new ProxyError('invalid_request', `\`${name}\` is no client that can be set up.`, {
      hint: `Clients: ${clientNames.join(', ')}. Before one may stand: install, uninstall, status.`,
    });
  }
  const file =
    flags.file === undefined
      ? await findConfigFile(setup.paths(setupPlaces()), setup.isInstalled)
      : await readConfigFile(resolve(flags.file));
  const loaded = loadFromFlags({ ...flags });
  const running = await knownServer(loaded.config);
  const installed = file.text === undefined ? undefined : setup.limitsIn(file.text);
  return { name, setup, file, running, facts: clientFacts(loaded, running, installed) };
}

/** Where this user's configurations lie. */
export function setupPlaces(): SetupPlaces {
  const { env, folders, homeDir } = machineOf();
  return { configHome: folders.configHome, homeDir, env };
}

/** Limits that nobody states are said to be assumed: clients compact and cut answers by them. */
function tellOfLimits({ limitsFrom, contextWindowTokens, maxOutputTokens }: ClientFacts): void {
  const numbers = `window ${contextWindowTokens} tokens, answer ${maxOutputTokens}`;
  if (limitsFrom === 'assumed') {
    printError(
      `Nobody states the model's limits here, so they are assumed (${numbers}). Run this again while the server runs with its upstream, or set RLM_UPSTREAM_CONTEXT_WINDOW.\n`,
    );
  } else if (limitsFrom === 'installed') {
    printError(`Nobody states the model's limits here, so those in the file stay (${numbers}).\n`);
  }
}

/**
 * Writes an edit, or shows it, or says why there is none and what to paste. @returns Whether there
 * is a change
 */
async function apply(
  { setup, file, facts }: Chosen,
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
  await writeConfigFile(file, text, !setup.isInstalled(file.text ?? ''));
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
