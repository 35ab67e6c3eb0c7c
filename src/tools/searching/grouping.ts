import { z } from 'zod';
import type { AggregateGroup, GroupKey, Measures } from '../../search/types.ts';
import { type LabelledStore, labelKinds, labelStores } from './entry-labels.ts';

/** A capture group by number or name, or what of the entry is meant: `path`, `entry`, `tool`. */
export const groupRef = z.union([z.string(), z.number()]);

/** The measures of groups, each of one capture group. */
export const measureNames = ['sum', 'min', 'max', 'avg', 'distinct'] as const;

type MeasureRefs = Readonly<Record<string, number | string | undefined>>;

/** Keys of one grouping at most; with the measures they fit the groups that a search can tell. */
export const maxKeys = 8;

/** A grouping made ready for the search. */
interface Grouping {
  /** The keys, for each of the stores. */
  readonly by: readonly (readonly GroupKey[])[];
  readonly measures: Measures;
  /** The groups of the answer with labels by their names. */
  readonly name: (groups: readonly AggregateGroup[]) => readonly AggregateGroup[];
}

/** A grouping as it is asked for. */
export interface AskedGrouping {
  readonly by: readonly (number | string)[];
  readonly measures: MeasureRefs;
}

/**
 * Reads keys and measures as they are meant. A key that names none of the pattern's groups is a
 * fault: nobody shall take the whole match for it. Of several stores the entries' labels count
 * together.
 */
export function readGrouping(
  pattern: string,
  { by, measures }: AskedGrouping,
  stores: readonly LabelledStore[],
): (Grouping & { readonly ok: true }) | { readonly ok: false; readonly fault: string } {
  const names = new Set([...pattern.matchAll(/\(\?P?<([A-Za-z_]\w*)>/g)].map(([, name]) => name));
  const unmeasured = Object.keys(measures).find(
    (name) => !measureNames.some((one) => one === name),
  );
  if (unmeasured !== undefined)
    return {
      ok: false,
      fault: `There is no measure ${JSON.stringify(unmeasured)}; there are ${measureNames.join(', ')}, each of a capture group. count comes with every group.`,
    };
  if (by.length > maxKeys) return { ok: false, fault: `A grouping has at most ${maxKeys} keys.` };
  const unknown: (number | string)[] = [];
  const numberOrName = (key: number | string): number | string => {
    const number = Number(key);
    if (Number.isSafeInteger(number) && number >= 0 && key !== '') return number;
    if (!names.has(String(key))) unknown.push(key);
    return key;
  };
  const labels = by.map((key) => {
    const kind = labelKinds.find((one) => one === key);
    return kind === undefined || names.has(kind) ? undefined : labelStores(stores, kind);
  });
  const keys = stores.map((_, at) =>
    by.map((key, index): GroupKey => {
      const numbers = labels[index]?.numbers[at];
      return numbers === undefined ? numberOrName(key) : { labels: numbers };
    }),
  );
  const refs = measureNames.flatMap((name) => {
    const ref = measures[name];
    return ref === undefined ? [] : [[name, numberOrName(ref)] as const];
  });
  if (unknown.length > 0) {
    const wrong = [...new Set(unknown)];
    const there = names.size === 0 ? 'no named groups' : [...names].join(', ');
    return {
      ok: false,
      fault: `The pattern has no group ${wrong.map((name) => JSON.stringify(name)).join(', ')}; it has ${there}. Groups also go by number, and path, entry and tool stand for the entry.`,
    };
  }
  const name = (groups: readonly AggregateGroup[]): readonly AggregateGroup[] =>
    labels.every((label) => label === undefined)
      ? groups
      : groups.map((group) => {
          const values = (group.values ?? [group.value]).map((value, index) =>
            value === '' ? '' : (labels[index]?.names[Number(value)] ?? value),
          );
          return { ...group, value: values.join(' '), values };
        });
  return { ok: true, by: keys, measures: Object.fromEntries(refs), name };
}
