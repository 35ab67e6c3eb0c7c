import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { ChatCall, ChatHandler, StreamReply } from '../http/handlers.ts';
import type { Logger } from '../log.ts';
import type { Files } from '../store/disk/files.ts';
import type {
  ForgottenTexts,
  HeldElsewhere,
  Session,
  Sessions,
  TextHolder,
} from '../store/types.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { ForgottenTurns } from './forgotten-turns.ts';
import { codeOf } from './trace-end.ts';
import type { OutlineOf } from './touched-entries.ts';
import { TraceFault, type TraceLimits, TraceRoom } from './trace-room.ts';
import { tracedMemory } from './traced-session.ts';
import { TurnFiles } from './turn-files.ts';
import { TurnTrace } from './turn-trace.ts';

/** A stopping server waits so long for what is still to be written, milliseconds. */
const closingMs = 5_000;

/** What traces are written with. */
export interface TracesOptions extends TraceLimits {
  /** Absolute. Made when the first turn comes, if it is missing. */
  readonly dir: string;
  /** Whether the texts of the store that a turn touched are written, too. */
  readonly withTexts: boolean;
  /** Whether requests are written as they came: they may hold secrets that nothing else has. */
  readonly withRequests: boolean;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of the program. */
  readonly version: string;
  /** The settings without secrets. */
  readonly settings: unknown;
  readonly outlineOf: OutlineOf;
}

/** What a request's session is found with. */
export type FoundSessions = Pick<
  Sessions,
  'byId' | 'chats' | 'forDirectory' | 'forKey' | 'forProject'
>;

/** The path of requests that need no translation. */
const chatPath = '/v1/chat/completions';

/**
 * Writes turns down, one folder each, for whoever wants to see afterwards what the model was sent
 * and why. A folder is named `<time>-<request id>`, so that names sort by time, and holds JSON
 * files, each with a `version`, and the bytes they speak of:
 *
 * - `request.json`: when it came, its path, and its headers; of those with credentials only the
 *   names. `request.body`: the body, to the byte (unpacked, where the client compressed it); it and
 *   `translated.body` are missing where secrets are masked or refused, and so is `answer.body` in
 *   another protocol, which repeats what was asked.
 * - `translated.json`, `translated.body`, where it came in another protocol: the request for a chat
 *   completion that was made of it.
 * - `settings.json`: the settings that held, without secrets.
 * - `memory.json`: every value of the chat memory that the turn read, as it was read first.
 *   `memory` is the session's id, or `chats`; `present`: keys of which only that was asked, whether
 *   they are there, and they were.
 * - `sessions.json`: the stores that the turn saw, with what they held when it came.
 * - `entries.json`: the entries of the store that were captured or read, with hash, sizes and
 *   outline; `entry-<id>.txt` holds the text where that is wanted.
 * - `upstream-<n>.json`, `upstream-<n>.request.body`, `upstream-<n>.answer.body` for each request
 *   that was sent to an upstream, in the order of sending, repetitions and sub-models' too:
 *   address, headers, status, times, how it ended; the bytes sent; the bytes that came, unpacked,
 *   keys masked.
 * - `answer.body`: what the client got, whole or the events of a stream, as far as it took them; a
 *   refusal is not in it.
 * - `turn.json`, written last: the models asked, how long it took, how it ended. A folder without
 *   it was not written to its end.
 *
 * `end` is `{"ok":true}`, or `{"ok":false,"code":...}` with a code of `errors.ts`, the system's,
 * or `left` where nobody read on.
 *
 * The parts of a turn are wrapped where it enters: its request, the sessions it looks up, the
 * upstreams it resolves. They know their turn by the asynchronous context in which they are asked
 * for; from then on they carry it themselves.
 *
 * Nothing here makes a turn fail: what cannot be written is logged once for each reason, and costs
 * the trace.
 */
export class Traces implements TextHolder {
  readonly #options: TracesOptions;
  readonly #room: TraceRoom;
  readonly #turn = new AsyncLocalStorage<TurnTrace>();
  readonly #live = new Map<TurnTrace, TurnFiles>();
  readonly #toldFaults = new Set<string>();

  constructor(options: TracesOptions) {
    this.#options = options;
    this.#room = new TraceRoom(options.dir, options.files, options);
  }

  /**
   * The same handler, each of its turns written down.
   * @param path At which it answers. Within the turn of another handler it is the request that was
   * made there
   */
  around(chat: ChatHandler, path = chatPath): ChatHandler {
    return {
      handle: async (call) => {
        const outer = this.#turn.getStore();
        if (outer !== undefined) {
          outer.translated(call.headers);
          if (!this.#options.withRequests) return chat.handle(call);
          return chat.handle({ ...call, body: piecesInto(outer, call.body, 'translated.body') });
        }
        const trace = this.#begin(call, path);
        try {
          const traced = this.#options.withRequests
            ? { ...call, body: piecesInto(trace, call.body, 'request.body') }
            : call;
          const reply = await this.#turn.run(trace, async () => chat.handle(traced));
          // Other protocols repeat what the client has sent.
          const isWritten = this.#options.withRequests || path === chatPath;
          if (reply.kind === 'stream') {
            return { ...reply, frames: this.#frames(trace, reply, isWritten) };
          }
          if (isWritten) void trace.piece('answer.body', Buffer.from(reply.body));
          void this.#end(trace);
          return reply;
        } catch (error) {
          void this.#end(trace, error);
          throw error;
        }
      },
    };
  }

  /**
   * A model and who serves it, its calls written down with the turn that asks, and what the running
   * server has learnt of it.
   */
  target<Target extends { readonly upstream: Upstream; readonly model: string }>(
    target: Target,
    learned: unknown,
  ): Target {
    return this.#turn.getStore()?.target(target, learned) ?? target;
  }

  /** The same sessions, each turn with a view of its own. */
  sessions(sessions: FoundSessions): FoundSessions {
    const view = (session: Session | undefined): Session | undefined =>
      session === undefined ? undefined : this.#view(session);
    const { forProject } = sessions;
    return {
      chats: tracedMemory(sessions.chats, {
        onRead: (key, value) => this.#turn.getStore()?.onMemory('chats', key, value),
        onPresent: (key) => this.#turn.getStore()?.onPresent('chats', key),
      }),
      byId: async (id) => this.#view(await sessions.byId(id)),
      forDirectory: async (directory, options) =>
        view(await sessions.forDirectory(directory, options)),
      forKey: async (key, options) => view(await sessions.forKey(key, options)),
      ...(forProject !== undefined && {
        forProject: async (project, options) => view(await forProject(project, options)),
      }),
    };
  }

  /**
   * Deletes what was written down of turns that quote forgotten texts. Of turns that are being
   * answered nobody knows yet what they hold: none of them is written down.
   */
  async forget(texts: ForgottenTexts): Promise<HeldElsewhere> {
    const found = await new ForgottenTurns(this.#room).forget(texts);
    if (texts.isTrial) return found;
    const why = new TraceFault('forgotten', 'texts were forgotten while the turn went on');
    await Promise.all([...this.#live.values()].map(async (files) => files.giveUp(why)));
    return found;
  }

  /** Ends what is being written. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { clock } = this.#options;
    const timeUp = Promise.withResolvers<void>();
    const cancel = clock.after(closingMs, timeUp.resolve);
    const stopped = new ProxyError('shutting_down', 'The server is stopping.');
    const ended = Promise.all(
      [...this.#live.keys()].map(async (trace) => this.#end(trace, stopped)),
    );
    await Promise.race([ended, timeUp.promise]);
    cancel();
  }

  #begin(call: ChatCall, path: string): TurnTrace {
    const { files, clock } = this.#options;
    const receivedAtMs = clock.now();
    const name = TraceRoom.nameOf(receivedAtMs, call.requestId);
    const onFault = (error: unknown): void => this.#tell(error);
    const turnFiles = new TurnFiles(name, { room: this.#room, files, clock, onFault });
    const { requestId, headers } = call;
    const trace = new TurnTrace(
      { ...this.#options, files: turnFiles },
      { requestId, receivedAtMs, path, headers },
    );
    this.#live.set(trace, turnFiles);
    return trace;
  }

  async #end(trace: TurnTrace, error?: unknown): Promise<void> {
    try {
      await trace.end(error);
    } catch (fault) {
      // A mistake of ours: it must not end the process, nor any turn.
      this.#tell(fault);
    } finally {
      this.#live.delete(trace);
    }
  }

  #view(session: Session): Session {
    const turn = this.#turn.getStore();
    return turn === undefined ? session : turn.session(session);
  }

  /** The work of a streamed answer is done when its frames are pulled. */
  async *#frames(
    trace: TurnTrace,
    { frames }: StreamReply,
    isWritten: boolean,
  ): AsyncGenerator<string | Uint8Array> {
    const iterator = frames[Symbol.asyncIterator]();
    const next = async (): Promise<IteratorResult<string | Uint8Array, unknown>> =>
      this.#turn.run(trace, async () => iterator.next());
    let isOver = false;
    try {
      for (let item = await next(); item.done !== true; item = await next()) {
        const full = isWritten ? trace.piece('answer.body', bytesOf(item.value)) : undefined;
        if (full !== undefined) await full;
        yield item.value;
      }
      isOver = true;
      void this.#end(trace);
    } catch (error) {
      isOver = true;
      void this.#end(trace, error);
      throw error;
    } finally {
      if (!isOver) {
        await this.#turn.run(trace, async () => iterator.return?.());
        void this.#end(trace, clientLeft);
      }
    }
  }

  #tell(error: unknown): void {
    const code = codeOf(error);
    if (this.#toldFaults.has(code)) return;
    this.#toldFaults.add(code);
    this.#options.log.warn(
      { code, reason: error instanceof Error ? error.message : String(error) },
      'a turn could not be written down (RLM_TRACE_DIR) and went on without its trace; said once',
    );
  }
}

const clientLeft = new ProxyError('cancelled', 'The client left.');

async function* piecesInto(
  trace: TurnTrace,
  body: AsyncIterable<Buffer>,
  name: 'request.body' | 'translated.body',
): AsyncGenerator<Buffer> {
  try {
    for await (const piece of body) {
      const full = trace.piece(name, piece);
      if (full !== undefined) await full;
      yield piece;
    }
  } finally {
    trace.pieceEnd(name);
  }
}

function bytesOf(frame: string | Uint8Array): Uint8Array {
  return typeof frame === 'string' ? Buffer.from(frame) : frame;
}
