import { LruMap } from '../base/lru-map.ts';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { readCheckout } from '../store/disk/git-checkout.ts';

/** Directories whose names are kept; each costs a few reads of files. */
const maxKept = 1_000;
/** What git says of a directory is read again after so long, milliseconds. */
const keptMs = 30_000;

const ownNames =
  'A name of a project does not begin with `_`: such names are what a database role keeps for itself.';

function isOwn(name: string): boolean {
  return name.startsWith('_');
}

/**
 * What a role's own names begin with. A role may be called anything: the one sign that ends it here
 * is written otherwise in it (`database/schema.ts` says the same in SQL).
 */
function ownPrefix(role: string): string {
  return `_${role.replaceAll('%', '%25').replaceAll(':', '%3A')}:`;
}

/**
 * Whether a name is of what a role remembers beside all projects: no project, though it has a log.
 */
export function isOfChats(name: string): boolean {
  return /^_[^:]*:chats$/.test(name);
}

/** How projects are called in a store that machines share. */
export class ProjectNames {
  readonly #clock: Clock;
  readonly #machine: string;
  readonly #project: string | undefined;
  readonly #role: string;
  readonly #kept = new LruMap<string, { readonly name: string; readonly atMs: number }>(maxKept);

  constructor(options: {
    readonly clock: Clock;
    /** The name of this machine. */
    readonly machine: string;
    /** The database role, to which names belong that mean nothing to others. */
    readonly role: string;
    /** The one project of this proxy, where it has one (`store.project`). */
    readonly project: string | undefined;
  }) {
    this.#clock = options.clock;
    this.#machine = options.machine;
    this.#role = options.role;
    this.#project = options.project;
    if (options.project !== undefined && isOwn(options.project)) {
      throw new ProxyError('config_invalid', `store.project: ${ownNames}`);
    }
  }

  /**
   * The project of a directory: what the request says (`x-rlm-project`), else the setting, else
   * where its checkout comes from (`git:github.com/owner/project`, a folder in it with `#` and its
   * path), else machine and path. @throws ProxyError as {@link ofProject}
   */
  async ofDirectory(directory: string, said: string | undefined): Promise<string> {
    if (said !== undefined) return this.ofProject(said);
    if (this.#project !== undefined) return this.#project;
    const kept = this.#kept.get(directory);
    const nowMs = this.#clock.elapsedMs();
    if (kept !== undefined && nowMs - kept.atMs < keptMs) return kept.name;
    const name = await this.#read(directory);
    this.#kept.set(directory, { name, atMs: nowMs });
    return name;
  }

  /**
   * As a request says it. @throws ProxyError `invalid_request` for a name that is nobody's to say
   */
  ofProject(said: string): string {
    if (!isOwn(said)) return said;
    throw new ProxyError('invalid_request', ownNames, { param: 'x-rlm-project' });
  }

  /** Of a conversation that names no directory: the one project of the proxy, where it has one. */
  ofKey(key: string): string {
    return this.#project ?? `${this.#own}key:${key}`;
  }

  /** Of a store from an archive whose project has one, or that says none. */
  ofImported(sessionId: string): string {
    return `${this.#own}key:imported-${sessionId}`;
  }

  /** Of what is remembered beside all projects. */
  get chats(): string {
    return `${this.#own}chats`;
  }

  get #own(): string {
    return ownPrefix(this.#role);
  }

  async #read(directory: string): Promise<string> {
    const checkout = await readCheckout(directory);
    const remote = checkout?.remote;
    // A repository that comes from a path of this machine says nothing to others.
    if (checkout === undefined || remote === undefined || remote.startsWith('file:')) {
      return `${this.#own}path:${this.#machine}:${directory}`;
    }
    return `git:${remote}${checkout.within === '' ? '' : `#${checkout.within}`}`;
  }
}
