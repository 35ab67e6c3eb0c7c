import type { ErrorCode } from '../errors.ts';

/** Upper ends of the classes that times of searches are counted in, seconds. */
export const searchSeconds: readonly number[] = [
  0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60,
];

/** How long searches took, from the asking to the answer. */
export interface SearchTimes {
  /** How many are in each class of {@link searchSeconds}, and at the end those above them all. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/**
 * Counts what is done here since the start, for `/metrics`. Nothing is kept but numbers, under
 * names that are our own: what a model or a client calls something does not come in.
 */
export class WorkCounts {
  readonly #tools: ReadonlySet<string>;
  readonly #calls = new Map<string, number>();
  readonly #retries = new Map<ErrorCode, number>();
  readonly #faults = new Map<ErrorCode, number>();
  readonly #searches: number[] = Array.from({ length: searchSeconds.length + 1 }, () => 0);
  #searchMs = 0;

  /** @param tools Names of all of our tools; a call of any other is counted as `other` */
  constructor(tools: readonly string[]) {
    this.#tools = new Set(tools);
    for (const name of [...tools, 'other']) this.#calls.set(name, 0);
  }

  /** Calls of our tools, also those of sub-models, over MCP and by commands. */
  get calls(): ReadonlyMap<string, number> {
    return this.#calls;
  }

  /** Attempts that were repeated, by what had failed. */
  get retries(): ReadonlyMap<ErrorCode, number> {
    return this.#retries;
  }

  /** Requests that were answered with an error, by its code. */
  get faults(): ReadonlyMap<ErrorCode, number> {
    return this.#faults;
  }

  get searches(): SearchTimes {
    return { counts: this.#searches, sumSeconds: this.#searchMs / 1000 };
  }

  /** A model calls one of our tools, by whatever name. */
  noteCall(name: string): void {
    add(this.#calls, this.#tools.has(name) ? name : 'other');
  }

  noteRetry(code: ErrorCode): void {
    add(this.#retries, code);
  }

  noteFault(code: ErrorCode): void {
    add(this.#faults, code);
  }

  noteSearch(ms: number): void {
    const at = searchSeconds.findIndex((end) => ms <= end * 1000);
    this.#searches[at < 0 ? searchSeconds.length : at]! += 1;
    this.#searchMs += ms;
  }
}

function add<Name>(counts: Map<Name, number>, name: Name): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
