import type { Outliner, OutlineText } from '../outline/outliner.ts';
import type { Entry, EntryOutline, NewEntry, SessionStore } from '../store/types.ts';

/** An earlier output is compared with if it is at most so long, characters. */
const comparedChars = 2_000_000;

/** How many outputs of a tool are looked through for the same command. */
const lookedThrough = 2_000;

/** What stands for good in the entry of a text whose outline was not ready. */
const none: EntryOutline = { kind: 'text', items: [] };

/** Outlines the new texts of one turn, within a time that is for all of them together. */
export class TurnOutlines {
  readonly #outliner: Outliner;
  #leftMs: number;

  /** `waitMs`: all that the turn waits, milliseconds. */
  constructor(outliner: Outliner, waitMs: number) {
    this.#outliner = outliner;
    this.#leftMs = waitMs;
  }

  /** In the texts' order. Never rejects. */
  async of(store: SessionStore, texts: readonly NewEntry[]): Promise<readonly EntryOutline[]> {
    const wanted: OutlineText[] = [];
    for (const { text, path, ...facts } of texts) {
      const before = await textBefore(store, facts);
      wanted.push({ text, path, ...(before === undefined ? {} : { before }) });
    }
    const { outlines, tookMs } = await this.#outliner.outlines(wanted, this.#leftMs);
    this.#leftMs -= tookMs;
    return outlines.map((outline) => outline ?? none);
  }
}

/** What the same command printed when it last printed something new. */
async function textBefore(
  store: SessionStore,
  { tool, call }: Pick<NewEntry, 'tool' | 'call'>,
): Promise<OutlineText['before']> {
  if (tool === undefined || call === undefined) return undefined;
  const before = lastOf(store.list.tools.get(tool)?.entries ?? [], call);
  if (before === undefined || before.lengthChars > comparedChars) return undefined;
  try {
    return { id: before.id, text: await store.readEntry(before) };
  } catch {
    // Its text is damaged: whoever reads it is told so; here there is only nothing to compare with.
    return undefined;
  }
}

function lastOf(entries: readonly Entry[], call: string): Entry | undefined {
  const end = Math.max(0, entries.length - lookedThrough);
  for (let at = entries.length - 1; at >= end; at -= 1)
    if (entries[at]?.call === call) return entries[at];
  return undefined;
}
