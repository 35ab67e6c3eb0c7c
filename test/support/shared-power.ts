import { deepEqual, equal, ok } from 'node:assert/strict';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Random } from '../../src/bench/random.ts';
import { createLogger } from '../../src/log.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { RecordedDisk } from '../faults/recorded-disk.ts';
import type { TestPostgres } from './postgres.ts';
import { filesOf, openMachine, sharedStore } from './shared-machines.ts';

/** A machine, and how often it has said that it fetches a replica anew. */
export type PowerMachine = SharedSessions & {
  readonly fetchedAnew: (sessionId?: string) => number;
};

/** What a machine went through: it has written a store, or fetched one with its branch. */
export type PowerWork = 'write' | 'fetch';

/** A machine's disk, and what the log has in the end. */
export interface RecordedMachine {
  readonly disk: RecordedDisk;
  readonly project: string;
  readonly branch?: string;
  readonly held: readonly unknown[];
  /** Operations of the disk until it was said that a text is forgotten. */
  readonly forgotten: number;
}

const secret = 'a secret that is forgotten';

/** A team's database, and what power cuts leave of its machines' replicas. */
export class SharedPower {
  readonly #postgres: TestPostgres;
  readonly #folder: string;

  /** @param folder For the machines' data directories */
  constructor(postgres: TestPostgres, folder: string) {
    this.#postgres = postgres;
    this.#folder = folder;
  }

  /** @param name Of its data directory @param bootId Names the start of the machine */
  async machine(
    name: string,
    bootId: string,
    options: Parameters<typeof openMachine>[2] & { readonly port?: number } = {},
  ): Promise<PowerMachine> {
    const said: string[] = [];
    const log = createLogger('info', (line) => void said.push(line));
    const { port = this.#postgres.port, ...rest } = options;
    const url = this.#postgres.url({ port });
    const sessions = await openMachine(join(this.#folder, name), url, { log, bootId, ...rest });
    const fetchedAnew = (sessionId = ''): number =>
      said.filter((line) => line.includes('is fetched anew') && line.includes(sessionId)).length;
    return Object.assign(sessions, { fetchedAnew });
  }

  /** The disk of a machine whose data directory has a name. */
  diskOf(name: string): RecordedDisk {
    return new RecordedDisk(join(this.#folder, name));
  }

  /** Lets a machine work, and keeps all that it does to its disk. */
  async record(work: PowerWork): Promise<RecordedMachine> {
    const project = `power-${work}`;
    const disk = this.diskOf(project);
    let forgotten = Infinity;
    let branch: string | undefined;
    if (work === 'write') {
      await using one = await this.machine(project, 'first', { files: disk.files });
      const session = await sharedStore(one, project);
      await fill(session, 0);
      await forget(one, session);
      forgotten = disk.operations.length;
      await fill(session, 4);
    } else {
      await using other = await this.machine(`${project}-other`, 'first');
      const session = await sharedStore(other, project);
      await fill(session, 0);
      // An archive takes the place of the rows.
      await forget(other, session);
      const made = await other.branch(session.id, { seq: 3 });
      await made.store.append([{ kind: 'user_text', text: 'of the branch\n' }]);
      branch = made.id;
      await using one = await this.machine(project, 'first', { files: disk.files });
      await forget(one, await sharedStore(one, project));
      forgotten = disk.operations.length;
      const there = await one.byId(branch);
      await there.store.append([{ kind: 'user_text', text: 'more of the branch\n' }]);
    }
    await using fresh = await this.machine(`${project}-fresh`, 'first');
    const recorded = { disk, project, forgotten, ...(branch !== undefined && { branch }) };
    return { ...recorded, held: await heldBy(fresh, recorded) };
  }

  /**
   * What a power cut before an operation may have left is the data directory of another machine.
   * @returns That directory
   */
  async cut(disk: RecordedDisk, name: string, at = disk.operations.length): Promise<string> {
    const folder = join(this.#folder, name);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    await disk.cutPower(at, folder, new Random(at));
    // It names this very process, which lives; after a power cut the one it names does not.
    for (const each of ['owner.json', 'owner.json.takeover'])
      await rm(join(folder, each), { force: true });
    return folder;
  }

  /**
   * Cuts the power before an operation, and starts the machine twice. @returns Whether anything was
   * fetched anew @throws where what is read is not what the log has, a forgotten text is on the
   * disk, or what was fetched is fetched again
   */
  async round(recorded: RecordedMachine, at: number): Promise<boolean> {
    const { disk, project, held, forgotten } = recorded;
    const name = `${project}-cut`;
    const folder = await this.cut(disk, name, at);
    if (at >= forgotten) ok(!(await textsIn(folder)).includes(secret), `forgotten, cut at ${at}`);
    let fetched: number;
    {
      await using next = await this.machine(name, 'second');
      deepEqual(await heldBy(next, recorded), held, `cut at ${at}`);
      ok(!(await textsIn(folder)).includes(secret), `forgotten, opened after a cut at ${at}`);
      fetched = next.fetchedAnew();
    }
    await using third = await this.machine(name, 'third');
    deepEqual(await heldBy(third, recorded), held, `started again, cut at ${at}`);
    equal(third.fetchedAnew(), 0, `fetched again, cut at ${at}`);
    return fetched > 0;
  }
}

/** Four texts, one of them in pieces, and values of chats. @param from Its first number */
export async function fill({ store, memory }: Session, from: number): Promise<void> {
  for (let number = from; number < from + 4; number += 1) {
    const times = number === 2 ? 60_000 : number * 30 + 1;
    const text = `text ${number} with a line\n`.repeat(times);
    await store.append([{ kind: 'user_text', text }]);
    await memory.put([{ key: `value ${number % 2}`, value: 'of a chat '.repeat(number) }]);
  }
}

/** What a store holds, and what its chats know. */
export async function heldIn(session: Session): Promise<unknown> {
  const { store, memory } = session;
  const texts: string[] = [];
  for (const entry of store.entries)
    texts.push(entry.forgotten === undefined ? await store.readEntry(entry) : 'forgotten');
  const values = [await memory.get('value 0'), await memory.get('value 1')];
  return { files: await filesOf(session), texts, values };
}

async function heldBy(
  machine: SharedSessions,
  { project, branch }: Pick<RecordedMachine, 'project' | 'branch'>,
): Promise<readonly unknown[]> {
  const branches = branch === undefined ? [] : [await heldIn(await machine.byId(branch))];
  return [...branches, await heldIn(await sharedStore(machine, project))];
}

async function forget(machine: SharedSessions, session: Session): Promise<void> {
  const [entry] = await session.store.append([{ kind: 'user_text', text: `${secret}\n` }]);
  await machine.forget(session.id, { whole: [entry!.seq], why: 'asked', mayComeAgain: true });
}

async function textsIn(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((each) => each.isFile());
  const all = await Promise.all(
    files.map(async ({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')),
  );
  return all.join('\n');
}
