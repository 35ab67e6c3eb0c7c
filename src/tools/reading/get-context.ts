import { partitionPoint } from '../../base/sorted.ts';
import { z } from 'zod';
import type { Entry, SessionStore } from '../../store/types.ts';
import { compareEntries } from './compare-entries.ts';
import { findEntryIn } from '../linked/scope.ts';
import { isByLines, placeOfLines } from './read-place.ts';
import { grouped } from '../../base/numbers.ts';
import { faultText, formatArg } from '../result-form.ts';
import { readAnswer, type Stretch } from './read-answer.ts';
import type { Tool, ToolContext } from '../tool.ts';
import { visibleChars } from '../slice.ts';

/** The most that one call reads, in characters (the seed's limit). */
const maxLengthChars = 50_000;

const args = z.strictObject({
  entry: z.string().optional().describe('Such as "e12".'),
  line: z.int().optional().describe('First line, as hits name it; -1 is the last.'),
  lines: z.int().min(1).optional().describe('How many lines.'),
  around: z.int().min(0).optional().describe('Lines before and after line (or offset).'),
  tail: z.int().min(1).optional().describe('The last lines.'),
  offset: z
    .int()
    .min(0)
    .default(0)
    .describe('In characters, from the start of the entry if one is named, else of everything.'),
  length: z.int().min(1).default(10_000).describe(`Characters at most; up to ${maxLengthChars}.`),
  against: z.string().optional().describe('Another entry: what differs, as a diff.'),
  ...formatArg,
});

type Args = z.infer<typeof args>;

/** Reads stored text by place. */
export const getContextTool: Tool<Args> = {
  name: 'rlm_get_context',
  description:
    'Read stored text, byte for byte: lines of an entry ({"entry": "e12", "line": 340, "around": 15}), its end ({"entry": "e12", "tail": 50}), characters ({"entry": "e12", "offset": 10000}), or what differs between two entries ({"entry": "e40", "against": "e12"}). Says how to go on.',
  args,
  describe: ({ entry, line, offset, length, against }) => {
    if (entry !== undefined && against !== undefined) return `comparing ${entry} with ${against}`;
    if (entry === undefined) return `reading ${grouped(length)} characters at ${grouped(offset)}`;
    return line === undefined ? `reading ${entry}` : `reading ${entry} at line ${line}`;
  },
  run: async (asked, context) => {
    const form = asked.format ?? context.form ?? 'text';
    const named = asked.entry === undefined ? undefined : await findEntryIn(asked.entry, context);
    if (named?.ok === false) return faultText(named.fault, form);
    if (asked.against !== undefined)
      return compareEntries(named, asked.against, {
        context,
        form,
        maxChars: Math.min(asked.length, maxLengthChars),
      });
    const inStore = named?.context ?? context;
    const stretch = await stretchOf(asked, named?.entry, inStore);
    if (typeof stretch === 'string') return faultText(stretch, form);
    return readAnswer(stretch, inStore.session.store, form);
  },
};

/** What is to be read; a sentence where that cannot be. */
async function stretchOf(
  asked: Args,
  named: Entry | undefined,
  { session: { store }, slice }: ToolContext,
): Promise<Stretch | string> {
  const notes: string[] = [];
  if (asked.length > maxLengthChars)
    notes.push(`At most ${maxLengthChars} characters are read at once.`);
  const stretch = isByLines(asked)
    ? await byLines(asked, named, store)
    : byOffset(asked, named, store);
  if (typeof stretch === 'string') return stretch;
  const { startChars, endChars } = visibleChars(store, slice);
  if (stretch.startChars < startChars || stretch.endChars > endChars)
    return `You see characters ${startChars} to ${endChars} of the context; read inside them.`;
  return { ...stretch, notes: [...notes, ...stretch.notes] };
}

async function byLines(
  asked: Args,
  named: Entry | undefined,
  store: SessionStore,
): Promise<Stretch | string> {
  // 0 is the default: nobody says by it which character is meant.
  const offset = asked.offset === 0 ? undefined : asked.offset;
  const place = await placeOfLines(store, named, { ...asked, offset });
  if (typeof place === 'string') return place;
  const { entry, first, startChars, endChars, fromEnd } = place;
  // Whoever asks for lines gets them; without a number of them it is as much as of characters.
  const isCounted = [asked.lines, asked.around, asked.tail].some((one) => one !== undefined);
  const maxChars = isCounted ? maxLengthChars : Math.min(asked.length, maxLengthChars);
  return {
    entry,
    isNamed: true,
    startChars: fromEnd ? Math.max(startChars, endChars - maxChars) : startChars,
    endChars: fromEnd ? endChars : Math.min(endChars, startChars + maxChars),
    ...(fromEnd ? {} : { firstLine: first }),
    isComplete: isCounted && endChars - startChars <= maxChars,
    atLineBorders: endChars - startChars > maxChars ? (fromEnd ? 'start' : 'end') : undefined,
    notes: [],
  };
}

function byOffset(asked: Args, named: Entry | undefined, store: SessionStore): Stretch {
  const { offset } = asked;
  const total = named?.lengthChars ?? store.totals.chars;
  // Without an entry named, the one that the offset lies in: a read never shows another's text
  // under its name.
  const entry = named ?? (offset < total ? entryFrom(store, offset) : undefined);
  // The newline between two entries is nobody's: a read from there begins behind it.
  const startChars =
    named === undefined
      ? Math.max(Math.min(offset, total), entry?.offsetChars ?? 0)
      : named.offsetChars + Math.min(offset, total);
  const entryEnd = entry === undefined ? startChars : entry.offsetChars + entry.lengthChars;
  const endChars = Math.max(
    startChars,
    Math.min(startChars + Math.min(asked.length, maxLengthChars), entryEnd),
  );
  const next = named === undefined && endChars >= entryEnd ? entryBehind(store, entry) : undefined;
  const notes: string[] = [];
  if (offset > total) notes.push(`The offset lies past the end, which is at ${total}.`);
  if (next !== undefined && endChars - startChars < asked.length)
    notes.push(`${entry?.id} ends here; ${next.id} begins at ${next.offsetChars}.`);
  return {
    entry,
    isNamed: named !== undefined,
    startChars,
    endChars,
    ...(offset > total ? { askedOffset: offset } : {}),
    ...(next === undefined ? {} : { nextChars: next.offsetChars }),
    atLineBorders: undefined,
    notes,
  };
}

/**
 * The entry that holds a character; for the newline between two, and for empty ones, the next that
 * has text.
 */
function entryFrom({ entries, totals }: SessionStore, offsetChars: number): Entry | undefined {
  const index = partitionPoint(totals.entries, (at) => {
    const { offsetChars: start, lengthChars } = entries[at]!;
    return start + lengthChars <= offsetChars;
  });
  return entries[index];
}

/** The next entry that has text. */
function entryBehind(store: SessionStore, entry: Entry | undefined): Entry | undefined {
  if (entry === undefined) return undefined;
  const next = entryFrom(store, entry.offsetChars + entry.lengthChars);
  return next !== undefined && next.seq <= store.totals.entries ? next : undefined;
}
