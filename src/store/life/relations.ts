import type { BaseRange } from '../types.ts';

/** A session that holds a copy of others' texts, so that branches need fewer files. */
export interface SessionCopy {
  readonly id: string;
  readonly copyOf: readonly BaseRange[];
}

/** Which sessions read whose texts, and which hold copies of them. */
export class Relations {
  readonly #sessions: readonly { readonly id: string; readonly bases?: readonly BaseRange[] }[];
  readonly #copies: readonly SessionCopy[];

  constructor(
    sessions: readonly { readonly id: string; readonly bases?: readonly BaseRange[] }[],
    copies: readonly SessionCopy[],
  ) {
    this.#sessions = sessions;
    this.#copies = copies;
  }

  /** Whether any text may lie in more than one file. */
  get hasCopies(): boolean {
    return this.#copies.length > 0;
  }

  /** The sessions that read texts from the files of one. */
  readersOf(sessionId: string): readonly string[] {
    const isOf = ({ sessionId: base }: BaseRange): boolean => base === sessionId;
    return this.#sessions.filter(({ bases }) => bases?.some(isOf)).map(({ id }) => id);
  }

  /**
   * The sessions in whose own files a text lies that is number `seq` in what `ranges` name: where
   * it came, as long as that is there, and copies of it. A copy keeps all numbers.
   */
  ownersOf(ranges: readonly BaseRange[], seq: number): readonly string[] {
    const found = new Set<string>();
    const isThere = (id: string): boolean => this.#sessions.some((session) => session.id === id);
    const first = holderOf(ranges, seq);
    const wanted = first === undefined ? [] : [first];
    for (const id of wanted) {
      if (found.has(id)) continue;
      found.add(id);
      for (const copy of this.#copies) {
        const origin = holderOf(copy.copyOf, seq);
        if (copy.id === id && origin !== undefined) wanted.push(origin);
        if (origin === id) wanted.push(copy.id);
      }
    }
    return [...found].filter(isThere);
  }
}

/** In whose range a text lies. */
function holderOf(ranges: readonly BaseRange[], seq: number): string | undefined {
  return ranges.find(({ end }) => seq <= end.entries)?.sessionId;
}
