import { systemClock } from '../../src/clock.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { sharedStore } from './shared-machines.ts';

/** What has become of what several machines have stored while something failed. */
export interface LoadReport {
  /** Texts of which a machine was told that they are kept. */
  readonly acknowledged: number;
  /** Of these, the texts that are not there. */
  readonly lost: number;
  /** And those that are there more than once. */
  readonly twice: number;
  /** The longest that storing a text took, milliseconds. */
  readonly longestStallMs: number;
  /** Texts that were refused: nobody was told that they are kept. */
  readonly refused: number;
}

/** Machines that store one text after the other in one project, until they are stopped. */
export class SharedLoad {
  readonly #machines: readonly SharedSessions[];
  readonly #project: string;
  readonly #told = new Map<string, string>();
  readonly #writing: readonly Promise<void>[];
  #isStopped = false;
  #refused = 0;
  #longestStallMs = 0;

  /** @param stores The project's store as each of the machines has it */
  private constructor(
    machines: readonly SharedSessions[],
    stores: readonly Session[],
    project: string,
  ) {
    this.#machines = machines;
    this.#project = project;
    this.#writing = stores.map(async (session, at) => this.#write(session, at));
  }

  static async start(machines: readonly SharedSessions[], project: string): Promise<SharedLoad> {
    const stores = await Promise.all(machines.map(async (each) => sharedStore(each, project)));
    return new SharedLoad(machines, stores, project);
  }

  /** Texts that are kept so far. */
  get acknowledged(): number {
    return this.#told.size;
  }

  /** Resolves when so many more texts are kept. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged + count;
    while (this.acknowledged < wanted) await systemClock.sleep(5);
  }

  /** @param fresh A machine that has nothing of the project yet */
  async end(fresh: SharedSessions): Promise<LoadReport> {
    this.#isStopped = true;
    await Promise.all(this.#writing);
    for (const machine of this.#machines) {
      // What an outage at this moment keeps waiting is sent after it.
      while (machine.shared.state.isAway || machine.shared.state.waiting.rows !== 0) {
        await machine.drain();
        await systemClock.sleep(20);
      }
    }
    const { store } = await sharedStore(fresh, this.#project);
    let lost = 0;
    let twice = 0;
    for (const [toolCallId, text] of this.#told) {
      const outputs = store.outputsOf('load', toolCallId);
      if (outputs.length > 1) twice += 1;
      const [output] = outputs;
      if (output === undefined || (await store.readEntry(output.entry)) !== text) lost += 1;
    }
    const texts = new Set(store.entries.map(({ sha256 }) => sha256));
    return {
      acknowledged: this.acknowledged,
      lost,
      twice: twice + store.entries.length - texts.size,
      longestStallMs: Math.round(this.#longestStallMs),
      refused: this.#refused,
    };
  }

  async #write({ store }: Session, machine: number): Promise<void> {
    for (let number = 1; !this.#isStopped; number += 1) {
      const toolCallId = `call_${machine}_${number}`;
      // A small one, a group's worth, and now and then one that lies in pieces.
      const lines = number % 40 === 39 ? 60_000 : 1 + ((number * 37) % 400);
      const text = `${toolCallId} of machine ${machine}\n`.repeat(lines);
      const sinceMs = systemClock.elapsedMs();
      try {
        await store.append([
          { kind: 'tool_result', tool: 'bash', chatId: 'load', toolCallId, text },
        ]);
        this.#told.set(toolCallId, text);
      } catch {
        this.#refused += 1;
        // Whoever is refused at once leaves the others their time.
        await systemClock.sleep(10);
      }
      this.#longestStallMs = Math.max(this.#longestStallMs, systemClock.elapsedMs() - sinceMs);
    }
  }
}
