import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { ProxyError } from '../errors.ts';
import { isErrno } from '../store/disk/files.ts';
import {
  isSessionId,
  sessionPaths,
  sessionsDir,
  unknownSession,
} from '../store/disk/session-paths.ts';
import type { Sessions } from '../store/types.ts';
import { addDataDirFlag, dataDirOf } from './data-dir-flag.ts';
import { grouped } from '../base/numbers.ts';
import { size } from './numbers.ts';
import { withOperations } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { print, printJson, printProse } from './screen.ts';
import { forgetCommand } from './sessions-forget.ts';
import { moveCommand } from './sessions-move.ts';
import { exportCommand, importCommand } from './sessions-archive.ts';
import { shortPath } from './start-text.ts';

type Listed = Awaited<ReturnType<Sessions['list']>>;

/**
 * `rlm-opencode sessions`: the stores there are, deleting one, saving what is sound of a damaged
 * one, giving one to another directory.
 */
export function sessionsCommand(): Command {
  const command = new Command('sessions').description('list the stores of all directories');
  addDataDirFlag(command)
    .option('--json', 'JSON for machines')
    // What is misspelt comes in here: see `list`.
    .allowExcessArguments()
    .action(list);
  const remove = new Command('rm')
    .description('delete a store with everything in it')
    .argument('<id>', 'session id')
    .option('--yes', 'yes, delete it');
  const salvage = new Command('salvage')
    .description('copy what is sound in a damaged store to a new one')
    .argument('<id>', 'session id');
  return command
    .addCommand(addDataDirFlag(remove).action(removeSession))
    .addCommand(addDataDirFlag(salvage).action(salvageSession))
    .addCommand(moveCommand())
    .addCommand(exportCommand())
    .addCommand(importCommand())
    .addCommand(forgetCommand());
}

/** @throws ProxyError `invalid_request` where a command is meant that there is not */
async function list(flags: { json?: boolean }, { args, commands }: Command): Promise<void> {
  const [typed] = args;
  if (typed !== undefined) {
    const known = commands.map((command) => `sessions ${command.name()}`).join(', ');
    throw new ProxyError('invalid_request', `There is no command \`sessions ${typed}\`.`, {
      hint: `There are: ${known}.`,
    });
  }
  await withOperations(flags, async (call) => {
    const sessions = (await call('sessions', {})) as Listed;
    if (flags.json === true) {
      printJson(sessions, 2);
      return;
    }
    if (sessions.length === 0) {
      printProse(
        'Nothing is stored yet. Chats that come through the proxy are stored by themselves; files: rlm-opencode ingest PATH\n',
      );
      finish(exitCodes.nothing);
    }
    for (const session of sessions) {
      const { id, directory, totals, updatedMs, damage } = session;
      const when = new Date(updatedMs).toISOString().slice(0, 16).replace('T', ' ');
      const counts = `${grouped(totals.entries)} ${totals.entries === 1 ? 'entry' : 'entries'}, ${grouped(totals.chars)} characters`;
      print(
        `${id}  ${when}  ${counts}\n  ${directory === undefined ? '(no directory)' : shortPath(directory)}\n`,
      );
      print(placeText(session));
      if (damage !== undefined) print(`  DAMAGED: ${damage}\n`);
    }
    if (sessions.some(({ isGone, looksLike }) => isGone === true || looksLike !== undefined))
      print('\nTo give a store to another directory: rlm-opencode sessions move FROM TO\n');
  });
}

/** Lines for what is odd about where a project lies. */
function placeText({ isGone, formerly, looksLike }: Listed[number]): string {
  const lines = [];
  if (formerly !== undefined) lines.push(`was ${shortPath(formerly)}`);
  if (isGone === true) lines.push('this directory is not there any more');
  if (looksLike !== undefined)
    lines.push(`${likeWords[looksLike.as]} ${shortPath(looksLike.directory)}`);
  return lines.map((line) => `  ${line}\n`).join('');
}

const likeWords = {
  copy: 'looks like a copy of',
  moved: 'looks like what is gone from',
  worktree: 'a worktree of',
} as const;

/** What the operation `salvage-session` answers. */
interface Salvaged {
  readonly session: string;
  /** The directory whose store it is now, if a directory named the old one. */
  readonly directory?: string;
  readonly kept: number;
  readonly keptAliases: number;
  readonly lostEntries: readonly string[];
  readonly lostRecords: number;
}

async function salvageSession(id: string, flags: { dataDir?: string }): Promise<void> {
  const dataDir = await dataDirOf(flags);
  await sessionSizeBytes(dataDir, id);
  await withOperations(flags, async (call) => {
    const saved = (await call('salvage-session', { session: id })) as Salvaged;
    const { kept, keptAliases, lostEntries, lostRecords, directory } = saved;
    const lost = lostEntries.length === 0 ? 'none' : lostEntries.join(', ');
    const place = directory === undefined ? 'no directory named it' : `takes over ${directory}`;
    print(
      `${saved.session} has ${grouped(kept)} texts of it, ${grouped(keptAliases)} further calls and files that brought them, and ${place}. Damaged texts: ${lost}; unreadable records: ${grouped(lostRecords)}. What chats remembered is not taken over: they go on with what their clients send.\n${id} is as it was; delete it with \`rlm-opencode sessions rm ${id}\`.\n`,
    );
  });
}

async function removeSession(
  id: string,
  flags: { yes?: boolean; dataDir?: string },
): Promise<void> {
  const dataDir = await dataDirOf(flags);
  // Before anything is opened or asked: what is not there cannot be deleted, and a mistyped folder
  // is not to be made.
  const place = `${sessionPaths(dataDir, id).text.replace(/_context\.txt$/, '')}*`;
  const sizeBytes = await sessionSizeBytes(dataDir, id);
  await withOperations(flags, async (call) => {
    const sessions = (await call('sessions', {})) as Listed;
    const directory = sessions.find((session) => session.id === id)?.directory;
    const what = `${id} of ${directory ?? 'no directory'} (${place}, ${size(sizeBytes)})`;
    if (flags.yes !== true) {
      throw new ProxyError('invalid_request', `This deletes ${what}, for ever.`, {
        hint: 'Add --yes if that is what you want.',
      });
    }
    await call('remove-session', { session: id });
    print(`Deleted ${what}.\n`);
  });
}

/**
 * What a session takes on the disk, bytes, its index counted. @throws ProxyError `unknown_session`
 * where there is no such session
 */
async function sessionSizeBytes(dataDir: string, id: string): Promise<number> {
  const folder = sessionsDir(dataDir);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    },
  );
  const files = entries.filter((entry) => {
    const path = relative(folder, join(entry.parentPath, entry.name));
    return entry.isFile() && (path.startsWith(`${id}.`) || path.startsWith(`${id}_`));
  });
  if (!isSessionId(id) || files.length === 0) throw unknownSession(id, dataDir);
  let sizeBytes = 0;
  for (const { parentPath, name } of files) sizeBytes += (await stat(join(parentPath, name))).size;
  return sizeBytes;
}
