import { realpath } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';

/** Names that are looked at for links at most, once in a process. */
const maxNames = 10_000;
/** How many of them at a time, so that whatever else waits for the disk gets its turn. */
const namesAtOnce = 32;

/** The names that directories have in the map. */
interface KnownNames {
  get(name: string): string | undefined;
  names(): Iterable<string>;
}

/**
 * One name for a directory that can be reached by several: where symbolic links lead to. A name
 * that has a store keeps it, also one that was given by way of a link; a directory that is not on
 * this machine is taken as it is written.
 */
export class RealNames {
  readonly #known: KnownNames;
  readonly #realOf: (path: string) => Promise<string | undefined>;
  /**
   * Real directories of stores that have the name of a link; found once, when they could first
   * matter.
   */
  #links: Promise<ReadonlyMap<string, string>> | undefined;

  constructor(known: KnownNames, realOf = realPathOf) {
    this.#known = known;
    this.#realOf = realOf;
  }

  /**
   * The name under which a directory's store is found, or is to be made. `name` is absolute and
   * normal.
   */
  async of(name: string): Promise<string> {
    if (this.#known.get(name) !== undefined) return name;
    const real = await this.#realOf(name);
    if (real === undefined || this.#known.get(real) !== undefined) return real ?? name;
    this.#links ??= this.#findLinks();
    return (await this.#links).get(real) ?? real;
  }

  async #findLinks(): Promise<ReadonlyMap<string, string>> {
    const links = new Map<string, string>();
    const names = [...this.#known.names()].filter((name) => name.startsWith('/')).slice(-maxNames);
    for (let at = 0; at < names.length; at += namesAtOnce) {
      const some = names.slice(at, at + namesAtOnce);
      const real = await Promise.all(some.map(async (name) => this.#realOf(name)));
      for (const [index, name] of some.entries()) {
        const target = real[index];
        if (target !== undefined && target !== name) links.set(target, name);
      }
      await setImmediate();
    }
    return links;
  }
}

/** Where a path leads; undefined for what is not on this machine, or not ours to see. */
async function realPathOf(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch {
    return undefined;
  }
}
