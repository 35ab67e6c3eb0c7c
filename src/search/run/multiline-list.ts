import type { LineView } from '../text/line-view.ts';
import type { Hit, SearchTask } from './protocol.ts';

/** Counts the lines in which matches over several lines start, and keeps the hits that the query wants to see. */
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
