import { goneSentence } from '../../store/text/gone-text.ts';
import type { Entry, Forgetting, SessionStore, TextSlice } from '../../store/types.ts';
import { namesOf } from '../entry-choice.ts';
import { lineInEntry, storeLineAt } from '../entry-lines.ts';
import { labelOf, marksOf } from '../entry-title.ts';
import { countChars } from '../pieces.ts';
import type { ResultForm } from '../result-form.ts';

/** What is read, in characters of the whole context; end exclusive. */
export interface Stretch {
  /** Whose text it is; none behind the end of everything. */
  readonly entry: Entry | undefined;
  /** Whether offsets are told from the start of the entry, as the call counted them. */
  readonly isNamed: boolean;
  readonly startChars: number;
  readonly endChars: number;
  /** Line of the start, in the entry, where it is known. */
  readonly firstLine?: number;
  /** Set where all that was asked for is read: then nothing is said of what comes behind. */
  readonly isComplete?: boolean;
  /** The end that is cut back to whole lines. */
  readonly atLineBorders: 'start' | 'end' | undefined;
  /** Where a read goes on that has come to the end of its entry, of the whole context. */
  readonly nextChars?: number;
  /** The offset that was asked for, where there is nothing. */
  readonly askedOffset?: number;
  readonly notes: readonly string[];
}

/** Reads a stretch and writes it down for whoever asked. */
export async function readAnswer(
  asked: Stretch,
  store: SessionStore,
  form: ResultForm,
): Promise<string> {
  const { entry, isNamed } = asked;
  if (entry?.forgotten !== undefined) return goneAnswer(entry, entry.forgotten, form);
  const slice = await readStretch(asked, store);
  const base = isNamed ? (entry?.offsetChars ?? 0) : 0;
  const total = isNamed ? (entry?.lengthChars ?? 0) : store.totals.chars;
  const start = slice.offsetChars - base;
  const end = start + slice.lengthChars;
  const entryEnd = entry === undefined ? 0 : entry.offsetChars + entry.lengthChars;
  const isInside = slice.offsetChars + slice.lengthChars < entryEnd;
  const next = asked.nextChars ?? (isInside ? end : undefined);
  const firstLine =
    asked.firstLine ??
    (entry === undefined
      ? undefined
      : lineInEntry(entry, await storeLineAt(store, slice.offsetChars)));
  const lines = lineCount(slice.text);
  if (form === 'json')
    return JSON.stringify({
      offset: asked.askedOffset ?? start,
      length: slice.lengthChars,
      total,
      has_more: next !== undefined,
      ...(next === undefined ? {} : { next_offset: next }),
      ...(entry === undefined ? {} : { entry: entry.id, ...namesOf(store.list, entry) }),
      ...(firstLine === undefined ? {} : { line: firstLine, lines }),
      ...(asked.notes.length === 0 ? {} : { note: asked.notes.join(' ') }),
      text: slice.text,
    });
  const notes = asked.notes.map((note) => `note: ${note}\n`).join('');
  if (entry === undefined || slice.lengthChars === 0) {
    const head = entry === undefined ? '' : `${entry.id} `;
    return `[${head}nothing there: ${isNamed ? 'it has' : 'the store has'} ${total} characters]\n${notes}`.trimEnd();
  }
  const goOn = isNamed ? `{"entry":"${entry.id}","offset":${next}}` : `{"offset":${next}}`;
  const isWhole = slice.lengthChars === entry.lengthChars;
  const place = isWhole
    ? `all ${entry.lineCount} lines, ${entry.lengthChars} characters`
    : `lines ${firstLine}-${(firstLine ?? 1) + Math.max(0, lines - 1)} of ${entry.lineCount}, characters ${slice.offsetChars - entry.offsetChars}-${slice.offsetChars - entry.offsetChars + slice.lengthChars} of ${entry.lengthChars}`;
  const head = `${entry.id} ${await labelOf(store, entry)}${marksOf(store.list, entry)}: ${place}`;
  return `[${head}${next === undefined || asked.isComplete === true ? '' : `; go on with ${goOn}`}]\n${notes}${slice.text}`;
}

/** What is said in the place of a text that was forgotten, and where the next one begins. */
function goneAnswer(entry: Entry, forgotten: Forgetting, form: ResultForm): string {
  const note = goneSentence(entry, forgotten);
  const next = entry.offsetChars + entry.lengthChars;
  if (form === 'json') {
    const place = { offset: entry.offsetChars, length: 0, next_offset: next, entry: entry.id };
    return JSON.stringify({ ...place, note, text: '' });
  }
  return `[${note} What follows begins at {"offset":${next}}]`;
}

/** The text, at an end that is cut back to whole lines where there is a line border. */
async function readStretch(
  { startChars, endChars, atLineBorders }: Stretch,
  store: SessionStore,
): Promise<TextSlice> {
  const slice = await store.read(startChars, endChars - startChars);
  if (atLineBorders === undefined) return slice;
  const border =
    atLineBorders === 'end' ? slice.text.lastIndexOf('\n') + 1 : slice.text.indexOf('\n') + 1;
  // A line longer than what may be read is shown as far as that goes.
  if (border === 0 || border === slice.text.length) return slice;
  const text = atLineBorders === 'end' ? slice.text.slice(0, border) : slice.text.slice(border);
  const lengthChars = countChars(text);
  const offsetChars =
    atLineBorders === 'end'
      ? slice.offsetChars
      : slice.offsetChars + slice.lengthChars - lengthChars;
  return { text, offsetChars, lengthChars };
}

/** Lines of a text; a last one without newline counts. */
function lineCount(text: string): number {
  if (text === '') return 0;
  const lines = text.split('\n').length;
  return text.endsWith('\n') ? lines - 1 : lines;
}
