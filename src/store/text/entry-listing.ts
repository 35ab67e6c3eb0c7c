import type { Entry, EntryList, EntryShare, Naming } from '../types.ts';

/**
 * What is kept of the entries as they come, so that nobody has to walk them all to count them or to
 * find those of a file: numbers by kind and tool, and under which paths each text has come. A few
 * dozen bytes an entry.
 */
export class EntryListing implements EntryList {
  readonly kinds = new Map<string, EntryShare>();
  readonly tools = new Map<string, EntryShare & { readonly entries: Entry[] }>();
  readonly namings: Naming[] = [];
  readonly replaced = new Set<Entry>();
  isInTimeOrder = true;
  hasGone = false;
  #newestMs = 0;
  /** By path, the entries in the order in which they came under it, the newest last. */
  readonly #byPath = new Map<string, Entry | Entry[]>();
  /** Paths of entries that have more than their own. */
  readonly #otherPaths = new Map<Entry, Set<string>>();

  /** Takes in the next entry. */
  add(entry: Entry): void {
    const kind = shareIn(this.kinds, entry.kind, () => ({ count: 0, chars: 0 }));
    kind.count += 1;
    kind.chars += entry.lengthChars;
    if (entry.tool !== undefined) {
      const tool = shareIn(this.tools, entry.tool, () => ({ count: 0, chars: 0, entries: [] }));
      tool.count += 1;
      tool.chars += entry.lengthChars;
      tool.entries.push(entry);
    }
    this.isInTimeOrder &&= entry.timeMs >= this.#newestMs;
    this.hasGone ||= (entry.forgotten ?? entry.masked) !== undefined;
    this.#newestMs = Math.max(this.#newestMs, entry.timeMs);
    if (entry.path !== undefined) this.#name(entry.path, entry);
  }

  /** Notes that an entry's text came again from a file. */
  addPath(entry: Entry, path: string): void {
    if (path !== entry.path) {
      const others = this.#otherPaths.get(entry);
      if (others === undefined) this.#otherPaths.set(entry, new Set([path]));
      else others.add(path);
    }
    const under = this.#byPath.get(path);
    const last = Array.isArray(under) ? under.at(-1) : under;
    if (last !== entry) this.#name(path, entry);
  }

  pathsOf(entry: Entry): readonly string[] {
    const own = entry.path === undefined ? [] : [entry.path];
    const others = this.#otherPaths.get(entry);
    return others === undefined ? own : [...own, ...others];
  }

  hasPath(entry: Entry, path: string): boolean {
    return entry.path === path || this.#otherPaths.get(entry)?.has(path) === true;
  }

  underPath(path: string): readonly Entry[] {
    const under = this.#byPath.get(path);
    return under === undefined ? [] : Array.isArray(under) ? under : [under];
  }

  successorOf(entry: Entry): Entry | undefined {
    if (!this.replaced.has(entry)) return undefined;
    const path = entry.path ?? this.pathsOf(entry)[0];
    return path === undefined ? undefined : this.#currentAt(path, entry);
  }

  #name(path: string, entry: Entry): void {
    this.namings.push({ path, entry });
    const before = this.#byPath.get(path);
    if (before === undefined) {
      // Most paths come once: a list for each would be most of what is kept.
      this.#byPath.set(path, entry);
      return;
    }
    const last = this.#currentAt(path, entry);
    if (Array.isArray(before)) before.push(entry);
    else this.#byPath.set(path, [before, entry]);
    // A text that comes back to its path is the file's present one again.
    this.replaced.delete(entry);
    if (last !== undefined && last !== entry && this.#isReplaced(last)) this.replaced.add(last);
  }

  /** Whether a later text of the same kind stands under each of its paths. */
  #isReplaced(entry: Entry): boolean {
    const paths = this.pathsOf(entry);
    return paths.every((path) => this.#currentAt(path, entry) !== entry);
  }

  /**
   * The newest entry under a path that is what `like` is: a file's text, or an output of the same
   * tool.
   */
  #currentAt(path: string, like: Entry): Entry | undefined {
    return this.underPath(path).findLast(
      (entry) => entry.kind === like.kind && entry.tool === like.tool,
    );
  }
}

function shareIn<Share>(shares: Map<string, Share>, name: string, make: () => Share): Share {
  let share = shares.get(name);
  if (share === undefined) {
    share = make();
    shares.set(name, share);
  }
  return share;
}
