import { homedir } from 'node:os';
import type { Ids } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Origin } from '../clients/origin.ts';
import type { Session, Sessions } from '../store/types.ts';
import type { AnswerMemory, DeliveredAnswer, Trail } from './answer-memory.ts';
import { LruMap } from '../base/lru-map.ts';

/** The store of a request. */
export interface SessionPlace {
  /** The project directory, where one is known. */
  readonly directory?: string;
  /**
   * Whether the request itself says whose it is: by a header, or by the environment block of a
   * client's system prompt.
   */
  readonly isNamed: boolean;
  /** The session, if there is one already. */
  readonly session: Session | undefined;
  /** Why the session cannot be used, if so: the chat goes on without. */
  readonly fault?: ProxyError;
  /**
   * The session, made now if there is none: called when there is something to store. @throws
   * ProxyError {@link SessionPlace.fault}
   */
  ensure(): Promise<Session>;
}

/** The project and the chat that a request belongs to. */
export interface ResolvedSession extends SessionPlace {
  /**
   * The conversation: what the client's `x-session-id` says (its "session" is a chat here), or a
   * name of ours. Several chats share the session of their project.
   */
  readonly chatId: string;
  /**
   * Remembers the answer by which a conversation without a name will be known again; called before
   * the answer ends.
   */
  delivered(answer: DeliveredAnswer): Promise<void>;
}

/** What is known of a request when its session is looked for. */
export interface RequestFacts {
  readonly origin: Origin;
  /** As the client's own words in the request name it. */
  readonly workingDirectory?: string;
  /** The root of the project that it is a part of, where the client names that, too. */
  readonly root?: string | undefined;
}

/** The part of all sessions that a request's own is found with. */
type FoundSessions = Pick<Sessions, 'byId' | 'chats' | 'forDirectory' | 'forKey' | 'forProject'>;

/** What finding sessions needs. */
export interface SessionResolverOptions {
  readonly sessions: FoundSessions;
  readonly answers: AnswerMemory;
  readonly ids: Ids;
  readonly log: Logger;
}

/**
 * Conversations whose directory is remembered for requests that do not name it (titles,
 * compaction).
 */
const maxRememberedChats = 10_000;

/** Finds the session of a request; the order is that of the design, first hit wins. */
export class SessionResolver {
  readonly #sessions: FoundSessions;
  readonly #options: SessionResolverOptions;
  readonly #directories = new LruMap<string, string>(maxRememberedChats);
  /**
   * Those of them that are written down, so that a restart does not part a chat from its session.
   */
  readonly #kept = new LruMap<string, string>(maxRememberedChats);

  constructor(options: SessionResolverOptions) {
    this.#options = options;
    this.#sessions = options.sessions;
  }

  /**
   * Begins to follow a history whose client gives it no name. `keyHash` keeps apart clients that
   * use different keys.
   */
  trail(keyHash: string): Trail {
    return this.#options.answers.trail(keyHash);
  }

  /**
   * The store of a request whose headers or system prompt say so; nothing where they do not.
   * @throws ProxyError `unknown_session` when the request names a session that does not exist;
   * `invalid_request`
   */
  async placeNamed({
    origin,
    workingDirectory,
    root = origin.root,
  }: RequestFacts): Promise<SessionPlace | undefined> {
    if (origin.sessionId !== undefined) return this.#placeById(origin.sessionId);
    const named = origin.directory ?? workingDirectory;
    if (named === undefined) return this.#placeOfProject(origin.project);
    if (!named.startsWith('/') && !/^[A-Za-z]:[\\/]/.test(named)) {
      throw new ProxyError(
        'invalid_request',
        `The directory ${JSON.stringify(named)} is not an absolute path.`,
        {
          param: 'x-rlm-directory',
        },
      );
    }
    const said = origin.project;
    const project = origin.directory === undefined ? await this.#projectOf(named, root) : named;
    if (origin.chatId !== undefined) this.#remember(origin.chatId, project);
    const part = project === named ? {} : { part: named };
    return this.#inDirectory(project, true, { chatId: origin.chatId, project: said, ...part });
  }

  /**
   * The directory whose store a chat in `directory` has: a folder of a repository belongs to the
   * repository that its client names, unless it has a store of its own already. Clients that do not
   * name the root find the same store, as it has the folder's name from then on, too.
   */
  async #projectOf(directory: string, root: string | undefined): Promise<string> {
    if (root === undefined || !isRootOf(root, directory)) return directory;
    try {
      const own = await this.#sessions.forDirectory(directory, { create: false });
      return own === undefined ? root : (own.directory ?? directory);
    } catch (error) {
      // A damaged store of its own is told of where it is used.
      if (!(error instanceof ProxyError)) throw error;
      return directory;
    }
  }

  /**
   * The session a request belongs to, when all of its history has come. The order is that of the
   * design, first hit wins; `place` is what {@link placeNamed} has found.
   */
  async find(
    { origin }: RequestFacts,
    trail: Trail,
    place: SessionPlace | undefined,
  ): Promise<ResolvedSession> {
    const { answers, ids } = this.#options;
    if (origin.chatId !== undefined) {
      const { chatId } = origin;
      const found = place ?? (await this.#placeOfChat(chatId, origin.parentChatId));
      return { ...found, chatId, delivered: async () => undefined };
    }
    const { parentChatId } = origin;
    const known = await answers.find(trail);
    const chatId = known?.chatId ?? ids.next('chat_');
    const found =
      place ??
      (known?.at === undefined ? undefined : await this.#placeLastSeen(known.at)) ??
      (parentChatId === undefined ? undefined : await this.#placeOfParent(parentChatId)) ??
      (await this.#placeOfUnnamed(chatId));
    let { session } = found;
    return {
      ...found,
      chatId,
      ensure: async () => (session = await found.ensure()),
      delivered: async (answer) => {
        const at = found.directory ?? origin.sessionId ?? known?.at;
        await answers.remember(trail, answer, {
          chatId,
          ...(at === undefined ? {} : { at }),
          isDurable: session !== undefined,
        });
      },
    };
  }

  /** A project that is called by a name, where stores are shared. */
  async #placeOfProject(project: string | undefined): Promise<SessionPlace | undefined> {
    const { forProject } = this.#sessions;
    if (project === undefined || forProject === undefined) return undefined;
    return this.#lazily(true, async (create) => forProject(project, { create }));
  }

  async #placeById(sessionId: string): Promise<SessionPlace> {
    const session = await this.#sessions.byId(sessionId);
    const { directory } = session;
    return { isNamed: true, session, ensure: async () => session, ...directoryMember(directory) };
  }

  /**
   * A directory that a client's name for its conversation leads to, else a session of that name's
   * own.
   */
  async #placeOfChat(chatId: string, parentChatId: string | undefined): Promise<SessionPlace> {
    const directory = (await this.#remembered(chatId)) ?? (await this.#remembered(parentChatId));
    if (directory !== undefined) return this.#inDirectory(directory, false, { chatId });
    return this.#lazily(false, async (create) =>
      this.#sessions.forKey(`chat:${chatId}`, { create }),
    );
  }

  async #placeOfParent(parentChatId: string): Promise<SessionPlace | undefined> {
    const directory = await this.#remembered(parentChatId);
    return directory === undefined ? undefined : this.#inDirectory(directory, false);
  }

  /** Where a conversation without a name was at home when its client last said so. */
  async #placeLastSeen(at: string): Promise<SessionPlace | undefined> {
    if (!isSessionId(at)) return this.#inDirectory(at, false);
    try {
      return { ...(await this.#placeById(at)), isNamed: false };
    } catch (error) {
      // Deleted meanwhile, or damaged: then it begins anew.
      if (!(error instanceof ProxyError)) throw error;
      return undefined;
    }
  }

  /**
   * A session of the conversation's own. Nobody can ask for it by name, so its id is said when it
   * is made.
   */
  async #placeOfUnnamed(chatId: string): Promise<SessionPlace> {
    const { log } = this.#options;
    return this.#lazily(false, async (create) => {
      const session = await this.#sessions.forKey(`unnamed:${chatId}`, { create });
      if (create && session !== undefined)
        log.info(
          { session: session.id, chat: chatId },
          'a new store was made for a conversation that names no project; reach it with --session, or with the header x-rlm-session',
        );
      return session;
    });
  }

  async #inDirectory(
    directory: string,
    isNamed: boolean,
    {
      chatId,
      part,
      project,
    }: {
      readonly chatId?: string | undefined;
      readonly part?: string;
      readonly project?: string | undefined;
    } = {},
  ): Promise<SessionPlace> {
    const open = async (create: boolean): Promise<Session | undefined> => {
      const options = { create, project, ...(part !== undefined && { part }) };
      const session = await this.#sessions.forDirectory(directory, options);
      if (session !== undefined && chatId !== undefined) await this.#keep(chatId, directory);
      return session;
    };
    return this.#lazily(isNamed, open, directory);
  }

  async #lazily(
    isNamed: boolean,
    open: (create: boolean) => Promise<Session | undefined>,
    directory?: string,
  ): Promise<SessionPlace> {
    let session: Session | undefined;
    let fault: ProxyError | undefined;
    try {
      session = await open(false);
    } catch (error) {
      // A damaged store must not take the chat down; who asks for a session by its id is told.
      if (!(error instanceof ProxyError)) throw error;
      fault = error;
    }
    let made = session;
    const ensure = async (): Promise<Session> => {
      if (fault !== undefined) throw fault;
      made ??= await open(true);
      if (made === undefined)
        throw new ProxyError('internal', 'No session could be made for this conversation.');
      return made;
    };
    return {
      isNamed,
      session,
      ensure,
      ...(fault === undefined ? {} : { fault }),
      ...directoryMember(directory),
    };
  }

  async #remembered(chatId: string | undefined): Promise<string | undefined> {
    if (chatId === undefined) return undefined;
    const directory = this.#directories.get(chatId);
    if (directory !== undefined || !this.#sessions.chats.has(keyOf(chatId))) return directory;
    return this.#tolerating(async () => {
      const kept = await this.#sessions.chats.get(keyOf(chatId));
      return typeof kept === 'string' ? kept : undefined;
    });
  }

  /** Writes down where a chat belongs once there is something of it in a session. */
  async #keep(chatId: string, directory: string): Promise<void> {
    if (this.#kept.get(chatId) === directory) return;
    await this.#tolerating(async () => {
      const { chats } = this.#sessions;
      const key = keyOf(chatId);
      const isKept = chats.has(key) && (await chats.get(key)) === directory;
      if (!isKept) await chats.put([{ key, value: directory }]);
      this.#kept.set(chatId, directory);
    });
  }

  /**
   * What cannot be read or written costs what is known of a chat after a restart, and no answer.
   */
  async #tolerating<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return undefined;
    }
  }

  #remember(chatId: string, directory: string): void {
    this.#directories.set(chatId, directory);
  }
}

function keyOf(chatId: string): string {
  return `directory:${chatId}`;
}

/**
 * Whether a directory lies in a project with this root. Outside of a repository clients name `/`,
 * and a home that is a repository itself holds all projects: neither is a project.
 */
function isRootOf(root: string, directory: string): boolean {
  const trimmed = root.replace(/[\\/]+$/, '');
  const isAll = trimmed === '' || /^[A-Za-z]:$/.test(trimmed) || trimmed === homedir();
  return !isAll && /^[\\/]/.test(directory.slice(trimmed.length)) && directory.startsWith(trimmed);
}

/** Directories are absolute, so nothing else looks like one. */
function isSessionId(at: string): boolean {
  return at.startsWith('sess_');
}

function directoryMember(directory: string | undefined): { readonly directory?: string } {
  return directory === undefined ? {} : { directory };
}
