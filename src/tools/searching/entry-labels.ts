import type { Entry, EntryList, SessionStore } from '../../store/types.ts';

/** What of an entry its occurrences can be grouped by. */
export const labelKinds = ['path', 'entry', 'tool'] as const;

type LabelKind = (typeof labelKinds)[number];

/** A label for each entry, as a number for the search and as a text. */
export interface EntryLabels {
  /** By the entry's place in the store. */
  readonly numbers: Int32Array<SharedArrayBuffer>;
  /** By number. A live list that only grows. */
  readonly names: readonly string[];
}

interface Kept {
  numbers: Int32Array<SharedArrayBuffer>;
  count: number;
  readonly names: string[];
  readonly known: Map<string, number>;
}

const kept = new WeakMap<EntryList, Map<LabelKind, Kept>>();

/**
 * Labels of all entries there are: their path (an entry without one by its id), their id, or the
 * tool whose output they are (or their kind). Each entry is looked at once.
 */
export function labelEntries(
  { entries, list, totals }: SessionStore,
  kind: LabelKind,
): EntryLabels {
  const kinds = kept.get(list) ?? new Map<LabelKind, Kept>();
  kept.set(list, kinds);
  const labels: Kept = kinds.get(kind) ?? {
    numbers: room(128),
    count: 0,
    names: [],
    known: new Map(),
  };
  kinds.set(kind, labels);
  if (totals.entries > labels.numbers.length) {
    // Searches that run keep the old room.
    const wider = room(2 * totals.entries);
    wider.set(labels.numbers);
    labels.numbers = wider;
  }
  for (; labels.count < totals.entries; labels.count += 1) {
    const name = nameOf(entries[labels.count]!, list, kind);
    let number = labels.known.get(name);
    if (number === undefined) {
      number = labels.names.push(name) - 1;
      labels.known.set(name, number);
    }
    labels.numbers[labels.count] = number;
  }
  return labels;
}

function nameOf(entry: Entry, list: EntryList, kind: LabelKind): string {
  if (kind === 'entry') return entry.id;
  if (kind === 'tool') return entry.tool ?? entry.kind;
  return list.pathsOf(entry)[0] ?? entry.id;
}

function room(length: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}
