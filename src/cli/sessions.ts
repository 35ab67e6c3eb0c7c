import { Command } from 'commander';
import { isOfSharedStore } from '../config/data-dir.ts';
import { ProxyError } from '../errors.ts';
import { isSessionId, sessionPaths, unknownSession } from '../store/disk/session-paths.ts';
import type { SharedElsewhere, SharedProject } from '../store/shared-side.ts';
import type { Sessions } from '../store/types.ts';
import { addDataDirFlag, dataDirOf } from './data-dir-flag.ts';
import { countOf, grouped } from '../base/numbers.ts';
import { size } from './numbers.ts';
import { type CallOperation, withOperations } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { print, printJson, printProse } from './screen.ts';
import { forgetCommand } from './sessions/forget.ts';
import { linkCommand, linkLines, showCommand, unlinkCommand } from './sessions/links.ts';
import { gcCommand } from './sessions/gc.ts';
import { moveCommand } from './sessions/move.ts';
import { exportCommand, importCommand } from './sessions/archive.ts';
import { branchCommand } from './sessions/branch.ts';
import { logCommand } from './sessions/log.ts';
import { restoreCommand } from './sessions/restore.ts';
import { sizesOnDisk } from '../store/disk/sizes-on-disk.ts';
import { snapshotCommand } from './sessions/snapshot.ts';
import { pinCommands } from './sessions/pin.ts';
import { elsewhereLines, teamLines } from './shared-text.ts';
import { shortPath } from './start-text.ts';

type Listed = readonly (Awaited<ReturnType<Sessions['list']>>[number] & {
  /** Where machines share it. */
  readonly shared?: SharedProject;
})[];

/**
 * `rlm-opencode sessions`: the stores there are, their moments and branches, deleting one, saving
 * what is sound of a damaged one, giving one to another directory.
 */
export function sessionsCommand(): Command {
  const command = new Command('sessions').description('list the stores of all directories');
  addDataDirFlag(command).option('--json', 'JSON for machines').action(list);
  const remove = new Command('rm')
    .description('delete a store with everything in it')
    .argument('<id>', 'session id')
    .option('--yes', 'yes, delete it')
    .option('--with-branches', 'and the stores that go on from it')
    .option('--detach', 'these stay, with copies of what they read of it');
  const salvage = new Command('salvage')
    .description('copy what is sound in a damaged store to a new one')
    .argument('<id>', 'session id');
  for (const other of [...pinCommands(), gcCommand()]) command.addCommand(other);
  return command
    .addCommand(logCommand())
    .addCommand(snapshotCommand())
    .addCommand(branchCommand())
    .addCommand(restoreCommand())
    .addCommand(addDataDirFlag(remove).action(removeSession))
    .addCommand(addDataDirFlag(salvage).action(salvageSession))
    .addCommand(moveCommand())
    .addCommand(exportCommand())
    .addCommand(importCommand())
    .addCommand(forgetCommand())
    .addCommand(showCommand())
    .addCommand(linkCommand())
    .addCommand(unlinkCommand());
}

async function list(flags: { json?: boolean }): Promise<void> {
  await withOperations(flags, async (call) => {
    const all = (await call('sessions', {})) as Listed;
    // Copies are only there for branches to read.
    const sessions = all.filter(({ copyOf }) => copyOf === undefined);
    const elsewhere = (await call('stores-elsewhere', {})) as readonly SharedElsewhere[];
    if (flags.json === true) {
      const others = elsewhere.map(({ session: id, rows, ...shared }) => ({
        id,
        isElsewhere: true,
        rows,
        shared,
      }));
      printJson([...sessions, ...others], 2);
      return;
    }
    if (sessions.length === 0 && elsewhere.length === 0) {
      printProse(
        'Nothing is stored yet. Chats that come through the proxy are stored by themselves; files: rlm-opencode ingest PATH\n',
      );
      finish(exitCodes.nothing);
    }
    for (const session of sessions) {
      const { id, totals, updatedMs, damage } = session;
      const when = new Date(updatedMs).toISOString().slice(0, 16).replace('T', ' ');
      const counts = `${countOf(totals.entries, 'entry', 'entries')}, ${countOf(totals.chars, 'character')}`;
      print(`${id}  ${when}  ${counts}\n${placeText(session)}`);
      for (const line of teamLines(session.shared)) print(`  ${line}\n`);
      if (damage !== undefined) print(`  DAMAGED: ${damage}\n`);
      for (const link of session.links ?? []) {
        const [first = '', ...more] = linkLines(link);
        print(`${[`  reads ${first.trim()}`, ...more].join('\n')}\n`);
      }
    }
    for (const line of elsewhereLines(elsewhere)) print(`${line}\n`);
    if (sessions.some(({ isGone, looksLike }) => isGone === true || looksLike !== undefined))
      print('\nTo give a store to another directory: rlm-opencode sessions move FROM TO\n');
  });
}

/** Lines for whose it is, what it goes on from, and what is odd about where its project lies. */
function placeText(session: Listed[number]): string {
  const { directory, earlierDirectory, bases, isGone, formerly, looksLike } = session;
  const lines = [];
  if (directory !== undefined) lines.push(shortPath(directory));
  else if (earlierDirectory === undefined) lines.push('(no directory)');
  else lines.push(`(${shortPath(earlierDirectory)} had it before)`);
  const base = bases?.at(-1);
  if (base !== undefined) lines.push(`goes on from ${base.sessionId}, behind e${base.end.entries}`);
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
      `${saved.session} has ${countOf(kept, 'text')} of it, ${countOf(keptAliases, 'further call or file', 'further calls and files')} that brought them, and ${place}. Damaged texts: ${lost}; unreadable records: ${grouped(lostRecords)}. What chats remembered is not taken over: they go on with what their clients send.\n${id} is as it was; delete it with \`rlm-opencode sessions rm ${id}\`.\n`,
    );
  });
}

interface RemoveFlags {
  readonly yes?: boolean;
  readonly withBranches?: boolean;
  readonly detach?: boolean;
  readonly dataDir?: string;
}

async function removeSession(id: string, flags: RemoveFlags): Promise<void> {
  const dataDir = await dataDirOf(flags);
  // Before anything is opened or asked: what is not there cannot be deleted, and a mistyped folder
  // is not to be made.
  const place = `${sessionPaths(dataDir, id).text.replace(/_context\.txt$/, '')}*`;
  const isShared = isOfSharedStore(dataDir);
  const sizeBytes = isShared ? undefined : await sessionSizeBytes(dataDir, id);
  await withOperations(flags, async (call) => {
    const sessions = (await call('sessions', {})) as Listed;
    const own = sessions.find((session) => session.id === id);
    const shared = own?.shared ?? (isShared ? await sharedOf(call, id, dataDir) : undefined);
    const takenBytes = sizeBytes ?? (await sizesOnDisk(dataDir)).get(id);
    const taken =
      takenBytes === undefined ? 'nothing of it is here' : `${place}, ${size(takenBytes)}`;
    const of = shared === undefined ? (own?.directory ?? 'no directory') : shared.project;
    const what = `${id} of ${of} (${taken})${shared === undefined ? '' : ', on every machine that shares it'}`;
    const branches = sessions.filter(({ bases }) => bases?.some((base) => base.sessionId === id));
    const fate = fateOf(id, branches, flags);
    const read = readersText(
      sessions.filter(({ links }) => links?.some((link) => link.sessionId === id)),
    );
    if (flags.yes !== true) {
      throw new ProxyError(
        'invalid_request',
        `This deletes ${what}, for ever.${read}${fate.said}`,
        {
          hint: 'Add --yes if that is what you want.',
        },
      );
    }
    await call('remove-session', { session: id, branches: fate.branches });
    print(`Deleted ${what}.${read}${fate.done}\n`);
  });
}

/** A shared store that is not on this machine. @throws ProxyError `unknown_session` */
async function sharedOf(call: CallOperation, id: string, dataDir: string): Promise<SharedProject> {
  const stores = (await call('stores-elsewhere', {})) as readonly SharedElsewhere[];
  const found = stores.find(({ session }) => session === id);
  if (found === undefined) throw unknownSession(id, dataDir);
  return found;
}

/** Who reads a store that is deleted, and will find nothing of it any more. */
function readersText(readers: Listed): string {
  if (readers.length === 0) return '';
  return ` It is read by ${readers.map(({ id, directory }) => directory ?? id).join(', ')}.`;
}

/**
 * What becomes of the stores that go on from one that is deleted. @throws ProxyError
 * `invalid_request` where there are some and nothing is said of them
 */
function fateOf(
  id: string,
  branches: Listed,
  { withBranches = false, detach = false }: RemoveFlags,
): {
  readonly branches: 'keep' | 'remove' | 'detach';
  readonly said: string;
  readonly done: string;
} {
  if (withBranches && detach)
    throw new ProxyError(
      'invalid_request',
      '--with-branches deletes them, --detach keeps them: it cannot be both.',
    );
  if (branches.length === 0) return { branches: 'keep', said: '', done: '' };
  const names = branches
    .map((one) => `  ${one.id}${one.directory === undefined ? '' : ` of ${one.directory}`}`)
    .join('\n');
  const these = branches.length === 1 ? 'a store goes' : `${branches.length} stores go`;
  if (withBranches)
    return {
      branches: 'remove',
      said: `\nWith it, for ever:\n${names}`,
      done: `\nAnd with it:\n${names}`,
    };
  if (detach)
    return {
      branches: 'detach',
      said: `\nThese go on from it and get copies of what they read of it:\n${names}`,
      done: `\nThese have copies now of what they read of it:\n${names}`,
    };
  throw new ProxyError('invalid_request', `From ${id} ${these} on:\n${names}`, {
    hint: 'Add --with-branches to delete them, too, or --detach to give them copies of what\nthey read of it. `rlm-opencode sessions log` shows them.',
  });
}

/**
 * What a session takes on the disk, bytes, its index counted. @throws ProxyError `unknown_session`
 * where there is no such session
 */
async function sessionSizeBytes(dataDir: string, id: string): Promise<number> {
  const sizeBytes = isSessionId(id) ? (await sizesOnDisk(dataDir)).get(id) : undefined;
  if (sizeBytes === undefined) throw unknownSession(id, dataDir);
  return sizeBytes;
}
