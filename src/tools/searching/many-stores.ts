import type { Corpus, SearchOptions, SearchQuery, SearchResult } from '../../search/types.ts';
import {
  countOver,
  placeInStores,
  searchEach,
  type StoreOutcome,
} from '../linked/chained-counts.ts';
import type { AskedStore } from '../linked/scope.ts';
import {
  entriesIn,
  givenElsewhere,
  searchedOnce,
  sharedTextsNote,
} from '../linked/shared-texts.ts';
import { readGrouping } from './grouping.ts';
import { hitsOf, type ListedHit } from './search-hit.ts';
import { cutTextsNote, replacedNote, totalNote } from './search-notes.ts';
import { groupFields, hitBlocks, type SearchAnswer, type StoreShare } from './search-text.ts';
import {
  countFitting,
  countsOf,
  prepareSearch,
  searchedChars,
  type SearchArgs,
  type SearchedFor,
  type StoreSearch,
} from './store-search.ts';

/** Passages of a ranked search that each store gives at least. */
const minPassages = 3;

/** A store in which the filter leaves something. */
interface Searched extends StoreSearch {
  readonly name: string | undefined;
}

/**
 * The answer of several stores: the own one first, then the linked ones in the order of their
 * links. Totals and groups are exact over all of them; hits are listed store by store, and a cursor
 * goes on in the store where a page ended.
 */
export async function answerOverStores(
  asked: SearchArgs,
  what: SearchedFor,
  stores: readonly AskedStore[],
): Promise<
  | { readonly ok: true; readonly answer: SearchAnswer }
  | { readonly ok: false; readonly fault: string }
> {
  const fit: Searched[] = [];
  const unfit: { readonly name: string | undefined; readonly fault: string }[] = [];
  for (const { name, context } of stores) {
    const prepared = prepareSearch({ ...asked, cursor: undefined }, what, context);
    if (prepared.ok) fit.push({ ...prepared.search, name });
    else unfit.push({ name, fault: prepared.fault });
  }
  if (fit.length === 0)
    return { ok: false, fault: `${unfit[0]?.fault ?? ''} Nor is there any in the linked stores.` };
  const { searched, shared } = withoutShared(fit);
  const notes = [
    ...(unfit.length === 0
      ? []
      : [
          `Nothing fits the filter in ${unfit.map(({ name }) => name ?? 'this store').join(', ')}.`,
        ]),
    ...(shared === undefined || asked.cursor !== undefined ? [] : [shared]),
  ];
  const found =
    what.grouping === undefined
      ? await listed(asked, what, searched)
      : await grouped(what, what.grouping, searched);
  if (!found.ok) return found;
  const { answer, outcomes } = found;
  const shares = sharesOf(searched, outcomes);
  const total = shares.reduce((sum, share) => sum + share.total, 0);
  const isPartial = answer.isPartial || shares.some(({ partial }) => partial === true);
  const { context } = searched[0]!;
  const looks = searched.filter((_, index) => outcomes[index]?.ok === true);
  const isFirst = context.isExplained !== false && asked.cursor === undefined;
  const isExplained = isFirst && what.rank === undefined;
  const sum = { total, partial: isPartial };
  const shownReplaced = answer.hits.filter(({ fields }) => fields.superseded_by !== undefined);
  const replaced = {
    isAllShown: asked.cursor === undefined && answer.hits.length === total,
    shownReplaced: shownReplaced.length,
  };
  const explained = [
    isExplained ? await replacedNote(sum, looks, replaced) : undefined,
    isExplained ? await totalNote(sum, looks) : undefined,
    isFirst ? cutTextsNote(sum, looks) : undefined,
  ].filter((note) => note !== undefined);
  return {
    ok: true,
    answer: {
      ...answer,
      total,
      isPartial,
      stores: [
        ...shares,
        ...unfit.map(({ name }) => (name === undefined ? { total: 0 } : { store: name, total: 0 })),
      ],
      searchedChars: searched.reduce((chars, one) => chars + searchedChars(one), 0),
      notes: [...notes, ...notesOf(searched, outcomes), ...answer.notes, ...explained],
    },
  };
}

/** The same searches, each text in one of them only; and what is to be said of that. */
function withoutShared(fit: readonly Searched[]): {
  readonly searched: readonly Searched[];
  readonly shared: string | undefined;
} {
  const given = givenElsewhere(fit);
  const shared = sharedTextsNote(fit, given);
  if (shared === undefined) return { searched: fit, shared };
  const once = searchedOnce(
    fit,
    fit.map(({ query }) => query),
  );
  const searched = fit.map((one, index) => {
    const query = once[index]!;
    const entries = one.entries && query.ranges && entriesIn(one.entries, query.ranges);
    return { ...one, query, given: given[index], ...(entries && { entries }) };
  });
  return { searched, shared };
}

type Found =
  | {
      readonly ok: true;
      readonly answer: Omit<SearchAnswer, 'searchedChars' | 'stores'>;
      readonly outcomes: readonly StoreOutcome[];
    }
  | { readonly ok: false; readonly fault: string };

/** Where a page begins: in which of the stores, and with which cursor of that store. */
function startOf(
  cursor: string | undefined,
  searched: readonly Searched[],
): { readonly index: number; readonly cursor: string | undefined } {
  const [, name, rest] = /^(?:([a-z0-9-]+):)?(.*)$/s.exec(cursor ?? '') ?? [];
  const index = searched.findIndex((one) => one.name === name);
  return { index: Math.max(0, index), cursor: rest === '' ? undefined : rest };
}

/** Hits, store by store, as far as a page goes. */
async function listed(
  asked: SearchArgs,
  { rank }: SearchedFor,
  searched: readonly Searched[],
): Promise<Found> {
  const own = searched[0]!.context;
  const form = asked.format ?? own.form ?? 'text';
  const start = startOf(asked.cursor, searched);
  const share =
    rank === undefined
      ? asked.max_results
      : Math.max(minPassages, Math.ceil(asked.max_results / searched.length));
  const hits: ListedHit[] = [];
  let leftChars = own.maxResultChars;
  let next: string | undefined;
  const words = new Map<string, number>();
  const cursorIn = ({ name }: Searched, cursor = ''): string =>
    name === undefined ? cursor : `${name}:${cursor}`;
  const ask = async (
    index: number,
    maxResults: number,
    deadlineMs: number,
  ): Promise<readonly [Corpus, SearchQuery, SearchOptions]> => {
    const { context, query } = searched[index]!;
    const cursor = index === start.index ? start.cursor : undefined;
    const ranked = rank === undefined ? {} : { rank: { ...rank, passages: maxResults } };
    return [
      await context.session.store.snapshot(),
      { ...query, ...ranked, maxResults, ...(cursor === undefined ? {} : { cursor }) },
      { signal: context.signal, deadlineMs },
    ];
  };
  const group = {};
  const small = async (index: number, deadlineMs: number): Promise<SearchResult | undefined> => {
    // How much room the stores before leave is not known yet.
    const maxResults = index < start.index ? 1 : share;
    const [corpus, query, options] = await ask(index, maxResults, deadlineMs);
    const { search } = searched[index]!.context;
    return search.searchSmall(corpus, query, { ...options, group });
  };
  const whole = async (
    index: number,
    deadlineMs: number,
    known: SearchResult | undefined,
  ): Promise<SearchResult> => {
    const store = searched[index]!;
    const { session, search } = store.context;
    const room = Math.min(share, asked.max_results - hits.length);
    const isListed = index >= start.index && room > 0 && next === undefined;
    const page = async (maxResults: number): Promise<SearchResult> =>
      search.search(...(await ask(index, maxResults, deadlineMs)));
    const named = async ({ matches }: SearchResult): Promise<readonly ListedHit[]> =>
      hitsOf(matches, session.store, { filter: asked.path, storeName: store.name });
    const fits = known !== undefined && (!isListed || known.matches.length <= room);
    let result = fits ? known : await page(isListed ? room : 1);
    for (const { text, count } of result.words ?? [])
      words.set(text, (words.get(text) ?? 0) + count);
    if (!isListed) {
      if (index > start.index && result.total > 0) next ??= cursorIn(store);
      return result;
    }
    let shown = await named(result);
    const sizes =
      form === 'json' ? shown.map(({ fields }) => JSON.stringify(fields)) : hitBlocks(shown);
    const fitting = countFitting(sizes, leftChars);
    if (leftChars <= 0 && shown.length > 0) {
      next ??= cursorIn(store);
      return result;
    }
    if (fitting < shown.length) {
      result = await page(fitting);
      shown = await named(result);
    }
    leftChars -= sizes.slice(0, fitting).reduce((sum, { length }) => sum + length + 1, 0);
    hits.push(...shown);
    if (result.nextCursor !== undefined) next ??= cursorIn(store, result.nextCursor);
    return result;
  };
  const outcomes = await searchEach(searched, own.searchDeadlineMs, { small, whole });
  return {
    ok: true,
    outcomes,
    answer: {
      hits,
      total: 0,
      isPartial: false,
      notes: [],
      showsPlaces: false,
      isLaterPage: asked.cursor !== undefined,
      ...(rank === undefined
        ? {}
        : { words: rank.words.map(({ text }) => ({ text, count: words.get(text) ?? 0 })) }),
      // What is ranked has no next page.
      ...(next === undefined || rank !== undefined ? {} : { nextCursor: next }),
    },
  };
}

/** Groups over all stores. */
async function grouped(
  { pattern }: SearchedFor,
  asked: NonNullable<SearchedFor['grouping']>,
  searched: readonly Searched[],
): Promise<Found> {
  const stores = searched.map(({ name, context }) => ({ name, store: context.session.store }));
  const grouping = readGrouping(pattern, asked, stores);
  if (!grouping.ok) return grouping;
  const counted = searched.map((one, index) => ({ ...one, by: grouping.by[index]! }));
  const { kind, maxGroups } = asked;
  const { context } = searched[0]!;
  const isMeasured = Object.keys(grouping.measures).length > 0;
  const { outcomes, sum } = await countOver(
    counted,
    { kind, maxGroups, ...(isMeasured && { measures: grouping.measures }) },
    context.searchDeadlineMs,
  );
  const showsPlaces = kind === 'first_last' || context.form === 'json';
  const isByKeys = asked.by.length > 1;
  const groups = [];
  for (const group of grouping.name(sum.groups ?? [])) {
    const places = showsPlaces
      ? {
          first: await placeInStores(group.first, searched),
          last: await placeInStores(group.last, searched),
        }
      : { first: { line: 0 }, last: { line: 0 } };
    groups.push(groupFields(group, isByKeys, places));
  }
  return {
    ok: true,
    outcomes,
    answer: {
      ...countsOf(sum),
      ...(sum.groups === undefined ? {} : { groups }),
      hits: [],
      notes: sum.note === undefined ? [] : [sum.note],
      showsPlaces: kind === 'first_last',
      isLaterPage: false,
    },
  };
}

function sharesOf(
  searched: readonly Searched[],
  outcomes: readonly StoreOutcome[],
): readonly StoreShare[] {
  return searched.map(({ name }, index) => {
    const outcome = outcomes[index];
    const isPartial = outcome?.ok !== true || outcome.result.partial;
    return {
      ...(name === undefined ? {} : { store: name }),
      total: outcome?.ok === true ? outcome.result.total : 0,
      ...(isPartial ? { partial: true as const } : {}),
    };
  });
}

/** What is to be said of the stores: what holds for all of them once, the rest by name. */
function notesOf(
  searched: readonly Searched[],
  outcomes: readonly StoreOutcome[],
): readonly string[] {
  const names = new Map<string, string[]>();
  const add = (note: string | undefined, index: number): void => {
    if (note === undefined) return;
    const name = searched[index]?.name ?? 'this store';
    names.set(note, [...(names.get(note) ?? []), name]);
  };
  for (const [index, outcome] of outcomes.entries()) {
    add(searched[index]?.note, index);
    add(outcome.ok ? outcome.result.note : `It could not be searched: ${outcome.fault}`, index);
  }
  return [...names].map(([note, of]) =>
    of.length === searched.length ? note : `${of.join(', ')}: ${note}`,
  );
}
