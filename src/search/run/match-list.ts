import type { Hit, SearchTask } from './protocol.ts';

/** Counts matches, several in a line each for itself, and keeps the hits that the query wants to see. They come in any order. */
export class MatchList {
  /** Matches in all. */
  total = 0;
  readonly #task: SearchTask;
  readonly #wanted: number;
  #hits: Hit[] = [];

  constructor(task: SearchTask) {
    this.#task = task;
    this.#wanted = task.query.maxResults + 1;
  }

  /** The best hits in the query's order, at most one more than asked for. */
  get hits(): readonly Hit[] {
    this.#keepBest();
    return this.#hits;
  }

  /** Takes in a match, [start, end) in bytes of the file. */
  add(start: number, end: number): void {
    this.total++;
    const { query, after } = this.#task;
    const isNew =
      after === undefined || (query.order === 'oldest' ? start >= after : start < after);
    if (!isNew) return;
    this.#hits.push({ at: start, end });
    if (this.#hits.length > 4 * this.#wanted + 1_024) this.#keepBest();
  }

  #keepBest(): void {
    const sign = this.#task.query.order === 'oldest' ? 1 : -1;
    this.#hits.sort((a, b) => sign * (a.at - b.at));
    this.#hits = this.#hits.slice(0, this.#wanted);
  }
}
