import type { Clock } from '../clock.ts';
import type { Entry, Session, SessionStore } from '../store/types.ts';
import type { SentRequest, Upstream, WireTap } from '../upstream/upstream.ts';
import { Exchange } from './exchange.ts';
import { traceEnd, isoTime } from './trace-end.ts';
import { shownHeaders } from './shown-headers.ts';
import { type OutlineOf, type Touch, TouchedEntries } from './touched-entries.ts';
import { type SessionEar, tracedSession } from './traced-session.ts';
import type { TurnFiles } from './turn-files.ts';

/** Keys of the chat memory of which only their presence is written; more are left out. */
const maxPresent = 10_000;

/** After a turn's end its answers get so long to come to theirs, milliseconds. */
const lastBytesMs = 2_000;

/** What a turn's trace is made with. */
export interface TurnTraceOptions {
  readonly files: TurnFiles;
  readonly clock: Clock;
  readonly version: string;
  /** The settings without secrets. */
  readonly settings: unknown;
  readonly withTexts: boolean;
  readonly outlineOf: OutlineOf;
}

/** What came in. */
export interface TracedRequest {
  readonly requestId: string;
  /** Milliseconds since 1970, as its folder is named. */
  readonly receivedAtMs: number;
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** What comes in pieces of any number: the client's request, what was made of it, its answer. */
type PieceFile = 'request.body' | 'translated.body' | 'answer.body';

/**
 * The trace of one turn while it is being written. No call fails, and none but {@link piece} is to
 * be waited for.
 */
export class TurnTrace implements WireTap, SessionEar {
  readonly #options: TurnTraceOptions;
  readonly #requestId: string;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  readonly #entries = new TouchedEntries();
  /** What has been written of the chat memory: a value counts when it is read first. */
  readonly #memoryKeys = new Set<string>();
  /** Keys of which only that was asked, whether they are there; as JSON. */
  readonly #present = new Set<string>();
  /** What the stores held that the turn has seen. */
  readonly #stores: unknown[] = [];
  readonly #models: unknown[] = [];
  readonly #exchanges: Exchange[] = [];
  readonly #sessions = new Map<Session, Session>();
  #bodyBytes = 0;
  #ended: Promise<void> | undefined;

  constructor(
    options: TurnTraceOptions,
    { requestId, receivedAtMs, path, headers }: TracedRequest,
  ) {
    this.#options = options;
    this.#requestId = requestId;
    this.#startedAtMs = receivedAtMs;
    this.#startedMs = options.clock.elapsedMs();
    const { files, version, settings } = options;
    files.json('request.json', {
      requestId,
      receivedAt: isoTime(this.#startedAtMs),
      path,
      headers: shownHeaders(headers),
    });
    files.json('settings.json', { program: version, settings });
  }

  /** Further bytes. @returns What to wait for before more are taken, if anything */
  piece(name: PieceFile, piece: Uint8Array): Promise<void> | undefined {
    if (name === 'request.body') this.#bodyBytes += piece.length;
    // A copy: the reader gives the memory of pieces back as soon as it has no more use for them.
    return this.#options.files.append(name, Buffer.from(piece));
  }

  /** There are no more. */
  pieceEnd(name: PieceFile): void {
    this.#options.files.finish(name);
  }

  /** The request was made into one for a chat completion, with these headers (lower-case names). */
  translated(headers: TracedRequest['headers']): void {
    this.#options.files.json('translated.json', { headers: shownHeaders(headers) });
  }

  /** The same target, its calls written down. */
  target<Target extends { readonly upstream: Upstream; readonly model: string }>(
    target: Target,
    learned: unknown,
  ): Target {
    const { upstream, ...facts } = target;
    this.#models.push({ upstream: upstream.id, ...facts, learned });
    return { ...target, upstream: tapped(upstream, this) };
  }

  begin(sent: SentRequest): Exchange {
    const { files, clock } = this.#options;
    const exchange = new Exchange(this.#exchanges.length + 1, sent, files, clock);
    this.#exchanges.push(exchange);
    return exchange;
  }

  /** The session as this turn sees it: one view, however often it is asked for. */
  session(session: Session): Session {
    let view = this.#sessions.get(session);
    if (view === undefined) {
      const { id, directory, store } = session;
      const { entries, chars, lines } = store.totals;
      this.#stores.push({ id, directory, entries, chars, lines });
      view = tracedSession(session, this);
      this.#sessions.set(session, view);
    }
    return view;
  }

  onMemory(memoryName: string, key: string, value: unknown): void {
    if (this.#ended !== undefined) return;
    const name = `${memoryName} ${key}`;
    if (this.#memoryKeys.has(name)) return;
    const isFirst = this.#memoryKeys.size === 0;
    this.#memoryKeys.add(name);
    const line = JSON.stringify({ memory: memoryName, key, value });
    this.#memory(isFirst ? `${memoryHead}${line}` : `,\n${line}`);
  }

  onPresent(memoryName: string, key: string): void {
    if (this.#ended === undefined && this.#present.size < maxPresent)
      this.#present.add(JSON.stringify({ memory: memoryName, key }));
  }

  onEntry(store: SessionStore, entry: Entry, how: Touch): void {
    if (this.#ended === undefined) this.#entries.add(store, entry, how);
  }

  /**
   * The turn is over. Only the first call counts.
   * @param error What it ended with; absent: it was answered
   * @returns Resolves when all of it is written, or given up
   */
  async end(error?: unknown): Promise<void> {
    this.#ended ??= this.#finish(error);
    await this.#ended;
  }

  async #finish(error: unknown): Promise<void> {
    const { files, clock, outlineOf, withTexts } = this.#options;
    const endedMs = clock.elapsedMs();
    for (const name of ['request.body', 'translated.body', 'answer.body'] as const)
      this.pieceEnd(name);
    await this.#lastBytes();
    const present = `],"present":[${[...this.#present].join(',')}]}\n`;
    this.#memory(this.#memoryKeys.size === 0 ? `${memoryHead}${present}` : `\n${present}`);
    files.json('sessions.json', { sessions: this.#stores });
    await this.#entries.write(files, { outlineOf, withTexts });
    // Last: a folder without it is of a turn that was not written to its end.
    files.json('turn.json', {
      requestId: this.#requestId,
      receivedAt: isoTime(this.#startedAtMs),
      ms: Math.round(endedMs - this.#startedMs),
      bodyBytes: this.#bodyBytes,
      models: this.#models,
      upstreamRequests: this.#exchanges.length,
      end: traceEnd(error),
    });
    await files.close();
  }

  /** What follows an answer's finish reason is read when the turn is over. */
  async #lastBytes(): Promise<void> {
    const { clock } = this.#options;
    const timeUp = Promise.withResolvers<void>();
    const cancel = clock.after(lastBytesMs, timeUp.resolve);
    await Promise.race([Promise.all(this.#exchanges.map(({ over }) => over)), timeUp.promise]);
    cancel();
    for (const exchange of this.#exchanges) exchange.leave();
  }

  #memory(text: string): void {
    void this.#options.files.append('memory.json', Buffer.from(text));
  }
}

/** Written as it comes: values may be large. */
const memoryHead = '{"version":1,"reads":[\n';

/** The same upstream, each completion heard by `tap`. */
function tapped(upstream: Upstream, tap: WireTap): Upstream {
  return {
    id: upstream.id,
    models: async (signal) => upstream.models(signal),
    complete: async (request, call) => upstream.complete(request, { ...call, tap }),
    // Whoever opened it closes it.
    [Symbol.asyncDispose]: async () => undefined,
  };
}
