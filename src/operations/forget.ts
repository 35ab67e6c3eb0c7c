import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { countOf } from '../base/numbers.ts';
import { ProxyError } from '../errors.ts';
import type { SearchEngine, SearchQuery } from '../search/types.ts';
import type { Entry, ForgetOutcome, ForgetWanted, Session, Sessions } from '../store/types.ts';
import { chooseEntries } from '../tools/entry-choice.ts';
import { labelOf } from '../tools/entry-title.ts';
import { choiceArgs, chosenSession } from './session-choice.ts';

/** Entries that are named one by one in an answer; of more their number is said. */
const maxNamed = 50;
/** Different texts that a pattern may match, at most. */
const maxMatched = 1_000;
/** A person can stop it; until then it may take what it takes, milliseconds. */
const searchDeadlineMs = 600_000;

/** Which texts are to be forgotten; every choice narrows the others. */
export const forgetArgs = z.strictObject({
  ...choiceArgs,
  /** `e7`, `e7-e12`, or lines of one: `e7:100-200`. */
  entries: z.array(z.string().min(1)).default([]),
  /**
   * What it matches goes, wherever that stands in the chosen texts; the whole texts with `whole`.
   */
  pattern: z.string().min(1).optional(),
  literal: z.boolean().default(false),
  ignoreCase: z.boolean().default(false),
  whole: z.boolean().default(false),
  /** Keys, tokens and passwords go. */
  secrets: z.boolean().default(false),
  tool: z.string().optional(),
  path: z.string().optional(),
  /** Stored until: a time as the tools read it. */
  until: z.string().optional(),
  /** Whether the same text may be stored when it comes again. */
  mayComeAgain: z.boolean().default(false),
  /** Only says what would be done. */
  isTrial: z.boolean(),
});

/** {@link forgetArgs}, checked. */
type ForgetArgs = z.infer<typeof forgetArgs>;

/** What {@link forget} works with. */
interface ForgetParts {
  readonly sessions: Sessions;
  readonly search: SearchEngine;
  readonly clock: { now(): number };
}

/** What was forgotten, or would be. */
export interface ForgetAnswer extends ForgetOutcome {
  readonly session: string;
  readonly directory?: string;
  readonly isTrial: boolean;
  /** Some of the entries, with what they are. */
  readonly named: readonly {
    readonly id: string;
    readonly what: string;
    /** Absent where all of it goes: how many parts. */
    readonly parts?: number;
    /** Set where nothing of the text goes, and something of its call's arguments. */
    readonly ofCall?: true;
  }[];
}

/**
 * Forgets texts of a store, or says what would go. The result is `null` where nothing is stored.
 * @throws ProxyError `invalid_request` for a choice that is none, or chooses nothing
 */
export async function* forget(
  args: ForgetArgs,
  parts: ForgetParts,
  signal: AbortSignal,
): AsyncGenerator<{ readonly result: ForgetAnswer | null }> {
  const session = await chosenSession(parts.sessions, args);
  if (session === undefined) {
    yield { result: null };
    return;
  }
  const wanted = await wantedOf(args, session, parts, signal);
  const { whole, parts: ofParts = [], calls = [] } = wanted;
  const chosen = [...whole, ...ofParts.map(({ seq }) => seq), ...calls];
  if (chosen.length === 0 && !(await hasSecretsInChats(wanted, session, parts)))
    throw nothingChosen(args);
  // What is shown of a text must not show the secret.
  const { maskSecrets } = await import('../secrets/find-secrets.ts');
  const named = [];
  for (const seq of chosen.slice(0, maxNamed)) {
    const entry = session.store.entries[seq - 1]!;
    const own = ofParts.find((part) => part.seq === seq);
    const label = await labelOf(session.store, entry);
    named.push({
      id: entry.id,
      what: args.secrets ? maskSecrets(label) : label,
      ...(own === undefined ? {} : { parts: own.ranges.length }),
      ...(calls.includes(seq) ? { ofCall: true as const } : {}),
    });
  }
  const outcome = await parts.sessions.forget(session.id, { ...wanted, isTrial: args.isTrial });
  const { id, directory } = session;
  const where = directory === undefined ? {} : { directory };
  yield { result: { session: id, ...where, isTrial: args.isTrial, ...outcome, named } };
}

/** Whether only hidden steps and other records of chats hold secrets. */
async function hasSecretsInChats(
  wanted: ForgetWanted,
  { id }: Session,
  { sessions }: ForgetParts,
): Promise<boolean> {
  if (wanted.secretsInChats !== true) return false;
  const { chatRecords, traces } = await sessions.forget(id, { ...wanted, isTrial: true });
  return chatRecords + traces > 0;
}

async function wantedOf(
  args: ForgetArgs,
  session: Session,
  { search, clock }: ForgetParts,
  signal: AbortSignal,
): Promise<ForgetWanted> {
  const { store } = session;
  const base = { why: 'asked', mayComeAgain: args.mayComeAgain } as const;
  const filter = { tool: args.tool, path: args.path, until: args.until };
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  const isOfParts = args.pattern !== undefined || args.secrets;
  if (args.entries.length === 0 && !isFiltered && !isOfParts) {
    throw new ProxyError('invalid_request', 'It is not said what is to be forgotten.', {
      hint: 'Name entries (e7, e7-e12, e7:100-200), or choose them by --pattern, --secrets, --tool, --path or --older-than.',
    });
  }
  const choice = chooseEntries(store, filter, clock.now());
  if (!choice.ok) throw new ProxyError('invalid_request', choice.fault);
  const named = args.entries.map((text) => placeOf(text, session));
  const lines = named.filter((place) => place.lines !== undefined);
  let entries = choice.entries ?? store.entries;
  if (named.length > 0) {
    const own = new Set(named.flatMap((place) => place.entries));
    entries = entries.filter((entry) => own.has(entry));
  }
  entries = entries.filter(({ forgotten }) => forgotten === undefined);
  if (args.secrets) {
    const why = 'secret' as const;
    // Hidden steps are of no entry and no tool of the client.
    const isOfAll = args.entries.length === 0 && !isFiltered;
    const found = await secretsIn(entries, session, args.whole);
    return { ...base, why, ...found, ...(isOfAll && { secretsInChats: true }) };
  }
  if (args.pattern !== undefined) {
    const texts = await matchedTexts(args, { session, entries, search, signal });
    return { ...base, ...(await placesOf(texts, entries, session, args.whole)) };
  }
  if (lines.length === 0) return { ...base, whole: entries.map(({ seq }) => seq) };
  const parts = await Promise.all(lines.map(async (place) => linesPart(place, session)));
  const inPart = new Set(parts.map(({ seq }) => seq));
  return {
    ...base,
    whole: entries.flatMap(({ seq }) => (inPart.has(seq) ? [] : [seq])),
    parts,
  };
}

interface Place {
  readonly entries: readonly Entry[];
  readonly lines?: readonly [number, number];
}

/** @throws ProxyError `invalid_request` for what names no entry of the store */
function placeOf(text: string, { store }: Session): Place {
  const match = /^e(\d+)(?:-e?(\d+)|:(\d+)(?:-(\d+))?)?$/i.exec(text.trim());
  const [, first, last, from, to] = match ?? [];
  const entry = first === undefined ? undefined : store.entry(`e${Number(first)}`);
  const end = last === undefined ? entry : store.entry(`e${Number(last)}`);
  if (entry === undefined || end === undefined) {
    throw new ProxyError('invalid_request', `${JSON.stringify(text)} names no entry.`, {
      hint: `Write e7, e7-e12 or e7:100-200; the newest entry is ${store.entries.at(-1)?.id ?? 'none'}.`,
    });
  }
  if (from === undefined) return { entries: store.entries.slice(entry.seq - 1, end.seq) };
  return { entries: [entry], lines: [Number(from), Number(to ?? from)] };
}

/** Lines of an entry as bytes of its text. */
async function linesPart(
  { entries: [entry], lines = [1, 1] }: Place,
  { store }: Session,
): Promise<{ readonly seq: number; readonly ranges: readonly (readonly [number, number])[] }> {
  const text = await store.readEntry(entry!);
  const [first, last] = lines;
  const all = text.split('\n');
  if (first < 1 || last < first || first > all.length) {
    throw new ProxyError('invalid_request', `${entry!.id} has ${countOf(all.length, 'line')}.`);
  }
  const before = all.slice(0, first - 1).join('\n');
  const start = first === 1 ? 0 : Buffer.byteLength(before) + 1;
  const length = Buffer.byteLength(all.slice(first - 1, last).join('\n'));
  return { seq: entry!.seq, ranges: [[start, start + length]] };
}

/** The different texts that a pattern matches in entries. */
async function matchedTexts(
  args: ForgetArgs,
  found: {
    readonly session: Session;
    readonly entries: readonly Entry[];
    readonly search: SearchEngine;
    readonly signal: AbortSignal;
  },
): Promise<readonly string[]> {
  const { session, entries, search, signal } = found;
  const query: SearchQuery = {
    pattern: args.pattern ?? '',
    literal: args.literal,
    caseSensitive: !args.ignoreCase,
    maxResults: 1,
    contextLines: 0,
    order: 'oldest',
    maxLineChars: 100,
    ranges: entries.map(
      ({ offsetBytes, lengthBytes }) => [offsetBytes, offsetBytes + lengthBytes] as const,
    ),
    aggregate: { kind: 'unique', group: 0, maxGroups: maxMatched },
  };
  const limits = { signal, deadlineMs: searchDeadlineMs };
  const {
    groups = [],
    groupCount = 0,
    partial,
    note,
  } = await search.search(await session.store.snapshot(), query, limits);
  if (partial || groupCount > groups.length) {
    throw new ProxyError(
      'invalid_request',
      partial
        ? `Not everything could be searched: ${note ?? 'it took too long'}.`
        : `The pattern matches ${groupCount} different texts, more than ${maxMatched}.`,
      { hint: 'Choose fewer entries, or forget whole texts with --whole.' },
    );
  }
  return groups.map(({ value }) => value).filter((value) => value !== '');
}

/** Where texts stand in entries. */
async function placesOf(
  texts: readonly string[],
  entries: readonly Entry[],
  { store }: Session,
  isWhole: boolean,
): Promise<Pick<ForgetWanted, 'whole' | 'parts'>> {
  const whole: number[] = [];
  const parts: NonNullable<ForgetWanted['parts']>[number][] = [];
  if (texts.length === 0) return { whole };
  const needles = texts.map((text) => Buffer.from(text));
  for (const entry of entries) {
    const ranges = rangesIn(Buffer.from(await store.readEntry(entry)), needles);
    if (ranges.length === 0) continue;
    if (isWhole) whole.push(entry.seq);
    else parts.push({ seq: entry.seq, ranges });
  }
  return { whole, parts };
}

/** Where keys, tokens and passwords stand in entries, and in the arguments of their calls. */
async function secretsIn(
  entries: readonly Entry[],
  { store }: Session,
  isWhole: boolean,
): Promise<Pick<ForgetWanted, 'whole' | 'parts' | 'calls'>> {
  const { findSecrets } = await import('../secrets/find-secrets.ts');
  const { SecretGuard } = await import('../secrets/guard.ts');
  const guard = new SecretGuard('mask');
  await guard.load();
  const calls: number[] = [];
  const whole: number[] = [];
  const parts: NonNullable<ForgetWanted['parts']>[number][] = [];
  for (const entry of entries) {
    const found = findSecrets(await store.readEntry(entry));
    await setImmediate();
    if (found.length === 0) {
      const { args, path, note } = entry;
      const said = { args, path, note };
      if (guard.value(said) !== said) calls.push(entry.seq);
      continue;
    }
    if (isWhole) whole.push(entry.seq);
    else {
      const ranges = found.map(({ startBytes, endBytes }) => [startBytes, endBytes] as const);
      parts.push({ seq: entry.seq, ranges });
    }
  }
  return { whole, parts, calls };
}

/** Where needles stand in a text, bytes, ascending and disjoint. */
function rangesIn(
  text: Buffer,
  needles: readonly Buffer[],
): readonly (readonly [number, number])[] {
  const found: [number, number][] = [];
  for (const needle of needles) {
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
      found.push([at, at + needle.length]);
    }
  }
  found.sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [start, end] of found) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

function nothingChosen({ pattern, entries, secrets }: ForgetArgs): ProxyError {
  if (secrets) {
    return new ProxyError('invalid_request', 'No key, token or password was found.', {
      hint: 'Nothing was changed. What has no known form is found by --pattern.',
    });
  }
  const what =
    pattern === undefined
      ? `No text fits${entries.length > 0 ? ' that is not forgotten already' : ''}.`
      : `The pattern ${JSON.stringify(pattern)} matches nothing that is stored.`;
  return new ProxyError('invalid_request', what, {
    hint: 'Nothing was changed. `rlm-opencode stats` lists what is stored.',
  });
}

/** Lets a text come again that was forgotten. */
export const allowArgs = z.strictObject({ ...choiceArgs, entry: z.string() });

/** @throws ProxyError `invalid_request` for what names no entry */
export async function* allowAgain(
  args: z.infer<typeof allowArgs>,
  { sessions }: ForgetParts,
): AsyncGenerator<{ readonly result: unknown }> {
  const session = await chosenSession(sessions, args);
  if (session === undefined) {
    yield { result: null };
    return;
  }
  const [entry] = placeOf(args.entry, session).entries;
  const isAllowed = await sessions.allowAgain(session.id, entry!.seq);
  yield { result: { session: session.id, entry: entry!.id, isAllowed } };
}
