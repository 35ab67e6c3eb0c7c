import type { Entry, SessionStore } from '../store/types.ts';
import { isoTime } from './trace-end.ts';
import type { TurnFiles } from './turn-files.ts';

/** How a turn came to an entry. */
export type Touch = 'captured' | 'read';

/** What an outline of a text is: its type, and lines that tell what it holds. */
export type OutlineOf = (head: string) => {
  readonly type: string;
  readonly items: readonly string[];
};

/** Entries that are listed; more are counted. */
const maxListed = 10_000;

/** Characters from the beginning of a text that its outline is made of. */
const outlineChars = 20_000;

/** Characters of a text that are read and written at once. */
const sliceChars = 1_048_576;

/** The entries that a turn stored or read. */
export class TouchedEntries {
  readonly #touched = new Map<Entry, { readonly store: SessionStore; readonly how: Set<Touch> }>();
  #unlisted = 0;

  add(store: SessionStore, entry: Entry, how: Touch): void {
    const known = this.#touched.get(entry);
    if (known !== undefined) known.how.add(how);
    else if (this.#touched.size >= maxListed) this.#unlisted += 1;
    else this.#touched.set(entry, { store, how: new Set([how]) });
  }

  /**
   * Writes `entries.json`, and where texts are wanted each as `entry-<id>.txt` (with the session's
   * id before it where there are several sessions). Reads the store, in bounded memory.
   */
  async write(
    files: TurnFiles,
    options: { readonly outlineOf: OutlineOf; readonly withTexts: boolean },
  ): Promise<void> {
    const sessionIds = new Set([...this.#touched.values()].map(({ store }) => store.sessionId));
    const entries: unknown[] = [];
    for (const [entry, { store, how }] of this.#touched) {
      if (files.isGivenUp) return;
      const { sessionId } = store;
      const textFile = `entry-${sessionIds.size === 1 ? '' : `${sessionId}-`}${entry.id}.txt`;
      const hasText = options.withTexts && (await writeText(files, textFile, store, entry));
      entries.push({
        session: sessionId,
        id: entry.id,
        how: [...how],
        sha256: entry.sha256,
        ...factsOf(entry),
        outline: storedOutline(entry) ?? (await outlineIn(store, entry, options.outlineOf)),
        ...(hasText ? { text: textFile } : {}),
      });
    }
    files.json('entries.json', {
      entries,
      ...(this.#unlisted === 0 ? {} : { unlisted: this.#unlisted }),
    });
  }
}

function factsOf(entry: Entry): Readonly<Record<string, unknown>> {
  const { kind, tool, path, note, toolCallId, timeMs, lengthChars, lengthBytes, lineCount } = entry;
  const { args, chatId, call, offsetChars, lineNumber } = entry;
  return {
    kind,
    tool,
    path,
    note,
    toolCallId,
    args,
    chatId,
    call,
    storedAt: isoTime(timeMs),
    offsetChars,
    lineNumber,
    lengthChars,
    lengthBytes,
    lineCount,
  };
}

function storedOutline({ outline }: Entry): ReturnType<OutlineOf> | undefined {
  return outline === undefined ? undefined : { type: outline.kind, items: outline.items };
}

/** Undefined where the text cannot be read any more: damaged, or its session deleted meanwhile. */
async function outlineIn(
  store: SessionStore,
  entry: Entry,
  outlineOf: OutlineOf,
): Promise<ReturnType<OutlineOf> | undefined> {
  try {
    const { text } = await store.read(entry.offsetChars, Math.min(entry.lengthChars, outlineChars));
    return outlineOf(text);
  } catch {
    return undefined;
  }
}

/** Whether all of the text could be read. */
async function writeText(
  files: TurnFiles,
  name: string,
  store: SessionStore,
  entry: Entry,
): Promise<boolean> {
  try {
    const endChars = entry.offsetChars + entry.lengthChars;
    for (let at = entry.offsetChars; at < endChars; at += sliceChars) {
      const { text } = await store.read(at, Math.min(sliceChars, endChars - at));
      await files.append(name, Buffer.from(text));
    }
    return true;
  } catch {
    return false;
  } finally {
    files.finish(name);
  }
}
