import { LruMap } from '../../base/lru-map.ts';
import { shellWord } from '../../base/shell-word.ts';
import type { Logger } from '../../log.ts';
import { isDirectory } from '../disk/directory-map.ts';
import type { Files } from '../disk/files.ts';
import {
  evidenceOf,
  isSamePlace,
  lookAt,
  projectKey,
  type PlaceEvidence,
} from '../disk/project-place.ts';
import type { ListedPlace } from '../types.ts';
import {
  allMetadata,
  readMetadata,
  writeMetadata,
  type Metadata,
} from '../session/session-metadata.ts';

/** Sessions whose place was looked at in this process are remembered, at most. */
const maxNoted = 10_000;

/** Names that a session had are kept, at most. */
const maxFormerNames = 8;

/** What {@link ProjectPlaces} needs. */
interface ProjectPlacesOptions {
  readonly files: Files;
  readonly dataDir: string;
  readonly log: Logger;
  /** Where git is looked for, as in `PATH`. */
  readonly searchPath: string;
  /**
   * Whether a session's place is looked at anew in every process, and not only when it is made: for
   * a process that runs long.
   */
  readonly notesKnown: boolean;
  readonly map: {
    get(name: string): string | undefined;
    namesOf(sessionId: string): readonly string[];
  };
  /** Runs work while no session is made, renamed or deleted. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
  /** Gives a session a directory in place of the one it has; called within `alone`. */
  readonly rename: (sessionId: string, name: string) => Promise<void>;
}

/**
 * Which directories are which projects, after people have renamed, moved and copied them.
 *
 * A directory without a store takes over that of another name only where it is the very same
 * directory (`Presence.identity`: device, inode, time of birth), and nothing has the old name any
 * more. That cannot be forged, whatever is in the directory. The same remote and the same first
 * commit are no such proof: both are known of every public project, and an archive that somebody
 * unpacks may hold any `.git`; handing over for them would give a stranger's files the memory of a
 * project that was deleted. So where only git says that two are the same (moved to another disk,
 * cloned anew, copied, restored), the new one begins with an empty store, and it is said once how
 * to take the other's along. A directory that was never seen on this machine has no identity, so
 * it never counts as gone.
 */
export class ProjectPlaces {
  readonly #options: ProjectPlacesOptions;
  /** Sessions that were looked at, with the directory that they had. */
  readonly #noted = new LruMap<string, string>(maxNoted);
  readonly #stopped = new AbortController();
  /** Of all sessions, read when it first matters, kept up to date since. */
  #index: Promise<MetadataIndex> | undefined;
  /** What is looked at in the background, one after the other. */
  #noting: Promise<void> = Promise.resolve();

  constructor(options: ProjectPlacesOptions) {
    this.#options = options;
  }

  /**
   * The name under which the store of a directory is to be looked for or made: its own, but for a
   * directory that is another by a further name, or was renamed from one that a chat still names.
   * What was renamed gets its store before this resolves. Waits for no process.
   */
  async nameFor(name: string): Promise<string> {
    if (this.#options.map.get(name) !== undefined) return name;
    const { state, identity } = await lookAt(name);
    if (state === 'gone') return this.#nameSince(name);
    if (identity === undefined) return name;
    const owners = (await this.#all())
      .withIdentity(identity)
      .filter((id) => this.#directoryOf(id) !== undefined);
    const [owner] = owners;
    if (owner === undefined || owners.length > 1) return name;
    const before = this.#directoryOf(owner) ?? name;
    const old = await lookAt(before);
    // Two names for one directory, where no link leads from one to the other: mounted twice, or
    // written in other letters where that makes no difference.
    if (old.identity === identity) return before;
    if (old.state === 'gone') await this.#handOver(owner, before, name);
    return name;
  }

  /** Looks in the background at what a new session's directory is. */
  made(sessionId: string, name: string): void {
    this.#note(sessionId, name, true);
  }

  /** The same for one that has been there, where this process looks at such. */
  seen(sessionId: string, name: string): void {
    if (this.#options.notesKnown) this.#note(sessionId, name, false);
  }

  /**
   * Writes down that a session has another directory, or none but a key, before the map says so,
   * which is the caller's to change. From the session that has the directory until then it takes
   * over what that is known again by, and what it was called before.
   */
  async renamed(sessionId: string, name: string, createdMs: number): Promise<void> {
    const { files, dataDir } = this.#options;
    const plain: Metadata = { version: 1, id: sessionId, name, createdMs };
    const known = (await readMetadata(files, dataDir, sessionId)) ?? plain;
    const { place: noted, formerNames = [], earlierName: _, ...others } = known;
    const holder = this.#options.map.get(name);
    const before =
      holder === undefined || holder === sessionId
        ? undefined
        : await readMetadata(files, dataDir, holder);
    // What was known of another directory would make that one take the session back.
    const { identity } = await lookAt(name);
    const place = [noted, before?.place].find(
      (each) => identity !== undefined && each?.identity === identity,
    );
    const names = new Set([known.name, ...(before?.formerNames ?? []), ...formerNames]);
    const former = [...names]
      .filter((each) => isDirectory(each) && each !== name)
      .slice(0, maxFormerNames);
    this.#noted.delete(sessionId);
    await this.#write({
      ...others,
      name,
      ...(place === undefined ? {} : { place }),
      ...(former.length === 0 ? {} : { formerNames: former }),
      ...(isDirectory(name) ? {} : { earlierName: known.name }),
    });
  }

  /** What there is to say of where sessions lie, by their ids. */
  async listed(): Promise<ReadonlyMap<string, ListedPlace>> {
    const all = await this.#all();
    const found = new Map<string, ListedPlace>();
    for (const { id, name, place, formerNames = [] } of all.sessions.values()) {
      const directory = this.#directoryOf(id);
      if (directory === undefined) continue;
      const [formerly] = name === directory ? formerNames : [];
      const isGone = place !== undefined && (await lookAt(directory)).state === 'gone';
      const like = isGone ? undefined : await this.#likeness(id);
      found.set(id, {
        ...(formerly === undefined ? {} : { formerly }),
        ...(isGone ? { isGone } : {}),
        ...(like === undefined ? {} : { looksLike: like }),
      });
    }
    return found;
  }

  /** Forgets a deleted session. */
  async removed(sessionId: string): Promise<void> {
    (await this.#index)?.delete(sessionId);
    this.#noted.delete(sessionId);
  }

  /** Ends what is under way; what is known by then of new sessions is written down. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#noting;
  }

  /** Chats remember a directory longer than it has its name. */
  async #nameSince(name: string): Promise<string> {
    for (const id of (await this.#all()).formerly(name)) {
      const since = this.#directoryOf(id);
      if (since !== undefined) return since;
    }
    return name;
  }

  async #handOver(sessionId: string, before: string, name: string): Promise<void> {
    const { alone, map, rename, log } = this.#options;
    await alone(async () => {
      // Another request may have come first.
      if (map.get(name) !== undefined || map.get(before) !== sessionId) return;
      await rename(sessionId, name);
      log.info(
        { session: sessionId, from: before, directory: name },
        'a project was renamed: its store goes along',
      );
    });
  }

  #note(sessionId: string, name: string, isNew: boolean): void {
    if (!isDirectory(name) || this.#noted.get(sessionId) === name) return;
    this.#noted.set(sessionId, name);
    const before = this.#noting;
    this.#noting = this.#lookAfter(before, { sessionId, name, isNew });
  }

  async #lookAfter(
    before: Promise<void>,
    asked: { readonly sessionId: string; readonly name: string; readonly isNew: boolean },
  ): Promise<void> {
    await before;
    if (this.#stopped.signal.aborted && !asked.isNew) return;
    try {
      await this.#look(asked);
    } catch (error) {
      // A full disk, a deleted store: the next process looks again.
      const { sessionId: session } = asked;
      this.#options.log.debug({ err: error, session }, 'a place was not noted');
    }
  }

  async #look({
    sessionId,
    name,
    isNew,
  }: {
    readonly sessionId: string;
    readonly name: string;
    readonly isNew: boolean;
  }): Promise<void> {
    const { files, dataDir, searchPath, alone, map } = this.#options;
    const known = await readMetadata(files, dataDir, sessionId);
    const from = { searchPath, signal: this.#stopped.signal };
    const place = await evidenceOf(name, known?.place, from);
    if (place === undefined) return;
    if (!isSamePlace(known?.place, place)) {
      await alone(async () => {
        if (map.get(name) !== sessionId) return;
        const newest = await readMetadata(files, dataDir, sessionId);
        if (newest !== undefined) await this.#write({ ...newest, place });
      });
    }
    if (isNew && !this.#stopped.signal.aborted) await this.#tellLikeness(sessionId, name, place);
  }

  async #tellLikeness(sessionId: string, name: string, place: PlaceEvidence): Promise<void> {
    if (projectKey(place) === undefined) return;
    const like = await this.#likeness(sessionId);
    if (like === undefined) return;
    const line = `rlm-opencode sessions move --replace ${shellWord(like.directory)} ${shellWord(name)}`;
    const shared = 'store.worktrees (RLM_STORE_WORKTREES) `shared` gives it that of its main tree.';
    this.#options.log.info(
      {
        session: sessionId,
        directory: name,
        like: like.directory,
        hint: like.as === 'worktree' ? shared : `To take the other's store along: ${line}`,
      },
      tellings[like.as],
    );
  }

  /**
   * Of a worktree the store of its main tree; else the oldest other session of the same project,
   * one that is gone before others.
   */
  async #likeness(sessionId: string): Promise<ListedPlace['looksLike']> {
    const { sessions } = await this.#all();
    const own = sessions.get(sessionId);
    const key = projectKey(own?.place);
    if (own?.place === undefined || key === undefined) return undefined;
    const { mainTree } = own.place;
    if (mainTree !== undefined) {
      const session = this.#options.map.get(mainTree);
      return session === undefined ? undefined : { session, directory: mainTree, as: 'worktree' };
    }
    let found: ListedPlace['looksLike'];
    for (const { id, place, createdMs } of sessions.values()) {
      const directory = this.#directoryOf(id);
      const isAnother = id !== sessionId && directory !== undefined && projectKey(place) === key;
      if (!isAnother || place?.mainTree !== undefined) continue;
      if ((await lookAt(directory)).state === 'gone') {
        return { session: id, directory, as: 'moved' };
      }
      if (createdMs <= own.createdMs) found ??= { session: id, directory, as: 'copy' };
    }
    return found;
  }

  #directoryOf(sessionId: string): string | undefined {
    return this.#options.map.namesOf(sessionId).find(isDirectory);
  }

  async #all(): Promise<MetadataIndex> {
    const { files, dataDir } = this.#options;
    this.#index ??= allMetadata(files, dataDir).then((all) => new MetadataIndex(all));
    return this.#index;
  }

  async #write(metadata: Metadata): Promise<void> {
    const { files, dataDir } = this.#options;
    await writeMetadata(files, dataDir, metadata);
    (await this.#index)?.put(metadata);
  }
}

/** The sessions' metadata, and whose is what in them. */
class MetadataIndex {
  readonly sessions = new Map<string, Metadata>();
  readonly #byIdentity = new Map<string, Set<string>>();
  readonly #byFormerName = new Map<string, Set<string>>();

  constructor(all: readonly Metadata[]) {
    for (const each of all) this.put(each);
  }

  put(metadata: Metadata): void {
    this.delete(metadata.id);
    this.sessions.set(metadata.id, metadata);
    for (const [index, value] of this.#entriesOf(metadata)) {
      const ids = index.get(value);
      if (ids === undefined) index.set(value, new Set([metadata.id]));
      else ids.add(metadata.id);
    }
  }

  delete(sessionId: string): void {
    const metadata = this.sessions.get(sessionId);
    if (metadata === undefined) return;
    for (const [index, value] of this.#entriesOf(metadata)) index.get(value)?.delete(sessionId);
    this.sessions.delete(sessionId);
  }

  withIdentity(identity: string): readonly string[] {
    return [...(this.#byIdentity.get(identity) ?? [])];
  }

  /** Sessions that had this name, the one that was put last first. */
  formerly(name: string): readonly string[] {
    return [...(this.#byFormerName.get(name) ?? [])].reverse();
  }

  *#entriesOf({
    place,
    formerNames = [],
  }: Metadata): Generator<[Map<string, Set<string>>, string]> {
    if (place?.identity !== undefined) yield [this.#byIdentity, place.identity];
    for (const name of formerNames) yield [this.#byFormerName, name];
  }
}

const tellings = {
  copy: 'this project looks like a copy of another: it begins with an empty store',
  worktree: 'this is a worktree of another project: it begins with an empty store',
  moved: 'this project looks like one that is gone: it begins with an empty store',
} as const;
