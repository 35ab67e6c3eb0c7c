import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { machineOf } from '../config/places.ts';
import {
  backupPath,
  type ConfigFile,
  findConfigFile,
  readConfigFile,
  writeConfigFile,
} from '../setup/config-file.ts';
import {
  blockToPaste,
  type EditOutcome,
  installedBlock,
  installedLimits,
  installProvider,
  isInstallationOf,
  uninstallProvider,
} from '../setup/config-text.ts';
import { openCodeFacts, type ProviderFacts, providerId } from '../setup/provider-entry.ts';
import { textDiff } from '../setup/text-diff.ts';
import { type ClientFacts, clientFacts } from './client-facts.ts';
import { type KnownServer, knownServer } from './server-facts.ts';
import { exitCodes, finish } from './run.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { coreModelId } from '../wire/core-model.ts';
import { print, printError } from './screen.ts';

interface SetupOptions {
  readonly file?: string;
  readonly dryRun?: boolean;
  readonly liftToolOutput?: boolean;
}

/**
 * `rlm-opencode-setup`: puts the proxy into OpenCode's configuration and takes it out again. Starts
 * nothing.
 */
export function setupProgram(version: string): Command {
  const program = new Command('rlm-opencode-setup')
    .description("add the proxy to OpenCode's configuration, or take it out again")
    .version(version);
  program.addCommand(
    common(new Command('install'))
      .description('add the provider, or bring it up to date')
      .option('--dry-run', 'only show what would change')
      .option('--lift-tool-output', "also lift OpenCode's cut of tool outputs, for all providers")
      .action(install),
  );
  program.addCommand(
    common(new Command('uninstall'))
      .description('take the provider out')
      .option('--dry-run', 'only show what would change')
      .action(uninstall),
  );
  program.addCommand(
    common(new Command('status')).description('say whether it is installed').action(status),
  );
  return program;
}

function common(command: Command): Command {
  command.option('--file <path>', "OpenCode's configuration file, if it is not the usual one");
  return addSettingFlags(command, ['host', 'port', 'data-dir', 'upstream-url', 'upstream-model']);
}

async function install(options: SetupOptions): Promise<void> {
  const file = await chosenFile(options);
  const { facts, running } = await factsFor(options, file);
  tellOfLimits(facts);
  if (running?.facts.configuredPort === 0) {
    printError(
      `The server took the free port of ${running.address} and will take another one when it is started again: give it one with RLM_PORT.\n`,
    );
  }
  const liftToolOutput = options.liftToolOutput === true;
  const outcome = installProvider(file.text, { facts, liftToolOutput });
  const changed = await apply(file, outcome, { ...options, facts });
  if (!changed || options.dryRun === true) return;
  print(
    `Next: rlm-opencode serve --background\n` +
      `      opencode models | grep ${providerId}\n` +
      `      opencode -m ${providerId}/${coreModelId}\n` +
      `An OpenCode that is running reads this when it is started again.\n`,
  );
}

/** What OpenCode has to know, from the server that runs before the settings here. */
async function factsFor(
  options: SetupOptions,
  { text }: ConfigFile,
): Promise<{
  readonly facts: ClientFacts & ProviderFacts;
  readonly running: KnownServer | undefined;
}> {
  const loaded = loadFromFlags({ ...options });
  const running = await knownServer(loaded.config);
  const installed = text === undefined ? undefined : installedLimits(text);
  const facts = clientFacts(loaded, running, installed);
  return { facts: { ...facts, ...openCodeFacts(facts) }, running };
}

/** Limits that nobody states are said to be assumed: OpenCode compacts and cuts answers by them. */
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

async function uninstall(options: SetupOptions): Promise<void> {
  const file = await chosenFile(options);
  if (file.text === undefined || installedBlock(file.text) === undefined) {
    print(`${file.path}: nothing to take out.\n`);
    return;
  }
  const backup = await readConfigFile(backupPath(file.path));
  const untouched = isInstallationOf(file.text, backup.text);
  if (untouched && backup.text === undefined) {
    await removeFile(file, options);
    return;
  }
  const outcome =
    untouched && backup.text !== undefined
      ? { ok: true as const, text: backup.text }
      : uninstallProvider(file.text);
  const { facts } = await factsFor(options, file);
  const changed = await apply(file, outcome, { ...options, facts });
  if (changed && options.dryRun !== true) await rm(backup.path, { force: true });
}

/** A file that the installation made and nobody has touched since. */
async function removeFile(file: ConfigFile, options: SetupOptions): Promise<void> {
  print(`${file.path}: ${options.dryRun === true ? 'would be removed' : 'removed'}.\n`);
  if (options.dryRun !== true) await rm(file.path);
}

async function status(options: SetupOptions): Promise<void> {
  const file = await chosenFile(options);
  const { facts } = await factsFor(options, file);
  const installed = file.text !== undefined && installedBlock(file.text) !== undefined;
  if (!installed) {
    print(`${file.path}: not installed.\n`);
    finish(exitCodes.nothing);
    return;
  }
  const outcome = installProvider(file.text, { facts, liftToolOutput: false });
  const current = outcome.ok && outcome.text === file.text;
  print(
    current
      ? `${file.path}: installed, ${facts.baseURL}, window ${facts.contextWindowTokens} tokens.\n`
      : `${file.path}: installed, but not with these settings. Run: rlm-opencode-setup install\n`,
  );
  finish(current ? exitCodes.done : exitCodes.nothing);
}

/**
 * Writes an edit, or shows it, or says why there is none and what to paste. @returns Whether there
 * is a change
 */
async function apply(
  file: ConfigFile,
  outcome: EditOutcome,
  options: { readonly dryRun?: boolean; readonly facts: ProviderFacts },
): Promise<boolean> {
  if (!outcome.ok) {
    printError(
      `${file.path} was left alone: ${outcome.fault}.\n` +
        `Once it is mended, run this again, or paste this into it yourself:\n\n${blockToPaste(options.facts)}\n`,
    );
    finish(exitCodes.failed);
    return false;
  }
  if (outcome.text === file.text) {
    print(`${file.path}: nothing to change.\n`);
    return false;
  }
  print(`${file.path}\n${withoutKeys(textDiff(file.text ?? '', outcome.text))}`);
  if (options.dryRun === true) {
    print('Nothing was written (--dry-run).\n');
    return true;
  }
  await writeConfigFile(file, outcome.text);
  print('Written.\n');
  return true;
}

/**
 * The user's own configuration may hold keys beside our block; a variable's name (`{env:NAME}`) and
 * our own word are none.
 */
function withoutKeys(diff: string): string {
  const members =
    /("[\w-]*(?:key|token|authorization|password|secret)"\s*:\s*)"(?!\{|rlm-local)[^"]+"/gi;
  return diff.replaceAll(members, '$1"***"');
}

async function chosenFile(options: SetupOptions): Promise<ConfigFile> {
  return options.file === undefined
    ? findConfigFile(join(machineOf().folders.configHome, 'opencode'))
    : readConfigFile(resolve(options.file));
}
