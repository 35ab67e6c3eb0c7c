import type { LineView } from '../text/line-view.ts';
import { HitOrder } from './hit-order.ts';
import type { Hit, SearchTask } from './protocol.ts';

/**
 * Counts matches, several in a line each for itself, and keeps the hits that the query wants to
 * see. They come in any order.
 */
export class MatchList {
  /** Matches in all. */
  total = 0;
  readonly #order: HitOrder;
  readonly #wanted: number;
  #hits: Hit[] = [];

  constructor(task: SearchTask) {
    this.#order = new HitOrder(task);
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
    if (!this.#order.isNew(start)) return;
    this.#hits.push({ at: start, end });
    if (this.#hits.length > 4 * this.#wanted + 1_024) this.#keepBest();
  }

  #keepBest(): void {
    this.#hits.sort((a, b) => this.#order.compare(a.at, b.at));
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
  readonly #list: MatchList;
  readonly #task: SearchTask;
  readonly #view: LineView;
  /** Where the line of the last match ends. */
  #lineEnd = -1;

  constructor(task: SearchTask, view: LineView) {
    this.#list = new MatchList(task);
    this.#task = task;
    this.#view = view;
  }

  /** The best hits in the query's order, at most one more than asked for. */
  get hits(): readonly Hit[] {
    return this.#list.hits;
  }

  /** Takes in the next match, [start, end) in bytes of the file. */
  add(start: number, end: number): void {
    if (start <= this.#lineEnd) return;
    this.total++;
    this.#lineEnd = this.#view.lineEnd(start, this.#task.scope.endBytes);
    this.#list.add(start, end);
  }
}
