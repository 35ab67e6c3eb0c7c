import { ProxyError } from '../errors.ts';
import { unknownSession } from '../store/disk/session-paths.ts';
import { isOtherBases } from '../store/session/replay.ts';
import type { ChatRecord, Moment } from '../store/types.ts';
import type { LogHead } from './database/log-table.ts';
import { encodeRow, type LogOperation } from './log.ts';
import { positionKey, readRow, Replica } from './replica.ts';
import { type LogParts, missingRow, type SharedLog } from './shared-log.ts';

/**
 * A branch reads from so many files of others at most: each costs a descriptor and an opening.
 * Locally older ones are copied; what is the same on all machines is no copy of one of them.
 */
const maxBases = 64;
/** What chats remember goes over so many values at a time. */
const recordsAtOnce = 200;

/** What {@link Branches} needs beside what all logs share. */
interface BranchParts extends LogParts {
  /** The log of a store, with all of it here. */
  readonly logOf: (sessionId: string) => Promise<SharedLog>;
  /** That of one whose texts a store reads which is being opened. */
  readonly baseOf: (sessionId: string, base: string) => Promise<SharedLog>;
  /** A name for a new store. */
  readonly newId: () => string;
}

/**
 * Branches of shared stores. A branch has a log of its own, whose first row says which beginnings
 * of which other stores it goes on from; every machine makes the same files of that. What chats
 * remembered at the moment follows in further rows: other machines may not know any more what a
 * value was then.
 */
export class Branches {
  readonly #parts: BranchParts;

  constructor(parts: BranchParts) {
    this.#parts = parts;
  }

  /** See `Sessions.branch`. @throws ProxyError `store_away`, as that does */
  async make(source: SharedLog, moment: Moment, name?: string): Promise<SharedLog> {
    const { table, sessions, seal, uuid, nextN, newId, logOf } = this.#parts;
    await source.catchUp();
    const start = await sessions.branchStart(source.id, moment, name);
    const bases = start.ranges.map(({ sessionId }) => sessionId);
    if (bases.length > maxBases) throw tooManyBases(source.id);
    const id = newId();
    const of = bases.at(-1) ?? source.id;
    const operation: LogOperation = { op: 'base', of, ...start };
    const { facts } = await encodeRow([operation], []);
    const writer = uuid();
    const n = nextN();
    await table.newBranch(
      id,
      { session: source.id, bases },
      { writer, n, facts: seal.close(facts, `${id}/${writer}/${n}/facts`) },
    );
    try {
      const branch = await logOf(id);
      let records: ChatRecord[] = [];
      for await (const record of sessions.remembered(source.id, moment)) {
        if (record.key === positionKey) continue;
        records.push(record);
        if (records.length < recordsAtOnce) continue;
        await branch.remember(records);
        records = [];
      }
      if (records.length > 0) await branch.remember(records);
      return branch;
    } catch (error) {
      // Nobody was told of it, and nobody is to find half of what its chats knew.
      await table.remove(id).catch(() => undefined);
      throw error;
    }
  }

  /**
   * The files of a branch of which there is nothing here yet. @returns Undefined where an archive
   * has taken the place of its first row meanwhile
   * @throws ProxyError `store_away`; `store_corrupt` where the log has lost what it begins with;
   *   `unknown_session`
   */
  async begin({ id, createdMs, bases }: LogHead): Promise<Replica | undefined> {
    const { table, sessions, seal } = this.#parts;
    for await (const stored of table.copy(id, 0, 1)) {
      const { ops } = await readRow(stored, seal);
      const [first] = ops;
      if (first?.op !== 'base') break;
      for (const base of new Set(bases)) {
        const log = await this.#parts.baseOf(id, base);
        const wanted = first.ranges.find(({ sessionId }) => sessionId === base)?.records ?? 0;
        if ((await log.records()) < wanted) await log.catchUp();
      }
      try {
        await sessions.branchAs(first.of, first, { id, key: `shared:${id}`, createdMs });
      } catch (error) {
        throw isOtherBases(error) ? lostBeginning(id, bases, error) : error;
      }
      const replica = (await Replica.open(sessions, id))!;
      await replica.begin(1);
      return replica;
    }
    const head = await table.head(id);
    if (head === undefined) throw unknownSession(id);
    if (head.base === undefined) throw missingRow(id, 0);
    return undefined;
  }
}

/**
 * The log of a branch is there, and what it goes on from is not, or is not what it was: none of its
 * texts can be given its place.
 */
export function lostBeginning(
  sessionId: string,
  bases: readonly string[],
  cause: unknown,
): ProxyError {
  const of = [...new Set(bases)].join(', ');
  return new ProxyError(
    'store_corrupt',
    `${sessionId} cannot be read: the shared store has lost texts of ${of}, from which it goes on.`,
    {
      cause,
      hint: `\`rlm-opencode sessions rm ${sessionId} --yes\` deletes it; a backup of the database may have what is lost (docs/team.md, standbys).`,
    },
  );
}

/** The archive that has taken the place of a store's rows cannot be used. */
export function unusableArchive(
  sessionId: string,
  bases: readonly string[],
  cause: unknown,
): ProxyError {
  const orLost = bases.length === 0 ? '' : `, or it has lost texts of ${bases.join(', ')}`;
  return new ProxyError(
    'store_corrupt',
    `${sessionId} cannot be read: its archive in the shared store is damaged${orLost}.`,
    {
      cause,
      hint: 'Another machine may have it whole: `sessions export` there. What to do then: docs/team.md, a damaged log.',
    },
  );
}

/** Stores that are read from are not deleted without those that read. */
export function hasBranches(sessionId: string, branches: readonly string[]): ProxyError {
  return new ProxyError(
    'invalid_request',
    `${sessionId} was not deleted: ${branches.join(', ')} read${branches.length === 1 ? 's' : ''} texts of it.`,
    { hint: 'Add --with-branches to delete them, too.' },
  );
}

/** Branches of a shared store keep no copies of what they read. */
export function cannotDetach(sessionId: string): ProxyError {
  return new ProxyError(
    'invalid_request',
    `${sessionId} is shared: branches of it read its texts on every machine, and cannot be given copies of them.`,
    {
      hint: 'Delete the branches, too (--with-branches), or keep it. `sessions export` of a branch holds everything that it reads.',
    },
  );
}

function tooManyBases(sessionId: string): ProxyError {
  return new ProxyError(
    'invalid_request',
    `${sessionId} goes on from ${maxBases} other stores already: no further branch of it can be made.`,
    { hint: '`sessions log` shows the line; branch off from one that is nearer to its beginning.' },
  );
}
