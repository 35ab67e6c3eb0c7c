/** Something that waits for its turn. */
interface Waiting {
  readonly owner: object;
  readonly start: () => void;
  /** Those of one group need one place together. */
  readonly group?: object | undefined;
}

/**
 * Lets so many at a time work and keeps the others waiting. Whoever has the fewest at work gets the
 * next free place, and among those the one whose last turn (or first coming) is the longest ago: an
 * owner with many questions does not keep back one with a single question.
 */
export class TurnQueue {
  readonly #places: number;
  readonly #working = new Map<object, number>();
  readonly #waiting: Waiting[] = [];
  /** How many of a group are at work. */
  readonly #inGroup = new Map<object, number>();
  /** The turn that an owner had last; for one that has had none, the turn when it came. */
  readonly #lastTurn = new WeakMap<object, number>();
  #count = 0;
  #turns = 0;

  /** `places` are how many may work at once. */
  constructor(places: number) {
    this.#places = places;
  }

  /**
   * Calls `start` when there is a place, at once if there is one. The place is kept until {@link
   * TurnQueue.leave}; a group keeps its one place until all who were let in have left.
   */
  enter(owner: object, start: () => void, group?: object): void {
    if (group !== undefined && this.#inGroup.has(group)) {
      this.#join(group);
      start();
      return;
    }
    if (!this.#lastTurn.has(owner)) this.#lastTurn.set(owner, this.#turns);
    this.#waiting.push({ owner, start, group });
    this.#next();
  }

  /** Gives a place back. */
  leave(owner: object, group?: object): void {
    if (group !== undefined) {
      const others = (this.#inGroup.get(group) ?? 1) - 1;
      if (others > 0) {
        this.#inGroup.set(group, others);
        return;
      }
      this.#inGroup.delete(group);
    }
    const left = (this.#working.get(owner) ?? 1) - 1;
    if (left === 0) this.#working.delete(owner);
    else this.#working.set(owner, left);
    this.#count--;
    this.#next();
  }

  /** Forgets one that waits; false if it waits no more. */
  cancel(start: () => void): boolean {
    const index = this.#waiting.findIndex((waiting) => waiting.start === start);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  #next(): void {
    while (this.#count < this.#places && this.#waiting.length > 0) {
      let best = 0;
      for (let i = 1; i < this.#waiting.length; i++) {
        if (this.#isBefore(this.#waiting[i]!.owner, this.#waiting[best]!.owner)) best = i;
      }
      const [{ owner, start, group }] = this.#waiting.splice(best, 1) as [Waiting];
      this.#count++;
      this.#lastTurn.set(owner, ++this.#turns);
      this.#working.set(owner, (this.#working.get(owner) ?? 0) + 1);
      if (group !== undefined) this.#join(group);
      start();
      if (group !== undefined) this.#letIn(group);
    }
  }

  #join(group: object): void {
    this.#inGroup.set(group, (this.#inGroup.get(group) ?? 0) + 1);
  }

  /** All others of a group that has a place. */
  #letIn(group: object): void {
    const all = this.#waiting.splice(0);
    this.#waiting.push(...all.filter((waiting) => waiting.group !== group));
    for (const { start } of all.filter((waiting) => waiting.group === group)) {
      this.#join(group);
      start();
    }
  }

  #isBefore(a: object, b: object): boolean {
    const difference = (this.#working.get(a) ?? 0) - (this.#working.get(b) ?? 0);
    return difference < 0 || (difference === 0 && this.#lastTurn.get(a)! < this.#lastTurn.get(b)!);
  }
}

/** One that takes a place in a queue, changes to another and leaves, wherever it is then. */
export class QueuePlace {
  readonly #owner: object;
  /** With whom the place is shared; in the first queue only. */
  #group: object | undefined;
  #queue: TurnQueue;
  #start: (() => void) | undefined;

  constructor(queue: TurnQueue, owner: object, group?: object) {
    this.#queue = queue;
    this.#owner = owner;
    this.#group = group;
  }

  /** Waits for a place; `start` is called with it. */
  wait(start: () => void): void {
    this.#start = start;
    this.#queue.enter(this.#owner, start, this.#group);
  }

  /** Gives the place back and waits for one in another queue. */
  change(queue: TurnQueue, start: () => void): void {
    this.leave();
    this.#group = undefined;
    this.#queue = queue;
    this.wait(start);
  }

  /** Gives the place back, or waits no more. */
  leave(): void {
    const start = this.#start;
    this.#start = undefined;
    if (start !== undefined && !this.#queue.cancel(start))
      this.#queue.leave(this.#owner, this.#group);
  }
}
