import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { SharedProject } from '../store/shared-side.ts';
import { ProxyError } from '../errors.ts';
import { isObject, type JsonObject, parseJson } from '../wire/json.ts';
import { addDataDirFlag } from './data-dir-flag.ts';
import type { CallOperation } from './operations-client.ts';
import { momentGiven, momentHelp, momentText, type SaidMoment, withLocalTimes } from './moments.ts';
import { printError, printProse } from './screen.ts';
import { shortPath } from './start-text.ts';

/** What {@link addSessionFlags} adds. */
export interface SessionFlags {
  readonly directory?: string;
  readonly session?: string;
  readonly project?: string;
  readonly json?: boolean;
  readonly dataDir?: string;
  /** Of commands that have {@link addAsOfFlag}. */
  readonly asOf?: string;
  /** What {@link addScopeFlags} adds. */
  readonly scope?: string;
  readonly all?: boolean;
}

/** Adds the flags that choose a store, and `--json`. */
export function addSessionFlags(command: Command): Command {
  command
    .option(
      '--directory <dir>',
      'the project whose store is meant (default: this directory, or the nearest above it that has one)',
    )
    .option('--session <id>', 'the store by its session id')
    .option('--project <name>', 'the store by the name that a team shares it under')
    .option('--json', 'JSON for machines');
  return addDataDirFlag(command);
}

/** Says that nothing is stored where a command looked for it. */
export function sayNothingStored(flags: SessionFlags): void {
  printProse(`${nothingStored(flags)}\n`);
}

/** That there is no store where one was looked for, and how one comes to be. */
function nothingStored(flags: SessionFlags): string {
  const { project, directory } = flags;
  if (project !== undefined)
    return `Nothing is shared under the name ${project}.\nWhat there is: rlm-opencode sessions`;
  const place = directory === undefined ? 'this directory' : shortPath(projectOf(flags));
  return `Nothing is stored for ${place} yet.
Chats that come through the proxy are stored by themselves: rlm-opencode opencode
Files: rlm-opencode ingest PATH. What other directories have: rlm-opencode sessions`;
}

/** Adds the flag that chooses a moment of the store, for commands that read. */
export function addAsOfFlag(command: Command): Command {
  return command.option('--as-of <moment>', `the store as it was then: ${momentHelp}`);
}

/** Where the answers of a command are those of a moment, that is said beside them, once. */
export function sayAsOf(found: ToolAnswer): void {
  if (found.as_of !== undefined) printError(`As of ${momentText(found.as_of)}.\n`);
}

/** Adds the flags that reach further than one store. */
export function addScopeFlags(command: Command): Command {
  return command
    .option(
      '--scope <scope>',
      'linked: the linked stores, too; or the name of one (default: session, this store)',
    )
    .option('--all', 'every store of this machine, as if all were linked to this one');
}

/** The argument of a tool by which it reaches further than one store. */
export function scopeOf({ scope, all }: SessionFlags): { readonly scope?: string } {
  if (scope !== undefined) return { scope };
  return all === true ? { scope: 'linked' } : {};
}

/** The choice as operations take it. Symbolic links are whose, as OpenCode does. */
export function choiceOf({ directory, session, project, all }: SessionFlags): object {
  const reach = all === true ? { all } : {};
  if (project !== undefined) {
    if (session === undefined && directory === undefined) return { project, ...reach };
    throw new ProxyError(
      'invalid_request',
      '--project names a store, as --session and --directory do: give one of them.',
    );
  }
  if (session !== undefined) return { session, ...reach };
  return { directory: projectOf({ directory }), climb: directory === undefined, ...reach };
}

/** The directory that is meant: the one that is named, else this one; links resolved. */
export function projectOf({ directory }: { readonly directory?: string | undefined }): string {
  return realPath(resolve(directory ?? '.'));
}

/** A directory need not be on this machine (any more) for its store to be. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
}

/** An answer of one of the tools, with the session it came from. */
export interface ToolAnswer {
  readonly session: string;
  readonly directory?: string;
  /** The moment that was asked, where one was. */
  readonly as_of?: SaidMoment;
  /** What the store is for others, where it is shared. */
  readonly shared?: SharedProject;
  readonly answer: JsonObject;
}

/**
 * Asks one of the model's tools. Undefined where nothing is stored yet.
 * @throws ProxyError `invalid_request` with the tool's own words for a fault in the arguments
 */
export async function callTool(
  call: CallOperation,
  flags: SessionFlags,
  tool: { readonly name: string; readonly arguments: object },
): Promise<ToolAnswer | undefined> {
  const at = flags.asOf === undefined ? {} : { at: momentGiven(flags.asOf) };
  const result = await withLocalTimes(call)('tool', { ...choiceOf(flags), ...at, ...tool });
  if (!isObject(result)) {
    sayNothingStored(flags);
    return undefined;
  }
  const answer = parseJson(String(result['text']));
  if (!isObject(answer)) throw new ProxyError('internal', 'The tool gave an answer that is none.');
  if (typeof answer['error'] === 'string')
    throw new ProxyError('invalid_request', inCommandWords(answer['error']));
  if (typeof answer['note'] === 'string')
    return {
      ...(result as unknown as Found),
      answer: { ...answer, note: inCommandWords(answer['note']) },
    };
  return { ...(result as unknown as Found), answer };
}

type Found = Omit<ToolAnswer, 'answer'>;

/** Commands by the tool that they ask. */
const commandOf: Readonly<Record<string, string>> = {
  rlm_get_context: 'get',
  rlm_search: 'search',
  rlm_find: 'find',
  rlm_stats: 'stats',
};

/** What a tool says to a model, for somebody who types commands. */
function inCommandWords(text: string): string {
  const misfit = /^The arguments of (rlm_\w+) do not fit: (.*?)\. It takes /s.exec(text);
  const said =
    misfit === null
      ? text
      : `${misfit[1]} cannot take that: ${misfit[2]?.replaceAll(/✖ | → at \w+/g, '').trim()}. See its --help.`;
  const flagged = said.replace('the same call with "scope": "linked"', '`--scope linked`');
  return flagged.replaceAll(/\brlm_[a-z_]+\b/g, (tool) => {
    const command = commandOf[tool];
    return command === undefined ? tool : `\`rlm-opencode ${command}\``;
  });
}
