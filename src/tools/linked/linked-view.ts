import { StoreView } from '../../store/session/store-view.ts';
import type {
  Entry,
  EntryList,
  EntryShare,
  Moment,
  Naming,
  SessionStore,
  StoredOutput,
} from '../../store/types.ts';
import { ProxyError } from '../../errors.ts';

/**
 * A store as another one that is linked to it reads it: the same texts, except that each id bears
 * the link's name (`api:e7`), wherever it is shown. Offsets and lines are the store's own. Nothing
 * can be written through it.
 */
export function linkedView(store: SessionStore, name: string): SessionStore {
  return new LinkedView(store, name);
}

/** What is kept of the entries of a store under a name: each is made once. */
class NamedEntries {
  readonly all: Entry[] = [];
  readonly list: NamedList;
  readonly #base: SessionStore;
  readonly #name: string;

  constructor(base: SessionStore, name: string) {
    this.#base = base;
    this.#name = name;
    this.list = new NamedList(this);
  }

  get base(): SessionStore {
    return this.#base;
  }

  /** Takes in what has come since. */
  grown(): readonly Entry[] {
    const { entries } = this.#base;
    for (let at = this.all.length; at < entries.length; at += 1) {
      const entry = entries[at]!;
      this.all.push({ ...entry, id: `${this.#name}:${entry.id}` });
    }
    return this.all;
  }

  of(entry: Entry): Entry {
    return this.grown()[entry.seq - 1]!;
  }

  /** The store's own entry of the same text. */
  baseOf(entry: Entry): Entry {
    return this.#base.entries[entry.seq - 1]!;
  }
}

/** Kept by the store's own list, which is the same as long as its files are open. */
const kept = new WeakMap<EntryList, Map<string, NamedEntries>>();

class LinkedView extends StoreView {
  protected readonly viewed: SessionStore;
  readonly #name: string;

  constructor(store: SessionStore, name: string) {
    super();
    this.viewed = store;
    this.#name = name;
  }

  get #named(): NamedEntries {
    const { list } = this.viewed;
    const names = kept.get(list) ?? new Map<string, NamedEntries>();
    kept.set(list, names);
    let named = names.get(this.#name);
    if (named === undefined) {
      named = new NamedEntries(this.viewed, this.#name);
      names.set(this.#name, named);
    }
    return named;
  }

  override get entries(): readonly Entry[] {
    return this.#named.grown();
  }

  override get list(): EntryList {
    return this.#named.list;
  }

  /** By its id with the name, or without. */
  override entry(id: string): Entry | undefined {
    const own = id.startsWith(`${this.#name}:`) ? id.slice(this.#name.length + 1) : id;
    const entry = this.viewed.entry(own);
    return entry && this.#named.of(entry);
  }

  override entryByHash(sha256: string): Entry | undefined {
    const entry = this.viewed.entryByHash(sha256);
    return entry && this.#named.of(entry);
  }

  override outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    const outputs = this.viewed.outputsOf(chatId, toolCallId);
    return outputs.map((output) =>
      Object.assign({}, output, { entry: this.#named.of(output.entry) }),
    );
  }

  override source(path: string): ReturnType<SessionStore['source']> {
    const source = this.viewed.source(path);
    return source && { ...source, entry: this.#named.of(source.entry) };
  }

  override append(): Promise<never> {
    return refuse();
  }

  override appendStream(): Promise<never> {
    return refuse();
  }

  override readEntry(entry: Entry): Promise<string> {
    return this.viewed.readEntry(this.#named.baseOf(entry));
  }

  override readOriginal(entry: Entry): AsyncIterable<Uint8Array> {
    return this.viewed.readOriginal(this.#named.baseOf(entry));
  }

  override async at(moment: Moment): Promise<SessionStore> {
    return new LinkedView(await this.viewed.at(moment), this.#name);
  }

  override async verify(): Promise<readonly Entry[]> {
    return (await this.viewed.verify()).map((entry) => this.#named.of(entry));
  }
}

async function refuse(): Promise<never> {
  throw new ProxyError('internal', 'A linked store is only read.');
}

/** The list of a store with its entries under a name; what is made anew is kept until it grows. */
class NamedList implements EntryList {
  readonly #entries: NamedEntries;
  readonly #namings: Naming[] = [];
  #tools: { readonly count: number; readonly map: EntryList['tools'] } | undefined;
  #replaced: { readonly key: string; readonly set: ReadonlySet<Entry> } | undefined;

  constructor(entries: NamedEntries) {
    this.#entries = entries;
  }

  get #base(): EntryList {
    return this.#entries.base.list;
  }

  get kinds(): ReadonlyMap<string, EntryShare> {
    return this.#base.kinds;
  }

  get hasGone(): boolean {
    return this.#base.hasGone;
  }

  get tools(): EntryList['tools'] {
    const { length } = this.#entries.grown();
    if (this.#tools?.count !== length) {
      const tools = [...this.#base.tools].map(([tool, { count, chars, entries }]) => {
        const named = entries.map((entry) => this.#entries.of(entry));
        return [tool, { count, chars, entries: named }] as const;
      });
      this.#tools = { count: length, map: new Map(tools) };
    }
    return this.#tools.map;
  }

  get namings(): readonly Naming[] {
    const { namings } = this.#base;
    for (let at = this.#namings.length; at < namings.length; at += 1) {
      const { path, entry } = namings[at]!;
      this.#namings.push({ path, entry: this.#entries.of(entry) });
    }
    return this.#namings;
  }

  get replaced(): ReadonlySet<Entry> {
    const { replaced, namings } = this.#base;
    // It changes with a naming only.
    const key = `${namings.length} ${replaced.size}`;
    if (this.#replaced?.key !== key) {
      const set = new Set([...replaced].map((entry) => this.#entries.of(entry)));
      this.#replaced = { key, set };
    }
    return this.#replaced.set;
  }

  get isInTimeOrder(): boolean {
    return this.#base.isInTimeOrder;
  }

  pathsOf(entry: Entry): readonly string[] {
    return this.#base.pathsOf(this.#entries.baseOf(entry));
  }

  underPath(path: string): readonly Entry[] {
    return this.#base.underPath(path).map((entry) => this.#entries.of(entry));
  }

  successorOf(entry: Entry): Entry | undefined {
    const successor = this.#base.successorOf(this.#entries.baseOf(entry));
    return successor && this.#entries.of(successor);
  }
}
