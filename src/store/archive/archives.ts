import { join } from 'node:path';
import type { Clock, Ids } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { copyName, directoryName, isDirectory, type DirectoryMap } from '../disk/directory-map.ts';
import type { Files } from '../disk/files.ts';
import { RecordLog } from '../disk/record-log.ts';
import { sessionPaths } from '../disk/session-paths.ts';
import { toStoreFailure } from '../disk/store-failure.ts';
import { encodeRecord } from '../format.ts';
import { type ChatMemoryLimits, FileChatMemory } from '../session/chat-memory.ts';
import { checkStoreDeeply } from '../session/session-check.ts';
import { SessionEvents } from '../session/session-events.ts';
import type { OpenSession } from '../session/session-handle.ts';
import { readMetadata, writeMetadata } from '../session/session-metadata.ts';
import { FileSessionStore } from '../session/session-store.ts';
import { summarizeSession } from '../session/session-summary.ts';
import type {
  ArchivePiece,
  ArchiveProgress,
  ArchivedStore,
  ChatMemory,
  ChatRecord,
  CheckProgress,
  ExportReport,
  ImportOptions,
  ImportReport,
  SessionHealth,
} from '../types.ts';
import { ExportFiles, type HeldSession } from './export-files.ts';
import {
  moveLanded,
  removeFolder,
  removeLanded,
  importingDir,
  writeLanding,
  type LandingSession,
} from './landing.ts';
import { damagedArchive, totalBytesOf, type ArchivedSession, type Manifest } from './manifest.ts';
import { replaceIds, replaceIdsIn } from './session-ids.ts';
import { stageArchive, type StagedArchive } from './stage-archive.ts';
import { packTarZstd } from './tar-zstd.ts';

/** What {@link Archives} works on. */
export interface ArchivesParts {
  readonly files: Files;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly map: DirectoryMap;
  /** Which project a chat belongs to. */
  readonly chats: ChatMemory;
  /** One name for a directory, wherever links lead. */
  readonly nameOf: (directory: string) => Promise<string>;
  readonly hasFiles: (sessionId: string) => Promise<boolean>;
  /** Asks an open session something; opens it. */
  readonly hold: <T>(sessionId: string, ask: (open: OpenSession) => Promise<T>) => Promise<T>;
  readonly checkDeeply: (sessionId: string) => AsyncGenerator<CheckProgress, SessionHealth>;
  /** Hears of a store that has come into a directory. */
  readonly landed: (sessionId: string, directory: string) => void;
  /** Runs work while nobody has a session, or what reads it, open; only within `alone`. */
  readonly replacing: (sessionId: string, work: () => Promise<void>) => Promise<void>;
  /** Runs work while no session is made, renamed or deleted. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
  /** The keys by whose hashes forgotten texts are known here. */
  readonly forgetKeys: () => Promise<readonly Buffer[]>;
  /** Of what the chats of a session remember. */
  readonly chatLimits: ChatMemoryLimits;
  readonly takeForgetKeys: (keys: readonly Buffer[]) => Promise<void>;
}

/** Takes stores out of a data directory and brings them into another, as archives. */
export class Archives {
  readonly #parts: ArchivesParts;
  /** Ids that imports under way have chosen. */
  readonly #reserved = new Set<string>();

  constructor(parts: ArchivesParts) {
    this.#parts = parts;
  }

  /**
   * See `Sessions.export`. @param options.isForReplica For {@link importReplica}: nothing of this
   * machine goes along, and nothing that a branch goes on from
   * @param options.still Runs what looks how far the stores are, for who wants to know that, too
   */
  async *export(
    sessionIds: readonly string[],
    {
      isForReplica = false,
      still = async (look) => look(),
    }: { readonly isForReplica?: boolean; readonly still?: Still | undefined } = {},
  ): AsyncGenerator<ArchivePiece, ExportReport> {
    const { clock } = this.#parts;
    for (const id of sessionIds) yield* this.#checked(id);
    const createdMs = clock.now();
    const held = isForReplica
      ? await still(async () => this.#holdOwn(sessionIds))
      : await this.#holdAll(sessionIds);
    const files = await ExportFiles.measure({ ...this.#parts, createdMs }, held, {
      chats: isForReplica ? Buffer.alloc(0) : await this.#chatsOf(held),
      keys: await this.#parts.forgetKeys(),
    });
    const totalBytes = totalBytesOf(files.manifest);
    let doneBytes = 0;
    let archiveBytes = 0;
    const packed = async function* (alone: ArchivesParts['alone']) {
      yield* files.packed((count) => (doneBytes += count));
      // What is being forgotten ends first; then it shows.
      await alone(async () => files.checkUnchanged());
    };
    for await (const bytes of packTarZstd(packed(this.#parts.alone), createdMs)) {
      archiveBytes += bytes.length;
      yield { doing: 'pack', bytes, doneBytes, totalBytes };
    }
    return {
      sessions: files.manifest.sessions.map(({ id, names, role, entries }) => {
        return storeOf(names, { session: id, role, entries });
      }),
      textBytes: totalBytes,
      archiveBytes,
    };
  }

  /** @throws ProxyError `store_corrupt`: what is damaged cannot be imported again */
  async *#checked(sessionId: string): AsyncGenerator<ArchivePiece> {
    const check = this.#parts.checkDeeply(sessionId);
    let step = await check.next();
    for (; step.done !== true; step = await check.next()) {
      yield { doing: 'check', ...step.value };
    }
    const { damage } = step.value;
    if (damage.length === 0) return;
    throw new ProxyError(
      'store_corrupt',
      `${sessionId} is damaged and was not exported: ${damage[0]}.`,
      {
        hint: `Copy what is sound in it to a new store with \`rlm-opencode sessions salvage ${sessionId}\`, and export that.`,
      },
    );
  }

  /** The stores that were asked for, as they are found elsewhere by other names. */
  async #holdOwn(sessionIds: readonly string[]): Promise<readonly HeldSession[]> {
    return Promise.all(sessionIds.map(async (id) => ({ ...(await this.#held(id)), names: [] })));
  }

  /** The stores that were asked for, and whatever their branches read from others. */
  async #holdAll(sessionIds: readonly string[]): Promise<readonly HeldSession[]> {
    const { files, dataDir } = this.#parts;
    const wanted = new Map<string, HeldSession>();
    for (const id of sessionIds) wanted.set(id, await this.#held(id));
    const ranges = [...wanted.values()].flatMap(({ bases }) => bases);
    const bases = new Map<string, HeldSession>();
    for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
      const { sessionId, records } = range;
      const own = wanted.get(sessionId);
      if (own !== undefined) {
        // What a branch was made from was committed: it may have been after the base was looked at.
        if (own.own.records < records) wanted.set(sessionId, { ...own, own: range });
        continue;
      }
      const known = bases.get(sessionId);
      if (known !== undefined && known.own.records >= records) continue;
      const summary = await summarizeSession(files, sessionPaths(dataDir, sessionId));
      const { createdMs, bases: under = [] } = summary;
      if (known === undefined) ranges.push(...under);
      bases.set(sessionId, {
        id: sessionId,
        names: [],
        createdMs,
        role: 'base',
        bases: under,
        own: range,
        events: 0,
      });
    }
    return [...bases.values(), ...wanted.values()];
  }

  async #held(sessionId: string): Promise<HeldSession> {
    const { map, files, dataDir, hold } = this.#parts;
    const { copyOf } = (await readMetadata(files, dataDir, sessionId)) ?? {};
    return hold(sessionId, async ({ store, events }) => {
      const { bases, own } = await store.settled();
      return {
        id: sessionId,
        names: map.namesOf(sessionId),
        createdMs: store.createdMs,
        role: 'store' as const,
        copyOf,
        bases,
        own,
        events: events.all.length,
        chatsBytes: await sizeOf(files, sessionPaths(dataDir, sessionId).chats),
      };
    });
  }

  /**
   * What is known of the stores' chats, as lines of the same form: the newest value of each key.
   */
  async #chatsOf(held: readonly HeldSession[]): Promise<Buffer> {
    const { files, dataDir } = this.#parts;
    const path = join(dataDir, 'mappings', 'chats.jsonl');
    const places = new Set(
      held.filter(({ role }) => role === 'store').flatMap(({ id, names }) => names.concat(id)),
    );
    const newest = new Map<string, string>();
    if (!(await files.exists(path))) return Buffer.alloc(0);
    const log = new RecordLog(path, await files.open(path, { create: false }));
    try {
      for await (const { whole, ended, lineNumber, bytes } of log.scan()) {
        if (!whole || !ended || lineNumber === 1) continue;
        const { k, v } = JSON.parse(bytes.toString()) as {
          readonly k: string;
          readonly v: unknown;
        };
        newest.delete(k);
        const place = placeIn(v);
        if (place !== undefined && places.has(place)) newest.set(k, encodeRecord({ k, v }));
      }
    } finally {
      await log.close();
    }
    return Buffer.from([...newest.values()].join(''));
  }

  /** See `Sessions.import`. @param options.claim See `ReplicaSessions.importWith` */
  import(
    packed: AsyncIterable<Uint8Array>,
    options: ImportOptions & { readonly claim?: (id: string) => Promise<boolean> },
  ): AsyncGenerator<ArchiveProgress, ImportReport> {
    return this.#import(packed, options);
  }

  /**
   * Puts the one store of an archive in the place of what there is of it, under its own id; what it
   * goes on from must be here.
   */
  importReplica(
    packed: AsyncIterable<Uint8Array>,
    replica: ReplicaImport,
  ): AsyncGenerator<ArchiveProgress, ImportReport> {
    return this.#import(packed, { unnamed: true, anySize: true, replica });
  }

  async *#import(
    packed: AsyncIterable<Uint8Array>,
    options: ImportOptions & {
      readonly replica?: ReplicaImport;
      readonly claim?: (id: string) => Promise<boolean>;
    },
  ): AsyncGenerator<ArchiveProgress, ImportReport> {
    const { files, dataDir, ids } = this.#parts;
    const folder = join(importingDir(dataDir), ids.next('import_'));
    let names: ReadonlyMap<string, readonly string[]> = new Map();
    const reserved: string[] = [];
    const landing: LandingState = { isBegun: false };
    try {
      await files.makeDirectory(importingDir(dataDir));
      const staging = stageArchive(files, folder, packed, {
        isTrusted: options.anySize === true,
        plan: async (manifest) => {
          const { replica } = options;
          if (replica !== undefined) {
            if (manifest.sessions.length !== 1 || manifest.sessions[0]!.id !== replica.id)
              throw damagedArchive('it holds another store');
            return new Map([[replica.id, replica.id]]);
          }
          const chosen = await this.#chooseIds(manifest, reserved, options.claim);
          names = await this.#chooseNames(manifest, chosen, options);
          return chosen;
        },
      });
      let step = await staging.next();
      for (; step.done !== true; step = await staging.next()) {
        yield { doing: 'unpack', ...step.value };
      }
      const staged = step.value;
      const links = await this.#linkBases(folder, options.replica?.id);
      let ownRecords = 0;
      for (const session of staged.manifest.sessions) {
        ownRecords = yield* this.#verified(folder, staged, session);
      }
      for (const path of links) await files.remove(path);
      if (options.replica !== undefined) {
        const { id, note } = options.replica;
        await this.#remember(folder, id, note(ownRecords));
        const sessions = await this.#landReplica(folder, staged, landing, options.replica);
        return { sessions, textBytes: totalBytesOf(staged.manifest) };
      }
      const sessions = await this.#land(folder, staged, names, landing);
      for (const { session, directory } of sessions) {
        if (directory !== undefined) this.#parts.landed(session, directory);
      }
      await this.#takeChats(staged, names);
      return { sessions, textBytes: totalBytesOf(staged.manifest) };
    } catch (error) {
      const failure = toStoreFailure(error, folder);
      throw landing.isBegun ? failure : notImported(failure);
    } finally {
      for (const id of reserved) this.#reserved.delete(id);
      // Once it has begun to be moved, what there is decides at the next opening.
      if (!landing.isBegun) await this.#discard(folder);
    }
  }

  /** What was not imported is of no use; where it cannot be deleted now, the next opening does. */
  async #discard(folder: string): Promise<void> {
    const { files, log } = this.#parts;
    try {
      await removeFolder(files, folder);
    } catch (error) {
      log.warn({ err: error, folder }, 'what is left of an import was not deleted');
    }
  }

  /** A store keeps its id where that is free, so that links to it hold again. */
  async #chooseIds(
    manifest: Manifest,
    reserved: string[],
    claim: (id: string) => Promise<boolean> = async () => true,
  ): Promise<ReadonlyMap<string, string>> {
    const { ids, map, hasFiles } = this.#parts;
    const chosen = new Map<string, string>();
    // At once: another import may be looking for the same.
    const reserve = (id: string): boolean => {
      if (this.#reserved.has(id) || map.namesOf(id).length > 0) return false;
      this.#reserved.add(id);
      reserved.push(id);
      return true;
    };
    for (const { id } of manifest.sessions) {
      let fresh = id;
      while (!reserve(fresh) || (await hasFiles(fresh)) || !(await claim(fresh)))
        fresh = ids.next('sess_');
      chosen.set(id, fresh);
    }
    return chosen;
  }

  /** The names that the stores will have, by their new ids. @throws ProxyError `invalid_request` */
  async #chooseNames(
    manifest: Manifest,
    ids: ReadonlyMap<string, string>,
    options: ImportOptions,
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const one = options.as === undefined ? undefined : theOne(manifest.sessions);
    const chosen = new Map<string, readonly string[]>();
    const seen = new Set<string>();
    for (const session of manifest.sessions) {
      const id = ids.get(session.id)!;
      const wanted =
        session === one
          ? [options.as!, ...session.names.filter((name) => !isDirectory(name))]
          : session.names;
      const names: string[] = [];
      for (const name of session.role === 'base' ? [] : wanted) {
        const free = isDirectory(name)
          ? await this.#freeDirectory(mapped(name, options), options)
          : await this.#freeKey(replaceIdsIn(name, ids));
        if (free === undefined || names.includes(free)) continue;
        if (seen.has(free)) {
          throw new ProxyError(
            'invalid_request',
            `Two stores of the archive would have ${free}. Nothing was imported.`,
          );
        }
        seen.add(free);
        names.push(free);
      }
      const other = session.role === 'base' ? `${copyName}${id}` : `key:imported-${id}`;
      chosen.set(id, names.length === 0 ? [other] : names);
    }
    return chosen;
  }

  /** @throws ProxyError `invalid_request` where another store has it */
  async #freeDirectory(directory: string, options: ImportOptions): Promise<string | undefined> {
    const name = await this.#parts.nameOf(directoryName(directory));
    const owner = await this.#ownerOf(name);
    if (owner === undefined) return name;
    if (options.unnamed === true) return undefined;
    throw new ProxyError(
      'invalid_request',
      `${name} has a store already: ${owner}. Nothing was imported, and that store is as it was.`,
      {
        hint: 'Give the imported one another directory with --as DIRECTORY (of many: --map OLD=NEW), or none with --unnamed: it is reached by its id then.',
      },
    );
  }

  async #freeKey(name: string): Promise<string | undefined> {
    return (await this.#ownerOf(name)) === undefined ? name : undefined;
  }

  async #ownerOf(name: string): Promise<string | undefined> {
    const { map, hasFiles } = this.#parts;
    const id = map.get(name);
    return id !== undefined && (await hasFiles(id)) ? id : undefined;
  }

  /**
   * The store's own check of a store that is unpacked, by every hash there is.
   * @returns Lines of its own journal
   */
  async *#verified(
    folder: string,
    { ids }: StagedArchive,
    session: ArchivedSession,
  ): AsyncGenerator<ArchiveProgress, number> {
    const { files, clock, log } = this.#parts;
    const sessionId = ids.get(session.id)!;
    const paths = sessionPaths(folder, sessionId);
    const common = { sessionId, paths, files, clock, log };
    try {
      await using store = await FileSessionStore.open({ ...common, maxSessionBytes: Infinity });
      await using events = await SessionEvents.open(common);
      void events;
      const { own, bases } = await store.settled();
      const ownBytes = own.end.bytes - (bases.at(-1)?.end.bytes ?? 0);
      if (ownBytes !== session.files.text || own.end.entries !== session.entries) {
        throw damagedArchive(`${session.id} does not hold what its manifest says`);
      }
      const check = checkStoreDeeply(store);
      let step = await check.next();
      for (; step.done !== true; step = await check.next()) yield { doing: 'check', ...step.value };
      const [damage] = step.value.damage;
      if (damage !== undefined) throw damagedArchive(`${session.id}: ${damage}`);
      return store.ownRecords;
    } catch (error) {
      if (error instanceof ProxyError && error.code === 'store_corrupt') {
        throw damagedArchive(error.message.replace(/\.$/, ''), error);
      }
      throw error;
    }
  }

  /** Moves what was verified to the stores: from one moment on all of it is there. */
  async #land(
    folder: string,
    { manifest, ids, keys }: StagedArchive,
    names: ReadonlyMap<string, readonly string[]>,
    state: LandingState,
  ): Promise<ImportReport['sessions']> {
    const { files, alone } = this.#parts;
    for (const { id: from, createdMs, copyOf } of manifest.sessions) {
      const id = ids.get(from)!;
      const [name] = names.get(id)!;
      const copied = copyOf === undefined ? {} : { copyOf: replaceIds(copyOf, ids) };
      await writeMetadata(files, folder, { id, name: name!, createdMs, ...copied });
    }
    await files.syncDirectory(join(folder, 'sessions'));
    const sessions = [...names].map(([id, own]): LandingSession => ({ id, names: own }));
    await alone(async () => {
      // What another import or a chat has taken meanwhile.
      for (const name of sessions.flatMap((session) => session.names)) {
        if (isDirectory(name)) await this.#freeDirectory(name, {});
      }
      // Before the stores are there: what was forgotten in them is known from their first turn on.
      if (keys.length > 0) await this.#parts.takeForgetKeys(keys);
      await this.#move(folder, sessions, state);
    });
    return manifest.sessions.map(({ id: from, role, entries }) => {
      const id = ids.get(from)!;
      return storeOf(names.get(id)!, { session: id, from, role, entries });
    });
  }

  /**
   * Second names for the files of what a branch goes on from, so that it can be verified where it
   * was unpacked; their paths.
   */
  async #linkBases(folder: string, sessionId: string | undefined): Promise<readonly string[]> {
    const { files, dataDir } = this.#parts;
    if (sessionId === undefined) return [];
    const { bases = [] } = await summarizeSession(files, sessionPaths(folder, sessionId));
    const links: string[] = [];
    for (const { sessionId: base } of bases) {
      const from = sessionPaths(dataDir, base);
      const to = sessionPaths(folder, base);
      for (const part of ['text', 'journal'] as const) {
        await files.link(from[part], to[part]);
        links.push(to[part]);
      }
      const originals = await files.list(from.originalsDir);
      if (originals.length === 0) continue;
      await files.makeDirectory(to.originalsDir);
      links.push(to.originalsDir);
      for (const name of originals)
        await files.link(join(from.originalsDir, name), join(to.originalsDir, name));
    }
    return links;
  }

  /** Adds to what the chats of an unpacked store remember. */
  async #remember(folder: string, sessionId: string, record: ChatRecord): Promise<void> {
    const { files, clock, log, chatLimits: limits } = this.#parts;
    const path = sessionPaths(folder, sessionId).chats;
    await using memory = await FileChatMemory.open({ path, sessionId, files, clock, log, limits });
    await memory.put([record]);
  }

  async #landReplica(
    folder: string,
    { manifest, keys }: StagedArchive,
    state: LandingState,
    { id, key }: ReplicaImport,
  ): Promise<ImportReport['sessions']> {
    const { files, map, dataDir, alone, replacing, takeForgetKeys } = this.#parts;
    const [{ createdMs, role, entries }] = manifest.sessions as [ArchivedSession];
    await alone(async () => {
      const known = map.namesOf(id);
      const names = known.length === 0 ? [`key:${key}`] : known;
      await writeMetadata(files, folder, { id, name: names[0]!, createdMs });
      await files.syncDirectory(join(folder, 'sessions'));
      if (keys.length > 0) await takeForgetKeys(keys);
      await replacing(id, async () => {
        await removeLanded(files, [{ id, names }], dataDir);
        await this.#move(folder, [{ id, names }], state);
      });
    });
    return [{ session: id, from: id, role, entries }];
  }

  async #move(
    folder: string,
    sessions: readonly LandingSession[],
    state: LandingState,
  ): Promise<void> {
    const { files, dataDir, map } = this.#parts;
    await writeLanding(files, folder, { state: 'commit', sessions });
    state.isBegun = true;
    try {
      await moveLanded(files, folder, dataDir);
      for (const { id, names } of sessions) for (const name of names) await map.set(name, id);
    } catch (error) {
      // Where that fails, too, the next opening does it.
      await writeLanding(files, folder, { state: 'abort', sessions });
      await removeLanded(files, sessions, dataDir);
      for (const { id } of sessions) await map.forget(id);
      state.isBegun = false;
      throw error;
    }
    await this.#discard(folder);
  }

  /**
   * What is known here of a chat already stays. It may be forgotten, so a failure costs nothing.
   */
  async #takeChats(
    { ids, chats, manifest }: StagedArchive,
    names: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    const { chats: memory, log } = this.#parts;
    const places = new Map<string, string>(ids);
    for (const session of manifest.sessions) {
      const to = names.get(ids.get(session.id)!)!.find(isDirectory);
      for (const name of session.names.filter(isDirectory))
        if (to !== undefined) places.set(name, to);
    }
    try {
      const records: { readonly key: string; readonly value: unknown }[] = [];
      for (const line of chats.toString().split('\n')) {
        if (line === '') continue;
        const { k, v } = JSON.parse(line) as { readonly k: unknown; readonly v: unknown };
        const place = placeIn(v);
        if (typeof k !== 'string' || place === undefined || !places.has(place)) continue;
        if (memory.has(k)) continue;
        const at = places.get(place)!;
        records.push({ key: k, value: typeof v === 'string' ? at : { ...Object(v), at } });
      }
      await memory.put(records);
    } catch (error) {
      log.warn({ err: error }, 'what the archive says of chats was not taken over');
    }
  }
}

const nothingImported = 'Nothing was imported.';

/** A failure of the disk says what came of the archive, as one of the archive itself does. */
function notImported(failure: ProxyError): ProxyError {
  const { code, message, parts } = failure;
  return ['store_full', 'internal'].includes(code) && !message.includes(nothingImported)
    ? new ProxyError(code, `${message} ${nothingImported}`, parts)
    : failure;
}

/** A store that is fetched again, whole. */
export interface ReplicaImport {
  readonly id: string;
  /** It is found under `key:` and this, where it has no name yet. */
  readonly key: string;
  /**
   * What its chats remember from the start, so that it is there with the rest or not at all.
   * @param ownRecords Lines of its own journal
   */
  readonly note: (ownRecords: number) => ChatRecord;
}

/** Runs something while nothing is added to the stores that it looks at. */
export type Still = <T>(look: () => Promise<T>) => Promise<T>;

async function sizeOf(files: Files, path: string): Promise<number> {
  if (!(await files.exists(path))) return 0;
  const file = await files.open(path, { create: false });
  try {
    return await file.sizeBytes();
  } finally {
    await file.close();
  }
}

/** Whether an import is written down as done: then the next opening goes on with it. */
interface LandingState {
  isBegun: boolean;
}

/** What a record of a chat names: a directory, or a session. */
function placeIn(value: unknown): string | undefined {
  const place = typeof value === 'string' ? value : (Object(value) as { at?: unknown }).at;
  return typeof place === 'string' ? place : undefined;
}

/** A store as a report names it. */
function storeOf<Facts extends ArchivedStore>(names: readonly string[], facts: Facts): Facts {
  const directory = names.find(isDirectory);
  return directory === undefined ? facts : { ...facts, directory };
}

/** The store that `--as` means. @throws ProxyError `invalid_request` where there are several */
function theOne(sessions: readonly ArchivedSession[]): ArchivedSession {
  const stores = sessions.filter(({ role }) => role === 'store');
  const named = stores.filter(({ names }) => names.some(isDirectory));
  const [one, ...others] = named.length > 0 ? named : stores;
  if (one !== undefined && others.length === 0) return one;
  const directories = named.map(({ names }) => names.find(isDirectory)).join(', ');
  throw new ProxyError(
    'invalid_request',
    `The archive holds ${named.length} stores with a directory (${directories}): --as fits only one. Nothing was imported.`,
    { hint: 'Use --map OLD=NEW, once or more often: it also moves what lies below OLD.' },
  );
}

/** A directory as it is to be called here: the longest of the maps that fits. */
function mapped(directory: string, { map = [] }: ImportOptions): string {
  let best: { readonly from: string; readonly to: string } | undefined;
  for (const each of map) {
    const isBelow =
      directory === each.from || directory.startsWith(`${each.from.replace(/\/$/, '')}/`);
    if (isBelow && each.from.length > (best?.from.length ?? -1)) best = each;
  }
  if (best === undefined) return directory;
  return (
    `${best.to.replace(/\/$/, '')}${directory.slice(best.from.replace(/\/$/, '').length)}` || '/'
  );
}
