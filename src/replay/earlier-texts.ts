import type { NewEntry, SessionStore } from '../store/types.ts';
import type { RecordedEntry, RecordedStore, RecordedTurn } from './recorded-turn.ts';

/** A text of a store that is in the trace. */
interface KnownText {
  readonly entry: RecordedEntry;
  readonly turn: RecordedTurn;
}

/** Characters that are made at once to stand in for a text that is not in the trace. */
const pieceChars = 65_536;

/** What the traces of several turns hold of the texts of stores, each once. */
export class KnownTexts {
  readonly #bySession = new Map<string, Map<number, KnownText>>();

  add(turn: RecordedTurn): void {
    for (const entry of turn.entries) {
      if (entry.text === undefined || entry.offsetChars === undefined) continue;
      const texts = this.#bySession.get(entry.session) ?? new Map<number, KnownText>();
      this.#bySession.set(entry.session, texts);
      texts.set(seqOf(entry), { entry, turn });
    }
  }

  /** Those of a store with numbers above `after` and up to `last`, ascending. */
  between(session: string, after: number, last: number): readonly KnownText[] {
    const texts = this.#bySession.get(session) ?? new Map<number, KnownText>();
    return [...texts]
      .filter(([seq]) => seq > after && seq <= last)
      .sort(([one], [other]) => one - other)
      .map(([, known]) => known);
  }
}

/**
 * Brings a store to where it was when a turn came: with the texts that are in the trace, and in
 * place of the others with as many, as long ones, so that numbers and places are the same.
 * @returns How many texts are not what they were
 */
export async function fillStore(
  store: SessionStore,
  recorded: RecordedStore,
  known: KnownTexts,
): Promise<number> {
  let madeUp = 0;
  const fillUp = async (to: { entries: number; chars: number; lines: number }): Promise<void> => {
    madeUp += Math.max(0, to.entries - store.totals.entries);
    await standIn(store, to);
  };
  for (const { entry, turn } of known.between(
    recorded.id,
    store.totals.entries,
    recorded.entries,
  )) {
    const { offsetChars = 0, lineNumber = 1 } = entry;
    await fillUp({ entries: seqOf(entry) - 1, chars: offsetChars, lines: lineNumber - 1 });
    await store.append([newEntry(entry, await turn.text(entry))]);
  }
  await fillUp(recorded);
  return madeUp;
}

/** Texts that nobody wrote, up to these totals as far as that can be had. */
async function standIn(
  store: SessionStore,
  to: { readonly entries: number; readonly chars: number; readonly lines: number },
): Promise<void> {
  while (store.totals.entries < to.entries) {
    const { entries, chars, lines } = store.totals;
    // Short, so that it fits in the place of nearly any text; of no other entry.
    const name = `…${entries + 1}`;
    const isLast = entries + 1 === to.entries;
    // The store itself ends it with a newline.
    const newlines = isLast ? Math.max(0, to.lines - lines - 1) : 0;
    const rest = isLast ? Math.max(0, to.chars - chars - name.length - newlines - 1) : 0;
    await store.appendStream({ kind: 'tool_result', chunks: filler(name, newlines, rest) });
    // A store that holds just this text already takes no second one.
    if (store.totals.entries === entries) return;
  }
}

async function* filler(name: string, newlines: number, dots: number): AsyncGenerator<Buffer> {
  yield Buffer.from(name);
  for (const [piece, count] of [
    ['\n', newlines],
    ['.', dots],
  ] as const)
    for (let left = count; left > 0; left -= pieceChars)
      yield Buffer.from(piece.repeat(Math.min(left, pieceChars)));
}

/** What is known of an entry beside its text; number and place are the store's to give. */
function newEntry({ storedAt, outline, ...entry }: RecordedEntry, text: Buffer): NewEntry {
  const { session: _, id: _id, offsetChars: _at, lengthChars: _chars, ...told } = entry;
  const { lineNumber: _line, lineCount: _lines, text: _name, ...facts } = told;
  return {
    ...facts,
    text,
    timeMs: Date.parse(storedAt),
    ...(outline && { outline: { kind: outline.type, items: outline.items } }),
  };
}

function seqOf({ id }: RecordedEntry): number {
  return Number(id.slice(1));
}
