import { join } from 'node:path';
import { ProxyError } from '../errors.ts';
import type { Files } from '../store/disk/files.ts';
import { unknownSession } from '../store/disk/session-paths.ts';
import { openReplicas, type ReplicaSessions, type SessionsOptions } from '../store/sessions.ts';
import type {
  ArchiveProgress,
  ChatMemory,
  ImportOptions,
  ImportReport,
  Sessions,
} from '../store/types.ts';
import type { ImportedStore, ImportTable } from './database/import-table.ts';
import type { LogTable } from './database/log-table.ts';
import { encodePiece } from './log.ts';
import type { ProjectNames } from './project-name.ts';
import { rememberMissing } from './push.ts';
import type { Seal } from './seal.ts';
import { evenPieces } from './shared-log.ts';

/** What {@link Imports} needs. */
export interface ImportsParts {
  /** Of the folder where archives are unpacked, but for where that is. */
  readonly options: SessionsOptions & { readonly files: Files };
  readonly table: LogTable;
  readonly imports: ImportTable;
  readonly seal: Seal;
  readonly names: ProjectNames;
  /** Whether all that comes through this proxy is one project. */
  readonly isOneProject: boolean;
  /** What is remembered beside all stores. */
  readonly chats: ChatMemory;
  /** Makes a UUID. */
  readonly uuid: () => string;
  /** A project has a store from now on, and that perhaps a directory on this machine. */
  readonly onNamed: (
    project: string,
    sessionId: string,
    directory: string | undefined,
  ) => Promise<void>;
}

type Imported = ImportReport['sessions'][number];

/**
 * Brings stores of archives into the shared store. An archive is unpacked and verified beside the
 * replicas, as stores of this machine alone; then each of them is uploaded as the archive from
 * which every machine's replica begins, and all of them are there at once, under their numbers and
 * with all that was known of them.
 */
export class Imports {
  readonly #parts: ImportsParts;

  constructor(parts: ImportsParts) {
    this.#parts = parts;
  }

  /** What an import has left that was stopped; none may run. @throws the file system's errors */
  async clear(): Promise<void> {
    await this.#parts.options.files.remove(this.#folder);
  }

  /**
   * See `Sessions.import`. @throws ProxyError as that, and `store_away`; `invalid_request` where a
   * project has a store already
   */
  async *run(
    packed: AsyncIterable<Uint8Array>,
    options: ImportOptions,
  ): ReturnType<Sessions['import']> {
    const { imports, names, options: open } = this.#parts;
    const folder = join(this.#folder, open.ids.next('import_'));
    const claimed: string[] = [];
    const claim = async (id: string): Promise<boolean> => {
      const isOurs = await imports.claim(id, names.ofImported(id));
      if (isOurs) claimed.push(id);
      return isOurs;
    };
    let isDone = false;
    try {
      const scratch = await openReplicas({
        ...open,
        dataDir: folder,
        bounds: {},
        keepsBounds: false,
        holders: [],
      });
      try {
        const report = yield* scratch.importWith(packed, { ...options, claim });
        const sessions = yield* this.#upload(scratch, report.sessions, options);
        isDone = true;
        await rememberMissing(scratch, this.#parts.chats);
        return { ...report, sessions };
      } finally {
        await scratch[Symbol.asyncDispose]();
      }
    } finally {
      if (!isDone) await this.#abandon(claimed);
      await open.files.remove(folder);
    }
  }

  get #folder(): string {
    return join(this.#parts.options.dataDir, 'unpacked');
  }

  async #abandon(ids: readonly string[]): Promise<void> {
    const { imports, options } = this.#parts;
    if (ids.length === 0) return;
    await imports.abandon(ids).catch((error: unknown) => {
      // Nobody sees them, and their pieces are swept in a day.
      options.log.debug({ err: error }, 'what is left of an import stays in the shared store');
    });
  }

  /** @returns The stores as they are called here */
  async *#upload(
    scratch: ReplicaSessions,
    sessions: ImportReport['sessions'],
    options: ImportOptions,
  ): AsyncGenerator<ArchiveProgress, ImportReport['sessions']> {
    const { imports, uuid, onNamed } = this.#parts;
    const named = await this.#named(scratch, sessions, options);
    const stores: ImportedStore[] = [];
    for (const { session: id, role } of await inOrder(scratch, sessions)) {
      const upload = uuid();
      const pieces = yield* this.#put(scratch, id, upload);
      const { createdMs } = await scratch.byId(id);
      // What is only read through a branch belongs to whom that does.
      const reader =
        role === 'store' ? id : (await scratch.branchesOf(id)).find((each) => named.has(each));
      const project = named.get(reader ?? id) ?? this.#parts.names.ofImported(id);
      const store = { id, project, createdMs, upload, pieces, bases: await scratch.basesOf(id) };
      stores.push(role === 'store' ? { ...store, name: project } : store);
    }
    if (!(await imports.publish(stores))) throw nameTaken();
    const report: ImportReport['sessions'] = sessions.map(({ directory, ...session }) =>
      directory === undefined || this.#isUnnamed(session, named)
        ? session
        : { ...session, directory },
    );
    const placed = new Map(report.map(({ session, directory }) => [session, directory]));
    for (const { id, name } of stores) {
      if (name !== undefined) await onNamed(name, id, placed.get(id));
    }
    return report;
  }

  #isUnnamed({ session }: Pick<Imported, 'session'>, named: ReadonlyMap<string, string>): boolean {
    return named.get(session) === this.#parts.names.ofImported(session);
  }

  /** The names that the stores will have. @throws ProxyError `invalid_request` */
  async #named(
    scratch: ReplicaSessions,
    sessions: ImportReport['sessions'],
    { unnamed = false }: ImportOptions,
  ): Promise<ReadonlyMap<string, string>> {
    const { names, table, isOneProject } = this.#parts;
    const named = new Map<string, string>();
    for (const { session: id, role, directory } of sessions) {
      if (role === 'base') continue;
      const imported = names.ofImported(id);
      const name =
        directory === undefined ? imported : await names.ofDirectory(directory, undefined);
      const owner = name === imported ? undefined : await table.sessionOf(name);
      if (owner === undefined && ![...named.values()].includes(name)) named.set(id, name);
      else if (unnamed) named.set(id, imported);
      else if (owner !== undefined) throw hasStore(name, owner);
      else throw oneName(name, isOneProject);
    }
    return named;
  }

  async *#put(
    scratch: ReplicaSessions,
    sessionId: string,
    upload: string,
  ): AsyncGenerator<ArchiveProgress, number> {
    const { table, seal } = this.#parts;
    // What is said of it meanwhile is handed on when a piece has gone.
    const said: ArchiveProgress[] = [];
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for await (const { bytes, ...progress } of scratch.exportReplica(sessionId)) {
        said.push(progress);
        if (bytes !== undefined) yield bytes;
      }
    };
    let at = 0;
    const closed = async function* (): AsyncGenerator<Buffer> {
      for await (const piece of evenPieces(chunks())) {
        yield seal.close(await encodePiece(piece), `${upload}/${at}`);
        at += 1;
      }
    };
    const count = await table.putPieces(sessionId, upload, closed(), { isPatient: true });
    yield* said.slice(-1);
    return count;
  }
}

/** Each behind those whose texts it reads. */
async function inOrder(
  scratch: ReplicaSessions,
  sessions: ImportReport['sessions'],
): Promise<readonly Imported[]> {
  const ordered = new Map<string, Imported>();
  const add = async (id: string): Promise<void> => {
    if (ordered.has(id)) return;
    const session = sessions.find((each) => each.session === id);
    if (session === undefined) throw unknownSession(id);
    for (const base of await scratch.basesOf(id)) await add(base);
    ordered.set(id, session);
  };
  for (const { session } of sessions) await add(session);
  return [...ordered.values()];
}

function hasStore(project: string, owner: string): ProxyError {
  return new ProxyError(
    'invalid_request',
    `The project ${project} has a store already: ${owner}. Nothing was imported, and that store is as it was.`,
    {
      hint: 'Give the imported one another directory with --as DIRECTORY (of many: --map OLD=NEW), or none with --unnamed: it is reached by its id then. To add its texts to the store that is there, import it without RLM_STORE_URL, and bring it over with `rlm-opencode store push`.',
    },
  );
}

function oneName(project: string, isOneProject: boolean): ProxyError {
  return new ProxyError(
    'invalid_request',
    `Two stores of the archive would be those of ${project}. Nothing was imported.`,
    {
      hint: isOneProject
        ? 'RLM_STORE_PROJECT is set, so all is one project: unset it, or let the others be --unnamed.'
        : 'Give one of them another directory with --map OLD=NEW, or none with --unnamed.',
    },
  );
}

function nameTaken(): ProxyError {
  return new ProxyError(
    'invalid_request',
    'One of the projects was given a store while the archive was read. Nothing was imported.',
    { hint: 'Import it again: it says which.' },
  );
}
