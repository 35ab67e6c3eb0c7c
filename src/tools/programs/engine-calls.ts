import { z } from 'zod';
import { ProxyError } from '../../errors.ts';
import type { SandboxRecords } from '../../sandbox/types.ts';
import type { AggregateGroup, RecordTable, SearchQuery, SearchResult } from '../../search/types.ts';
import { checkArguments } from '../call-door.ts';
import { rangesOf } from '../filters.ts';
import { countOver } from '../linked/chained-counts.ts';
import { type AskedStore, plainScopeArg, scopeOf } from '../linked/scope.ts';
import { searchedOnce } from '../linked/shared-texts.ts';
import { labelKinds, labelStores } from '../searching/entry-labels.ts';
import { groupRef, maxKeys, measureNames, readGrouping } from '../searching/grouping.ts';
import { visibleRanges } from '../slice.ts';
import type { ToolContext } from '../tool.ts';

/**
 * A search inside a program may take so long, milliseconds: it must be exact, and nobody waits for
 * it at a prompt.
 */
export const programSearchMs = 60_000;

/** Records that a program's memory holds beside everything else, some 100 bytes a field. */
const maxRecords = 1_000_000;

/** Groups that come back at most; more of them are an error, for a part would be taken for all. */
const maxGroups = 100_000;

const filters = {
  entry: z.string().optional(),
  tool: z.string().optional(),
  path: z.string().optional(),
  since: z.string().optional(),
  ...plainScopeArg,
  case_sensitive: z.boolean().default(true),
};

const recordArgs = z.strictObject({ ...filters, with: z.enum(labelKinds).optional() });

type Filters = z.infer<z.ZodObject<typeof filters>>;

const measureShape = Object.fromEntries(
  measureNames.map((name) => [name, groupRef.optional()]),
) as Record<(typeof measureNames)[number], z.ZodOptional<typeof groupRef>>;

const groupArgs = z.strictObject({ ...measureShape, count: z.boolean().optional(), ...filters });

const keyList = z.array(groupRef).max(maxKeys);

/** What the capture groups of a pattern hold, of all occurrences, in the order of the text. */
export async function recordsFor(
  pattern: string,
  given: unknown,
  context: ToolContext,
): Promise<SandboxRecords> {
  const asked = checked(given, 'context.records(pattern, options)', recordArgs);
  const { args, stores } = await scopeFor(asked, context);
  const labels =
    args.with === undefined
      ? undefined
      : labelStores(
          stores.map(({ name, context: { session } }) => ({ name, store: session.store })),
          args.with,
        );
  const queries = queriesFor(pattern, args, stores);
  const tables: RecordTable[] = [];
  let left = maxRecords;
  for (const [index, store] of stores.entries()) {
    const numbers = labels?.numbers[index];
    const records = { maxRecords: left, ...(numbers === undefined ? {} : { labels: numbers }) };
    const result = await run(store.context, queries[index]!, { records });
    if (result.records === undefined) throw new ProxyError('internal', 'no records came');
    left -= result.records.count;
    if (result.records.overflowed)
      throw new ProxyError(
        'limit_reached',
        `${maxRecords - left} records are too many to hold, at most ${maxRecords}: let context.group count them, or narrow them by pattern or path`,
      );
    tables.push(result.records);
  }
  const { count, names, separator, text } = joinedTables(tables);
  return {
    count,
    names: [...names, ...(args.with === undefined ? [] : [args.with])],
    ...(labels === undefined ? {} : { labels: labels.names }),
    ...(separator === undefined ? {} : { separator }),
    text,
  };
}

/** The records of several stores as one table. */
function joinedTables(tables: readonly RecordTable[]): Omit<RecordTable, 'overflowed'> {
  const filled = tables.filter(({ count }) => count > 0);
  const [first = tables[0]!] = filled;
  if (filled.length < 2) return first;
  const count = filled.reduce((sum, table) => sum + table.count, 0);
  const { separator } = first;
  // Mostly the same character separates the fields of all of them.
  if (separator !== undefined && filled.every((table) => table.separator === separator)) {
    const between = Buffer.from(separator);
    const pieces = filled.flatMap(({ text }, index) => (index === 0 ? [text] : [between, text]));
    return { ...first, count, text: new Uint8Array(Buffer.concat(pieces)) };
  }
  const fields = filled.flatMap((table): readonly unknown[] => {
    const text = Buffer.from(table.text).toString();
    return table.separator === undefined
      ? (JSON.parse(text) as readonly unknown[])
      : text.split(table.separator);
  });
  const { separator: _, ...unseparated } = first;
  return { ...unseparated, count, text: new Uint8Array(Buffer.from(JSON.stringify(fields))) };
}

/** Groups by one or several keys, with their measures: all there are, most frequent first. */
export async function groupFor(
  [pattern, keys, given]: readonly unknown[],
  context: ToolContext,
): Promise<readonly unknown[]> {
  const by = keyList.safeParse(keys);
  if (!by.success)
    throw new ProxyError(
      'invalid_request',
      `context.group(pattern, by, options): by is a capture group, or a list of at most ${maxKeys}: numbers, names, or "path", "entry", "tool"`,
    );
  const {
    sum,
    min,
    max,
    avg,
    distinct,
    count: _,
    ...asked
  } = checked(given, 'context.group(pattern, by, options)', groupArgs);
  const { args, stores } = await scopeFor(asked, context);
  const measures = defined({ sum, min, max, avg, distinct });
  const labelled = stores.map(({ name, context: { session } }) => ({ name, store: session.store }));
  const grouping = readGrouping(String(pattern), { by: by.data, measures }, labelled);
  if (!grouping.ok) throw new ProxyError('invalid_request', grouping.fault);
  const kind = by.data.length === 0 ? 'count' : 'count_by';
  const isPlainCount = kind === 'count' && Object.keys(measures).length === 0;
  const aggregate = { kind, measures: grouping.measures, maxGroups } as const;
  const queries = queriesFor(String(pattern), args, stores);
  const counted = stores.map(({ context: storeContext }, index) => ({
    context: storeContext,
    query: queries[index]!,
    by: grouping.by[index]!,
  }));
  const [own] = counted as [(typeof counted)[number]];
  const result =
    counted.length === 1
      ? await run(own.context, own.query, { aggregate: { ...aggregate, by: own.by } })
      : await sumOver(counted, aggregate, stores);
  if (result.note !== undefined) throw new ProxyError('invalid_request', result.note);
  if (isPlainCount) return [{ count: result.occurrences ?? 0 }];
  const { groups = [], groupCount = 0 } = result;
  if (groups.length < groupCount)
    throw new ProxyError(
      'limit_reached',
      `there are ${groupCount} groups, at most ${maxGroups} come back: group by less, or narrow by pattern or path`,
    );
  return grouping.name(groups).map((group) => rowOf(group, by.data.length));
}

/** Groups over several stores. @throws ProxyError where one of them was not searched to its end */
async function sumOver(
  counted: Parameters<typeof countOver>[0],
  aggregate: Parameters<typeof countOver>[1],
  stores: readonly AskedStore[],
): Promise<SearchResult> {
  const deadlineMs = Math.max(programSearchMs, stores[0]!.context.searchDeadlineMs);
  const { outcomes, sum } = await countOver(counted, aggregate, deadlineMs);
  for (const [index, outcome] of outcomes.entries()) {
    const name = stores[index]?.name ?? 'this store';
    if (!outcome.ok) throw new ProxyError('invalid_request', `${name}: ${outcome.fault}`);
    complete(outcome.result);
  }
  return complete(sum);
}

/** The stores that a call is about. @throws ProxyError `invalid_request` where one is not there */
async function scopeFor<Args extends Filters>(
  asked: Args,
  context: ToolContext,
): Promise<{ readonly args: Args; readonly stores: readonly AskedStore[] }> {
  const scope = await scopeOf(asked, context);
  const [fault] = scope.ok ? scope.faults : [scope.fault];
  // A program would take a part for all.
  if (!scope.ok || fault !== undefined) throw new ProxyError('invalid_request', fault ?? '');
  return scope;
}

function rowOf(group: AggregateGroup, keyCount: number): Record<string, unknown> {
  const { value, values, first: _, last: __, notNumbers, ...computed } = group;
  const key = keyCount === 0 ? {} : keyCount === 1 ? { value } : { values };
  return { ...key, ...computed, ...(notNumbers === undefined ? {} : { not_numbers: notNumbers }) };
}

/**
 * What is asked of each store. @throws ProxyError `invalid_request` for a filter that fits nothing
 */
function queriesFor(
  pattern: string,
  { case_sensitive: caseSensitive, scope: _scope, ...filter }: Filters,
  stores: readonly AskedStore[],
): readonly SearchQuery[] {
  const filtered = stores.map(({ context }) =>
    rangesOf(context.session.store, filter, context.clock.now()),
  );
  const [first] = filtered;
  // Among several stores one that has nothing of the kind counts as nothing.
  if (first?.ok === false && filtered.every(({ ok }) => !ok))
    throw new ProxyError('invalid_request', first.fault);
  const chosen = filtered.map((outcome, index) => ({
    ranges: outcome.ok ? visibleRanges(outcome.ranges, stores[index]!.context.slice) : [],
  }));
  return searchedOnce(stores, chosen).map(({ ranges }) => ({
    pattern,
    literal: false,
    caseSensitive,
    maxResults: 1,
    contextLines: 0,
    order: 'oldest',
    maxLineChars: 1,
    ranges,
  }));
}

async function run(
  context: ToolContext,
  query: SearchQuery,
  what: Pick<SearchQuery, 'aggregate' | 'records'>,
): Promise<SearchResult> {
  const snapshot = await context.session.store.snapshot();
  const result = await context.search.search(
    snapshot,
    { ...query, ...what },
    {
      signal: context.signal,
      deadlineMs: Math.max(programSearchMs, context.searchDeadlineMs),
    },
  );
  return complete(result);
}

/** @throws ProxyError `limit_reached`: a program would take what was found for everything */
function complete(result: SearchResult): SearchResult {
  if (result.partial)
    throw new ProxyError('limit_reached', result.note ?? 'the search ran out of time: narrow it');
  return result;
}

function checked<Args extends z.ZodType>(given: unknown, name: string, args: Args): z.infer<Args> {
  const read = checkArguments(given, { name, args });
  if (!read.ok) throw new ProxyError('invalid_request', read.fault);
  return read.args as z.infer<Args>;
}

/** The members that are there. */
function defined<Value>(
  members: Readonly<Record<string, Value | undefined>>,
): Readonly<Record<string, Value>> {
  const there = Object.entries(members).filter(
    (entry): entry is [string, Value] => entry[1] !== undefined,
  );
  return Object.fromEntries(there);
}
