import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Clock } from '../clock.ts';
import { type ProxyError, toProxyError } from '../errors.ts';

/** A stream to send, in either of its encodings (server-sent events, JSON lines). */
export interface OutgoingStream {
  readonly contentType: string;
  /** Read when the head goes out. */
  readonly headers: Readonly<Record<string, string>>;
  readonly frames: AsyncIterable<string | Uint8Array>;
  /** The last frame of a stream that failed. */
  readonly errorFrame: (error: ProxyError) => string;
  /** Whether that frame is wanted for a failure before the head is out, too. */
  readonly failsInStream?: ((error: ProxyError) => boolean) | undefined;
  /** Sent while `frames` is silent; means nothing to the reader. Made when it is due. */
  readonly heartbeat: () => string;
  /**
   * Until when nothing can come because a failed attempt waits for the next, by the clock's elapsed
   * milliseconds; the head waits for that, too.
   */
  readonly quietUntilMs?: (() => number) | undefined;
}

/** Frames that wait for others to leave with, characters: more of them leave at once. */
const maxReadyChars = 65_536;

/** How a stream is sent. */
interface StreamOptions {
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Longest silence, milliseconds. */
  readonly heartbeatMs: number;
}

/**
 * Pulls frames and writes them, as fast as the client reads and no faster. Headers go out with the
 * first frame, or after `heartbeatMs` of waiting for one attempt of the upstream (what fails again
 * and again for longer keeps its status); from then on no silence is longer than that;
 * frames that are ready together leave in one write.
 *
 * Never ends in silence: what `frames` throws before the headers are out is thrown on (and becomes
 * a status), later it is the last frame. A client that leaves ends the iteration.
 */
export async function sendStream(
  reply: FastifyReply,
  stream: OutgoingStream,
  options: StreamOptions,
): Promise<void> {
  const { raw } = reply;
  const writer = new FrameWriter(reply, stream, options);
  try {
    for await (const frame of stream.frames) {
      if (raw.destroyed) return;
      if (!writer.write(frame)) await drained(raw);
    }
    writer.end();
  } catch (error) {
    const reason = abortReason(error, options.signal);
    if (!writer.isOpen && stream.failsInStream?.(reason) !== true) throw reason;
    if (!raw.destroyed) writer.end(stream.errorFrame(reason));
  } finally {
    writer.stopHeart();
  }
}

/** Why work stopped: the signal's reason where it was the signal. */
export function abortReason(error: unknown, signal: AbortSignal): ProxyError {
  return toProxyError(signal.aborted ? signal.reason : error);
}

/**
 * Writes whole frames to a response that it opens with the first one, and a heartbeat when there is
 * none for long.
 */
class FrameWriter {
  isOpen = false;
  readonly #reply: FastifyReply;
  readonly #stream: OutgoingStream;
  readonly #options: StreamOptions;
  /**
   * Frames that leave together: those that are ready without waiting are one packet, the first with
   * its headers and the last with the end.
   */
  #ready = '';
  #lastWriteMs: number;
  #cancelBeat: () => void;

  constructor(reply: FastifyReply, stream: OutgoingStream, options: StreamOptions) {
    this.#reply = reply;
    this.#stream = stream;
    this.#options = options;
    this.#lastWriteMs = options.clock.elapsedMs();
    this.#cancelBeat = options.clock.after(options.heartbeatMs, () => this.#beat());
  }

  /** Sends status 200 and the headers, once. From here on Fastify has no part in the reply. */
  open(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    const gathered = this.#reply.getHeaders() as Record<string, string | string[]>;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, {
      ...gathered,
      'content-type': this.#stream.contentType,
      'cache-control': 'no-cache',
      ...this.#stream.headers,
    });
  }

  /** False: wait until the client has read on. */
  write(frame: string | Uint8Array): boolean {
    this.open();
    this.#lastWriteMs = this.#options.clock.elapsedMs();
    if (typeof frame !== 'string') {
      this.#flush();
      return this.#send(frame);
    }
    // `nextTick` runs when no more is ready.
    if (this.#ready === '') process.nextTick(() => this.#flush());
    this.#ready += frame;
    if (this.#ready.length >= maxReadyChars) this.#flush();
    return !this.#reply.raw.writableNeedDrain;
  }

  end(lastFrame?: string): void {
    this.open();
    const last = this.#ready + (lastFrame ?? '');
    this.#ready = '';
    if (last === '') this.#reply.raw.end();
    else this.#reply.raw.end(last);
  }

  stopHeart(): void {
    this.#cancelBeat();
  }

  #flush(): void {
    const frames = this.#ready;
    this.#ready = '';
    if (frames !== '') this.#send(frames);
  }

  /** False: wait until the client has read on. */
  #send(frames: string | Uint8Array): boolean {
    const { raw } = this.#reply;
    if (raw.destroyed) return true;
    // Node 24 writes a chunk in four system calls; held shut around it, the socket makes it one.
    raw.socket?.cork();
    const isTaken = raw.write(frames);
    raw.socket?.uncork();
    return isTaken;
  }

  #beat(): void {
    const { clock, heartbeatMs } = this.#options;
    const { raw } = this.#reply;
    const sinceMs = this.isOpen
      ? this.#lastWriteMs
      : Math.max(this.#lastWriteMs, this.#stream.quietUntilMs?.() ?? 0);
    const silentMs = clock.elapsedMs() - sinceMs;
    // A client that does not read needs no sign of life.
    if (silentMs >= heartbeatMs && !raw.writableNeedDrain) this.write(this.#stream.heartbeat());
    const waitMs = silentMs >= heartbeatMs ? heartbeatMs : heartbeatMs - silentMs;
    this.#cancelBeat = clock.after(waitMs, () => this.#beat());
  }
}

/** Resolves when the client has read on, or is gone. */
function drained(raw: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      raw.off('drain', settle);
      raw.off('close', settle);
      resolve();
    };
    raw.once('drain', settle);
    raw.once('close', settle);
  });
}
