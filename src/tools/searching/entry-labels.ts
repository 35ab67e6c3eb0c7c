import type { Entry, EntryList, SessionStore } from '../../store/types.ts';

/** What of an entry its occurrences can be grouped by. */
export const labelKinds = ['path', 'entry', 'tool'] as const;

type LabelKind = (typeof labelKinds)[number];

/** A label for each entry, as a number for the search and as a text. */
interface EntryLabels {
  /** By the entry's place in the store. */
  readonly numbers: Int32Array<SharedArrayBuffer>;
  /** By number. A live list that only grows. */
  readonly names: readonly string[];
}

interface Kept {
  numbers: Int32Array<SharedArrayBuffer>;
  count: number;
  /** How many namings of the list have been looked at. */
  namings: number;
  readonly names: string[];
  readonly known: Map<string, number>;
}

const kept = new WeakMap<EntryList, Map<LabelKind, Kept>>();

/**
 * Labels of all entries there are: their path (an entry without one by its id), their id, or the
 * tool whose output they are (or their kind). Each entry is looked at once, and again where it came
 * without a path and has one now.
 */
function labelEntries({ entries, list, totals }: SessionStore, kind: LabelKind): EntryLabels {
  const kinds = kept.get(list) ?? new Map<LabelKind, Kept>();
  kept.set(list, kinds);
  const labels: Kept = kinds.get(kind) ?? {
    numbers: room(128),
    count: 0,
    namings: 0,
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
  const label = (at: number): void => {
    const name = nameOf(entries[at]!, list, kind);
    const number = labels.known.get(name) ?? labels.names.push(name) - 1;
    labels.known.set(name, number);
    labels.numbers[at] = number;
  };
  if (kind === 'path') {
    for (const { entry } of list.namings.slice(labels.namings)) {
      if (entry.seq <= labels.count) label(entry.seq - 1);
    }
    labels.namings = list.namings.length;
  }
  for (; labels.count < totals.entries; labels.count += 1) label(labels.count);
  return labels;
}

/** A store whose entries are labelled; a linked one has a name. */
export interface LabelledStore {
  readonly name?: string | undefined;
  readonly store: SessionStore;
}

/** Labels of the entries of several stores, as numbers that mean the same in all of them. */
export interface StoreLabels {
  /** By store, then by the entry's place in it. */
  readonly numbers: readonly Int32Array<SharedArrayBuffer>[];
  readonly names: readonly string[];
}

/**
 * The same over several stores. Paths of a linked store bear its name: two projects have the same
 * ones.
 */
export function labelStores(stores: readonly LabelledStore[], kind: LabelKind): StoreLabels {
  const [first] = stores;
  if (stores.length === 1 && first !== undefined && first.name === undefined) {
    const { numbers, names } = labelEntries(first.store, kind);
    return { numbers: [numbers], names };
  }
  const names: string[] = [];
  const known = new Map<string, number>();
  const numbers = stores.map(({ name: storeName, store }) => {
    const labels = labelEntries(store, kind);
    const common = labels.names.map((label) => {
      const isOwn = storeName === undefined || kind !== 'path' || label.startsWith(`${storeName}:`);
      const name = isOwn ? label : `${storeName}:${label}`;
      const number = known.get(name) ?? names.push(name) - 1;
      known.set(name, number);
      return number;
    });
    const own = room(Math.max(1, store.totals.entries));
    for (let at = 0; at < store.totals.entries; at += 1) own[at] = common[labels.numbers[at]!]!;
    return own;
  });
  return { numbers, names };
}

function nameOf(entry: Entry, list: EntryList, kind: LabelKind): string {
  if (kind === 'entry') return entry.id;
  if (kind === 'tool') return entry.tool ?? entry.kind;
  return list.pathsOf(entry)[0] ?? entry.id;
}

function room(length: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}
