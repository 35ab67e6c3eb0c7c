import type { Entry, SessionStore } from '../store/types.ts';
import type { RequestMessage } from '../history/request-message.ts';
import { messageSize } from './prompt-cost.ts';

/** How much of a text stays at its two ends, characters; by its place in the message. */
export type Cut = readonly (readonly [part: number, headChars: number, tailChars: number])[];

/**
 * A text keeps at least so much of both ends together, characters; with less of it a model cannot
 * do what it was asked.
 */
const minKeptChars = 2_000;

/** What the sentence about the gap takes, bytes, and a little more. */
const gapBytes = 500;

/**
 * The two ends of a stored text with the gap named. The same bytes whenever it is made. @throws
 * ProxyError `store_corrupt`
 */
export async function cutTextOf(
  entry: Entry,
  { headChars, tailChars }: { readonly headChars: number; readonly tailChars: number },
  store: SessionStore,
): Promise<string> {
  const { offsetChars, lengthChars } = entry;
  const [head, tail] = await Promise.all([
    store.read(offsetChars, headChars),
    store.read(offsetChars + lengthChars - tailChars, tailChars),
  ]);
  const left = lengthChars - headChars - tailChars;
  const gap = `[rlm] … ${left} characters of this text are left out here, from character ${headChars} to ${lengthChars - tailChars} of its ${lengthChars}: there was no room for them in the model's window. The context store has all of it as entry ${entry.id} (offset ${offsetChars + headChars} is where the gap begins). …`;
  return `${head.text}\n${gap}\n${tail.text}`;
}

/**
 * The same of a text that no store has: what is left out is kept nowhere, and the sentence says so.
 * Lengths in UTF-16 units; a pair of them is never parted. Pure.
 */
export function cutUnstoredText(text: string, headLength: number, tailLength: number): string {
  const headEnd = isPairAt(text, headLength - 1) ? headLength - 1 : headLength;
  const wantedStart = text.length - tailLength;
  const tailStart = isPairAt(text, wantedStart - 1) ? wantedStart + 1 : wantedStart;
  const left = charsOf(text, headEnd, tailStart);
  const gap = `[rlm] … ${left} characters of this text are left out here, behind its first ${charsOf(text, 0, headEnd)}: there was no room for them in the model's window, and as nothing can be stored at present, they are kept nowhere. If they matter, get them again in smaller parts, or ask the user to. …`;
  return `${text.slice(0, headEnd)}\n${gap}\n${text.slice(tailStart)}`;
}

/** Whether the two units from `at` on are one character. */
function isPairAt(text: string, at: number): boolean {
  return at >= 0 && (text.codePointAt(at) ?? 0) > 0xff_ff;
}

function charsOf(text: string, from: number, end: number): number {
  let chars = end - from;
  for (let at = from; at < end; at += 1) {
    if ((text.charCodeAt(at) & 0xfc_00) !== 0xd8_00 || !isPairAt(text, at)) continue;
    chars -= 1;
    at += 1;
  }
  return chars;
}

/** A text that can be cut, and about how many bytes of the prompt it takes. */
export interface Cuttable {
  /** Of its message. */
  readonly index: number;
  readonly part: number;
  /** In what its cut is measured in. */
  readonly lengthChars: number;
  readonly sizeBytes: number;
}

/** Which stored texts are cut, and where: see {@link cutTexts}. */
export function cutsFor(
  items: readonly RequestMessage[],
  indexes: readonly number[],
  excessBytes: number,
): ReadonlyMap<number, Cut> {
  return cutTexts(
    indexes.flatMap((index) => cuttablesOf(items[index] as RequestMessage, index)),
    excessBytes,
  );
}

/**
 * Which texts are cut and where, so that the prompt gets `excessBytes` smaller: the longest ones,
 * all to the same size. Both ends keep the same. Of what cannot get smaller any more nothing is
 * cut.
 */
export function cutTexts(
  texts: readonly Cuttable[],
  excessBytes: number,
): ReadonlyMap<number, Cut> {
  const allowedBytes = texts.reduce((total, { sizeBytes }) => total + sizeBytes, 0) - excessBytes;
  const capBytes = levelOf(
    texts.map(({ sizeBytes }) => sizeBytes),
    allowedBytes,
  );
  const cuts = new Map<number, Cut>();
  for (const { index, part, lengthChars, sizeBytes } of texts) {
    if (sizeBytes <= capBytes) continue;
    const keptChars = Math.max(
      minKeptChars,
      Math.floor((Math.max(0, capBytes - gapBytes) / sizeBytes) * lengthChars),
    );
    if (keptChars >= lengthChars) continue;
    const headChars = Math.ceil(keptChars / 2);
    cuts.set(index, [...(cuts.get(index) ?? []), [part, headChars, keptChars - headChars]]);
  }
  return cuts;
}

function cuttablesOf(item: RequestMessage, index: number): readonly Cuttable[] {
  const captured = item.facts.stored?.captured ?? [];
  const allChars = captured.reduce((total, { entry }) => total + entry.lengthChars, 0);
  return captured.map(({ part, entry: { lengthChars } }) => ({
    index,
    part,
    lengthChars,
    sizeBytes: (messageSize(item).textBytes * lengthChars) / allChars,
  }));
}

/**
 * The size to which all larger ones must come down, so that together they are no more than allowed.
 */
function levelOf(sizes: readonly number[], allowed: number): number {
  const sorted = sizes.toSorted((one, other) => one - other);
  let left = Math.max(0, allowed);
  for (const [at, size] of sorted.entries()) {
    const share = left / (sorted.length - at);
    if (size > share) return share;
    left -= size;
  }
  return Infinity;
}
