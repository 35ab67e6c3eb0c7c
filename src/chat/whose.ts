import { hash } from 'node:crypto';
import { ProxyError } from '../errors.ts';
import type { Origin } from '../opencode/environment.ts';
import type { Session, Sessions } from '../store/types.ts';
import { keepLatest } from './keep-latest.ts';

/** Whose a request is. */
export interface Whose {
  readonly chatId: string;
  /** The project directory, where one is known. */
  readonly directory?: string;
  /** Whether the request itself says whose it is: by a header, or by the environment block of a client's system prompt. */
  readonly isNamed: boolean;
  /** The session, if there is one already. */
  readonly session: Session | undefined;
  /** Why the session cannot be used, if so: the chat goes on without. */
  readonly fault?: ProxyError;
  /** The session, made now if there is none: called when there is something to store. @throws ProxyError {@link Whose.fault} */
  ensure(): Promise<Session>;
}

/** What is known of a request when its session is looked for. */
export interface RequestFacts {
  readonly origin: Origin;
  /** From the environment block of the first system message. */
  readonly workingDirectory?: string;
  /** Text hash of the first user message. */
  readonly beginning: string;
  /** Keeps apart the chats of clients that use different keys; any hash of the key. */
  readonly keyHash: string;
}

/** Conversations whose directory is remembered for requests that do not name it (titles, compaction). */
const maxRememberedChats = 10_000;

/** Finds the session of a request; the order is that of the design, first hit wins. */
export class SessionFinder {
  readonly #sessions: Sessions;
  readonly #directories = new Map<string, string>();
  /** Those of them that are written down, so that a restart does not part a chat from its session. */
  readonly #kept = new Map<string, string>();

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** @throws ProxyError `unknown_session` when the request names a session that does not exist */
  async find(facts: RequestFacts): Promise<Whose> {
    const { origin } = facts;
    const chatId =
      origin.chatId ??
      `chat_${hash('sha256', `${facts.keyHash}\0${facts.beginning}`).slice(0, 16)}`;
    if (origin.sessionId !== undefined) {
      const session = await this.#sessions.byId(origin.sessionId);
      return {
        chatId,
        isNamed: true,
        session,
        ensure: async () => session,
        ...directoryMember(session.directory),
      };
    }
    const named = origin.directory ?? facts.workingDirectory;
    if (named !== undefined && !named.startsWith('/') && !/^[A-Za-z]:[\\/]/.test(named)) {
      throw new ProxyError(
        'invalid_request',
        `The directory ${JSON.stringify(named)} is not an absolute path.`,
        {
          param: 'x-rlm-directory',
        },
      );
    }
    const directory =
      named ??
      (await this.#remembered(origin.chatId)) ??
      (await this.#remembered(origin.parentChatId));
    if (directory !== undefined) {
      if (named !== undefined && origin.chatId !== undefined) this.#remember(origin.chatId, named);
      const open = async (create: boolean): Promise<Session | undefined> => {
        const session = await this.#sessions.forDirectory(directory, { create });
        if (session !== undefined && origin.chatId !== undefined)
          await this.#keep(origin.chatId, directory);
        return session;
      };
      return this.#lazily(chatId, named !== undefined, open, directory);
    }
    const key = origin.chatId === undefined ? `fingerprint:${chatId}` : `chat:${origin.chatId}`;
    return this.#lazily(chatId, false, async (create) => this.#sessions.forKey(key, { create }));
  }

  async #lazily(
    chatId: string,
    isNamed: boolean,
    open: (create: boolean) => Promise<Session | undefined>,
    directory?: string,
  ): Promise<Whose> {
    let session: Session | undefined;
    let fault: ProxyError | undefined;
    try {
      session = await open(false);
    } catch (error) {
      // A damaged store must not take the chat down; who asks for a session by its id is told.
      if (!(error instanceof ProxyError)) throw error;
      fault = error;
    }
    const ensure = async (): Promise<Session> => {
      if (fault !== undefined) throw fault;
      const made = session ?? (await open(true));
      if (made === undefined)
        throw new ProxyError('internal', 'No session could be made for this conversation.');
      return made;
    };
    return {
      chatId,
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
      keepLatest(this.#kept, chatId, directory, maxRememberedChats);
    });
  }

  /** What cannot be read or written costs what is known of a chat after a restart, and no answer. */
  async #tolerating<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return undefined;
    }
  }

  #remember(chatId: string, directory: string): void {
    keepLatest(this.#directories, chatId, directory, maxRememberedChats);
  }
}

function keyOf(chatId: string): string {
  return `directory:${chatId}`;
}

function directoryMember(directory: string | undefined): { readonly directory?: string } {
  return directory === undefined ? {} : { directory };
}
