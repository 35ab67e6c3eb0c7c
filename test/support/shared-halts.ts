import { deepEqual, equal } from 'node:assert/strict';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { NewEntry, Session } from '../../src/store/types.ts';
import { HaltingProcess } from './halting-process.ts';
import type { TestPostgres } from './postgres.ts';
import { startRelay } from './relay.ts';
import { addTexts, filesOf, loseRows, openMachine, sharedStore } from './shared-machines.ts';

/** What a machine of a halted process has said that it keeps. */
interface Told {
  readonly texts: NewEntry[];
  readonly values: string[];
}

/** Where a machine is halted. */
export type HaltedWork =
  /** While it stores, the database there. */
  | 'append'
  /** While it stores, the database away. */
  | 'away'
  /** While it sends what has waited. */
  | 'drain'
  /** While it makes the first replica of a store. */
  | 'replay'
  /** While it has a store anew of which the database has lost rows, and the branches of that. */
  | 'anew';

/** Texts of all sizes: two in a row, one in pieces, one that came already. */
const texts: readonly (readonly NewEntry[])[] = [
  [output(1, 'first\n'.repeat(20)), output(2, 'second\n')],
  [output(3, 'third, in pieces\n'.repeat(80_000))],
  [output(4, 'second\n'), output(5, 'with \ud800 alone\n')],
];

function output(number: number, text: string): NewEntry {
  return { kind: 'tool_result', tool: 'bash', chatId: 'chat', toolCallId: `call_${number}`, text };
}

/** A team's database, and what becomes of what a machine stores that ends in the middle. */
export class SharedHalts {
  readonly #postgres: TestPostgres;
  readonly #folder: string;
  #runs = 0;

  /** @param folder For the machines' data directories */
  constructor(postgres: TestPostgres, folder: string) {
    this.#postgres = postgres;
    this.#folder = folder;
  }

  /**
   * Halts a machine after so many steps, and looks at what the next process has of its work and
   * what others have. @returns How many steps it took; fewer than asked for: it came to the end
   */
  async run(work: HaltedWork, steps: number): Promise<number> {
    this.#runs += 1;
    const project = `halted-${work}-${this.#runs}`;
    const dataDir = join(this.#folder, project);
    const machine = new HaltingProcess();
    await mkdir(dataDir);
    await using relay = await startRelay(this.#postgres.port, machine.step);
    const url = this.#postgres.url({ port: relay.port });
    const told: Told = { texts: [], values: [] };
    const options = { clock: machine.clock, files: machine.files, waitMs: 20_000 };
    if (work === 'replay') await this.#fill(project);
    if (work === 'away' || work === 'drain') {
      await using first = await openMachine(dataDir, url);
      await sharedStore(first, project);
    }
    if (work === 'drain') await this.#storeAway(dataDir, project, told);
    const branches = work === 'anew' ? await this.#lose(dataDir, project, told) : [];
    if (work === 'away') relay.hold();
    const waitMs = work === 'away' ? 1 : options.waitMs;
    machine.haltIn(steps);
    const before = machine.steps;
    let opened: SharedSessions | undefined;
    const working = (async (): Promise<void> => {
      opened = await openMachine(dataDir, url, { ...options, waitMs });
      const session = await sharedStore(opened, project);
      if (work === 'drain') await opened.drain();
      if (work === 'append' || work === 'away') await store(session, told);
      for (const id of branches) await opened.byId(id);
    })();
    await Promise.race([working, machine.halted]);
    working.catch(() => undefined);
    const taken = machine.steps - before;
    const copied = join(this.#folder, `${project}-next`);
    if (machine.isHalted) {
      await cp(dataDir, copied, { recursive: true });
      await rm(join(copied, 'owner.json'), { force: true });
    } else {
      // It came to the end of its work, and does not end in the middle of closing.
      machine.haltIn(Infinity);
      relay.release();
      await opened?.[Symbol.asyncDispose]();
    }
    await this.#look(machine.isHalted ? copied : dataDir, project, { told, work, branches });
    for (const folder of [dataDir, copied]) await rm(folder, { recursive: true, force: true });
    return taken;
  }

  /** Texts of another machine. */
  async #fill(project: string): Promise<void> {
    await using other = await openMachine(
      join(this.#folder, `${project}-other`),
      this.#postgres.url(),
    );
    const session = await sharedStore(other, project);
    await store(session, { texts: [], values: [] });
    for (let number = 10; number < 30; number += 1) {
      await session.store.append([output(number, `text ${number}\n`.repeat(number))]);
      await session.memory.put([{ key: `value ${number}`, value: number }]);
    }
  }

  /**
   * Rows of a store that a machine has, and that has a branch and one of that.
   * @returns The ids of these
   */
  async #lose(dataDir: string, project: string, told: Told): Promise<readonly string[]> {
    await using first = await openMachine(dataDir, this.#postgres.url());
    const session = await sharedStore(first, project);
    await store(session, told);
    const branch = await first.branch(session.id);
    await addTexts(branch, 'of the branch');
    const second = await first.branch(branch.id);
    await addTexts(second, 'of its branch');
    const head = `select head from rlm_session where id = '${session.id}'`;
    const behind = Number(await this.#postgres.sql(head));
    await addTexts(session, 'lost', 'lost, too');
    await loseRows(this.#postgres, session.id, behind);
    return [second.id, branch.id];
  }

  /** What waits on a machine for the database. */
  async #storeAway(dataDir: string, project: string, told: Told): Promise<void> {
    await using relay = await startRelay(1);
    const url = this.#postgres.url({ port: relay.port });
    await using away = await openMachine(dataDir, url, { waitMs: 1 });
    await store(await sharedStore(away, project), told);
  }

  /** Of what was told nothing is lost, and nothing is there twice. */
  async #look(
    dataDir: string,
    project: string,
    {
      told,
      work,
      branches,
    }: {
      readonly told: Told;
      readonly work: HaltedWork;
      readonly branches: readonly string[];
    },
  ): Promise<void> {
    const url = this.#postgres.url();
    await using next = await openMachine(dataDir, url);
    await next.drain();
    const session = await sharedStore(next, project);
    await expectTexts(session, told.texts);
    for (const key of told.values) equal(await session.memory.get(key), `of ${key}`);
    if (work === 'append' || work === 'away') {
      // The client sends its history again.
      await store(session, { texts: [], values: [] });
      await expectTexts(session, texts.flat());
      equal(session.store.totals.entries, 4);
    }
    await using fresh = await openMachine(`${dataDir}-fresh`, url);
    await expectSame(session, await sharedStore(fresh, project));
    for (const id of branches) {
      const branch = await next.byId(id);
      await expectTexts(branch, told.texts);
      await expectSame(branch, await fresh.byId(id));
      await addTexts(branch, 'goes on');
    }
    await rm(`${dataDir}-fresh`, { recursive: true, force: true });
  }
}

async function expectSame(one: Session, other: Session): Promise<void> {
  deepEqual(other.store.entries, one.store.entries);
  equal(await filesOf(other), await filesOf(one));
}

/** Stores everything, and says what of it is kept. */
async function store({ store: into, memory }: Session, told: Told): Promise<void> {
  for (const [at, group] of texts.entries()) {
    await into.append(group);
    told.texts.push(...group);
    const key = `value ${at}`;
    await memory.put([{ key, value: `of ${key}` }]);
    told.values.push(key);
  }
}

async function expectTexts({ store: from }: Session, wanted: readonly NewEntry[]): Promise<void> {
  for (const { toolCallId, text } of wanted) {
    const outputs = from.outputsOf('chat', toolCallId!);
    equal(outputs.length, 1, toolCallId);
    equal(await from.readEntry(outputs[0]!.entry), (text as string).toWellFormed());
  }
}
