import { countOf } from '../../base/numbers.ts';
import type { AggregateGroup, SearchQuery } from '../../search/types.ts';
import type { SessionStore } from '../../store/types.ts';
import { entryOfOffset, lineInEntry } from '../entry-lines.ts';
import { otherStoresNote, scopeOf } from '../linked/scope.ts';
import { faultText } from '../result-form.ts';
import type { ToolContext } from '../tool.ts';
import { readGrouping } from './grouping.ts';
import { answerOverStores } from './many-stores.ts';
import { hitsOf } from './search-hit.ts';
import { cutTextsNote, replacedNote, totalNote } from './search-notes.ts';
import {
  groupFields,
  hitBlocks,
  searchJson,
  searchText,
  type PlaceFields,
  type SearchAnswer,
} from './search-text.ts';
import {
  countFitting,
  countsOf,
  prepareSearch,
  searchedChars,
  type SearchArgs,
  type SearchedFor,
} from './store-search.ts';

/** Runs a search for a tool and writes the answer, within the size that a result may have. */
export async function answerSearch(
  asked: SearchArgs,
  what: SearchedFor,
  context: ToolContext,
): Promise<string> {
  const form = asked.format ?? context.form ?? 'text';
  const scope = await scopeOf(asked, context);
  if (!scope.ok) return faultText(scope.fault, form);
  const { stores, args } = scope;
  const found =
    stores.length === 1
      ? await answerOfStore(args, what, stores[0]!.context)
      : await answerOverStores(args, what, stores);
  if (!found.ok) return faultText(found.fault, form);
  context.report?.(foundText(found.answer));
  const answer = {
    ...found.answer,
    notes: [...scope.faults, ...scope.notes, ...found.answer.notes],
  };
  return form === 'json' ? searchJson(answer) : searchText(answer);
}

/** What a search has found, for progress: `→ 27 lines`. */
function foundText({ total, isPartial }: SearchAnswer): string {
  if (total === 0) return isPartial ? '→ nothing so far' : '→ nothing';
  const lines = countOf(total, 'line');
  return `→ ${isPartial ? `at least ${lines}` : lines}`;
}

/** The answer of one store; a sentence where a filter chooses nothing in it. */
export async function answerOfStore(
  asked: SearchArgs,
  what: SearchedFor,
  context: ToolContext,
): Promise<
  | { readonly ok: true; readonly answer: SearchAnswer }
  | { readonly ok: false; readonly fault: string }
> {
  const form = asked.format ?? context.form ?? 'text';
  const { store } = context.session;
  const prepared = prepareSearch(asked, what, context);
  if (!prepared.ok) return prepared;
  const { search } = prepared;
  const shownAs = { filter: asked.path, storeName: context.storeName };
  const named = [{ name: context.storeName, store }];
  const grouping = what.grouping && readGrouping(what.pattern, what.grouping, named);
  if (grouping?.ok === false) return grouping;
  const query: SearchQuery = {
    ...search.query,
    ...(grouping === undefined
      ? {}
      : {
          aggregate: {
            kind: what.grouping!.kind,
            maxGroups: what.grouping!.maxGroups,
            by: grouping.by[0]!,
            ...(Object.keys(grouping.measures).length > 0 && { measures: grouping.measures }),
          },
        }),
  };
  const options = { signal: context.signal, deadlineMs: context.searchDeadlineMs };
  let result = await context.search.search(await store.snapshot(), query, options);
  let hits = await hitsOf(result.matches, store, shownAs);
  const sizes =
    form === 'json' ? hits.map(({ fields }) => JSON.stringify(fields)) : hitBlocks(hits);
  const fitting = countFitting(sizes, context.maxResultChars);
  if (fitting < hits.length && fitting > 0) {
    // Too long for one result: ask for as many as fit, so that the cursor goes on right behind
    // them.
    const fewer = { ...query, maxResults: fitting };
    result = await context.search.search(await store.snapshot(), fewer, options);
    hits = await hitsOf(result.matches, store, shownAs);
  }
  const looks = [{ query, context, entries: search.entries }];
  const shownReplaced = hits.filter(({ fields }) => fields.superseded_by !== undefined).length;
  const isAllShown = asked.cursor === undefined && hits.length === result.total;
  // Words are told with their counts.
  const isExplained = context.isExplained !== false && what.rank === undefined;
  const isFirst = context.isExplained !== false && asked.cursor === undefined;
  const notes = [
    result.note,
    search.note,
    isExplained ? await replacedNote(result, looks, { isAllShown, shownReplaced }) : undefined,
    // A first page only: a later one may hold nothing because the earlier ones held all.
    isExplained && asked.cursor === undefined ? await totalNote(result, looks) : undefined,
    isFirst ? cutTextsNote(result, looks) : undefined,
    isFirst && result.total === 0 ? otherStoresNote(context) : undefined,
  ].filter((note) => note !== undefined);
  const groups =
    result.groups &&
    grouping
      ?.name(result.groups)
      .map((group) => groupOf(group, store, (what.grouping?.by.length ?? 0) > 1));
  return {
    ok: true,
    answer: {
      ...countsOf(result),
      ...(groups === undefined ? {} : { groups }),
      hits,
      searchedChars: searchedChars(search),
      showsPlaces: what.grouping?.kind === 'first_last',
      isLaterPage: asked.cursor !== undefined,
      notes,
    },
  };
}

function groupOf(
  group: AggregateGroup,
  store: SessionStore,
  isByKeys: boolean,
): NonNullable<SearchAnswer['groups']>[number] {
  const { first, last } = group;
  return groupFields(group, isByKeys, {
    first: placeOf(first, store),
    last: placeOf(last, store),
  });
}

function placeOf({ line, offsetChars }: AggregateGroup['first'], store: SessionStore): PlaceFields {
  const entry = entryOfOffset(store, offsetChars);
  if (entry === undefined) return { line, storeLine: line, offset: offsetChars };
  return {
    entry: entry.id,
    line: lineInEntry(entry, line),
    storeLine: line,
    offset: offsetChars,
  };
}
