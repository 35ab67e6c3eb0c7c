import type { LineView } from '../text/line-view.ts';
import type { Hit, SearchTask } from './protocol.ts';

/**
 * Counts matches, several in a line each for itself, and keeps the hits that the query wants to
 * see. They come in any order.
 */
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

/**
 * Counts the lines in which matches over several lines start, and keeps the hits that the query
 * wants to see.
 */
export class MultilineList {
  /** Lines in which a match starts. */
  total = 0;
  readonly #task: SearchTask;
  readonly #view: LineView;
  #hits: Hit[] = [];
  /** Where the line of the last match ends. */
  #lineEnd = -1;

  constructor(task: SearchTask, view: LineView) {
    this.#task = task;
    this.#view = view;
  }

  /** The best hits in the query's order, at most one more than asked for. */
  get hits(): readonly Hit[] {
    const { query } = this.#task;
    const ordered = query.order === 'oldest' ? this.#hits : this.#hits.toReversed();
    return ordered.slice(0, query.maxResults + 1);
  }

  /** Takes in the next match, [start, end) in bytes of the file. */
  add(start: number, end: number): void {
    if (start <= this.#lineEnd) return;
    this.total++;
    this.#lineEnd = this.#view.lineEnd(start, this.#task.scope.endBytes);
    const { query, after } = this.#task;
    const wanted = query.maxResults + 1;
    if (query.order === 'oldest') {
      const isNew = after === undefined || start >= after;
      if (isNew && this.#hits.length < wanted) this.#hits.push({ at: start, end });
      return;
    }
    if (after !== undefined && start >= after) return;
    this.#hits.push({ at: start, end });
    if (this.#hits.length > 4 * wanted) this.#hits = this.#hits.slice(-wanted);
  }
}
