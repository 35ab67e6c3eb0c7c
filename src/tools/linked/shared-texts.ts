import type { Entry, SessionStore } from '../../store/types.ts';
import { counted } from '../result-form.ts';
import type { AskedStore } from './scope.ts';

/** Byte ranges [start, end), ascending and disjoint. */
type ByteRanges = readonly (readonly [number, number])[];

/** What a filter left of one of several stores. */
interface Chosen {
  /** Absent: everything. */
  readonly ranges?: ByteRanges | undefined;
}

/** A store's texts that another one of those that are asked gives. */
export interface GivenElsewhere {
  /** So many texts, from its first one on, stand in another store, too. */
  readonly entries: number;
  /** Where they end in its text: everything before is no text of its own here. */
  readonly bytes: number;
  readonly chars: number;
  readonly lines: number;
  /** Number of the store, among those that are asked, with which it has these in common. */
  readonly from: number;
}

/**
 * What each of several stores that are asked together has in common with one that goes before it. A
 * branch begins with the texts of its base, a copy has them all: counted in each of them, totals
 * would be too large. The own store goes first, because its ids are the ones that are known; then
 * whichever was made first, for that is the one in whose file the texts lie.
 */
export function givenElsewhere(
  stores: readonly AskedStore[],
): readonly (GivenElsewhere | undefined)[] {
  const order = inOrder(stores);
  const given: (GivenElsewhere | undefined)[] = stores.map(() => undefined);
  for (const [place, index] of order.entries()) {
    const { store } = stores[index]!.context.session;
    for (const from of order.slice(0, place)) {
      const count = commonTexts(stores[from]!.context.session.store, store);
      if (count > (given[index]?.entries ?? 0)) given[index] = endOf(store, count, from);
    }
  }
  return given;
}

/**
 * The ranges that are to be searched in each store, so that no text is searched twice: of what
 * stores have in common each leaves out what the filter has chosen in one before it. (A text may
 * have come under a further path in a branch only: then it is the branch's.)
 */
export function searchedOnce<Each extends Chosen>(
  stores: readonly AskedStore[],
  chosen: readonly Each[],
): readonly Each[] {
  const order = inOrder(stores);
  const left = [...chosen];
  for (const [place, index] of order.entries()) {
    const { store } = stores[index]!.context.session;
    for (const from of order.slice(0, place)) {
      const count = commonTexts(stores[from]!.context.session.store, store);
      if (count === 0) continue;
      const { bytes } = endOf(store, count, from);
      const taken = intersection(chosen[from]!.ranges ?? [[0, bytes]], bytes);
      left[index] = { ...left[index]!, ranges: difference(left[index]!.ranges, taken) };
    }
  }
  return left;
}

/**
 * Says which stores have texts in common; undefined where none have. @param told Whether each
 * text counts once in what is told, or in each of the stores (sizes)
 */
export function sharedTextsNote(
  stores: readonly { readonly name?: string | undefined }[],
  given: readonly (GivenElsewhere | undefined)[],
  told: 'once' | 'each' = 'once',
): string | undefined {
  const nameOf = (index: number): string => stores[index]?.name ?? 'this store';
  const shares = given.flatMap((share, index) =>
    share === undefined
      ? []
      : [`${nameOf(index)} ${counted(share.entries, 'text')} with ${nameOf(share.from)}`],
  );
  if (shares.length === 0) return undefined;
  const have = shares.length === 1 ? '1 store has' : `${shares.length} stores have`;
  const how =
    told === 'once'
      ? 'Each of them is counted and shown once, in the store named last.'
      : 'The sizes of both count them; a search over both counts each once.';
  return `${have} texts in common with another one (a branch or a copy): ${shares.join(', ')}. ${how}`;
}

/** Numbers of the stores: the first one, which asks, then from the oldest to the newest. */
function inOrder(stores: readonly AskedStore[]): readonly number[] {
  const createdMs = (index: number): number => stores[index]!.context.session.createdMs;
  const [own, ...others] = stores.map((_, index) => index);
  return own === undefined ? [] : [own, ...others.toSorted((a, b) => createdMs(a) - createdMs(b))];
}

function endOf(store: SessionStore, count: number, from: number): GivenElsewhere {
  const { entries, totals } = store;
  // Behind the last of them stands its newline, which is nobody's.
  const next = count < totals.entries ? entries[count] : undefined;
  return {
    entries: count,
    from,
    bytes: next?.offsetBytes ?? totals.bytes,
    chars: next?.offsetChars ?? totals.chars,
    lines: next === undefined ? totals.lines : next.lineNumber - 1,
  };
}

/** What is known of two lists of entries, which only grow. */
interface Common {
  count: number;
  /** They are not the same any more: no more of them will be. */
  isOver: boolean;
}

const known = new WeakMap<readonly Entry[], WeakMap<readonly Entry[], Common>>();

/** How many texts, from the first one on, are the same in two stores. */
function commonTexts(one: SessionStore, other: SessionStore): number {
  const [entries, others] = [one.entries, other.entries];
  const ofOne = known.get(entries) ?? new WeakMap<readonly Entry[], Common>();
  known.set(entries, ofOne);
  const common = ofOne.get(others) ?? { count: 0, isOver: false };
  ofOne.set(others, common);
  const most = Math.min(one.totals.entries, other.totals.entries);
  while (!common.isOver && common.count < most) {
    if (isSame(entries[common.count]!, others[common.count]!)) common.count += 1;
    else common.isOver = true;
  }
  return Math.min(common.count, most);
}

/** Whether two stores have an entry from the same line of a journal, or from a copy of it. */
function isSame(one: Entry, other: Entry): boolean {
  return (
    one.timeMs === other.timeMs &&
    one.storedMs === other.storedMs &&
    one.sha256 === other.sha256 &&
    one.offsetBytes === other.offsetBytes &&
    one.lengthBytes === other.lengthBytes &&
    one.kind === other.kind &&
    one.path === other.path &&
    one.chatId === other.chatId &&
    one.toolCallId === other.toolCallId
  );
}

/** The part of ranges that lies before `endBytes`. */
function intersection(ranges: ByteRanges, endBytes: number): ByteRanges {
  return ranges
    .filter(([start]) => start < endBytes)
    .map(([start, end]) => [start, Math.min(end, endBytes)] as const);
}

/** What is in `ranges` (absent: everything) and not in `taken`. */
function difference(ranges: ByteRanges | undefined, taken: ByteRanges): ByteRanges {
  const left: (readonly [number, number])[] = [];
  let at = 0;
  for (const [start, end] of ranges ?? [[0, Infinity]]) {
    while (at < taken.length && taken[at]![1] <= start) at += 1;
    let from = start;
    for (let next = at; next < taken.length && taken[next]![0] < end; next += 1) {
      if (taken[next]![0] > from) left.push([from, taken[next]![0]]);
      from = Math.max(from, taken[next]![1]);
    }
    if (from < end) left.push([from, end]);
  }
  return left;
}

/** Entries of a filter that lie in the ranges which are searched. */
export function entriesIn(entries: readonly Entry[], ranges: ByteRanges): readonly Entry[] {
  const inside: Entry[] = [];
  let at = 0;
  for (const entry of entries) {
    while (at < ranges.length && ranges[at]![1] <= entry.offsetBytes) at += 1;
    const range = ranges[at];
    if (range !== undefined && range[0] <= entry.offsetBytes) inside.push(entry);
  }
  return inside;
}
