import { z } from 'zod';
import { ProxyError } from '../../errors.ts';
import type { SandboxRecords } from '../../sandbox/types.ts';
import type { AggregateGroup, SearchQuery, SearchResult } from '../../search/types.ts';
import { checkArguments } from '../call-door.ts';
import { rangesOf } from '../filters.ts';
import { labelEntries, labelKinds } from '../searching/entry-labels.ts';
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
  const label =
    asked.with === undefined ? undefined : labelEntries(context.session.store, asked.with);
  const labels = label === undefined ? {} : { labels: label.numbers };
  const { records } = await run(pattern, asked, context, { records: { maxRecords, ...labels } });
  if (records === undefined) throw new ProxyError('internal', 'the search gave no records');
  if (records.overflowed)
    throw new ProxyError(
      'limit_reached',
      `${records.count} records are too many to hold, at most ${maxRecords}: let context.group count them, or narrow them by pattern or path`,
    );
  const { count, separator, text } = records;
  return {
    count,
    names: [...records.names, ...(asked.with === undefined ? [] : [asked.with])],
    ...(label === undefined ? {} : { labels: label.names }),
    ...(separator === undefined ? {} : { separator }),
    text,
  };
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
  const measures = defined({ sum, min, max, avg, distinct });
  const { store } = context.session;
  const grouping = readGrouping(String(pattern), { by: by.data, measures }, store);
  if (!grouping.ok) throw new ProxyError('invalid_request', grouping.fault);
  const kind = by.data.length === 0 ? 'count' : 'count_by';
  const isPlainCount = kind === 'count' && Object.keys(measures).length === 0;
  const result = await run(String(pattern), asked, context, {
    aggregate: { kind, by: grouping.by, measures: grouping.measures, maxGroups },
  });
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

function rowOf(group: AggregateGroup, keyCount: number): Record<string, unknown> {
  const { value, values, first: _, last: __, notNumbers, ...computed } = group;
  const key = keyCount === 0 ? {} : keyCount === 1 ? { value } : { values };
  return { ...key, ...computed, ...(notNumbers === undefined ? {} : { not_numbers: notNumbers }) };
}

async function run(
  pattern: string,
  { case_sensitive: caseSensitive, ...filter }: Filters,
  context: ToolContext,
  what: Pick<SearchQuery, 'aggregate' | 'records'>,
): Promise<SearchResult> {
  const { store } = context.session;
  const filtered = rangesOf(store, filter, context.clock.now());
  if (!filtered.ok) throw new ProxyError('invalid_request', filtered.fault);
  const ranges = visibleRanges(filtered.ranges, context.slice);
  const query: SearchQuery = {
    pattern,
    literal: false,
    caseSensitive,
    maxResults: 1,
    contextLines: 0,
    order: 'oldest',
    maxLineChars: 1,
    ...what,
    ...(ranges === undefined ? {} : { ranges }),
  };
  const result = await context.search.search(await store.snapshot(), query, {
    signal: context.signal,
    deadlineMs: Math.max(programSearchMs, context.searchDeadlineMs),
  });
  // A program would take what was found for everything.
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
