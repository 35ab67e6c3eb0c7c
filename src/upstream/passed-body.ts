import { idleHint } from './answer-reader.ts';
import { type Clock, Watchdog } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { PieceSource } from './http-answer.ts';
import { cancelled } from './retry.ts';

/** A body that is passed on. */
export interface WatchedBody {
  readonly source: PieceSource;
  /** Longest silence, milliseconds. */
  readonly idleTimeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What a broken connection is told as. */
  readonly toError: (cause: unknown) => ProxyError;
  /** Called at the end, whatever that is. */
  readonly release: () => void;
}

/**
 * The pieces of a body as they come. Left early, the connection ends. @throws ProxyError
 * `upstream_timeout`, `upstream_failed`, `cancelled`
 */
export async function* passedBody({
  source,
  idleTimeoutMs,
  clock,
  signal,
  toError,
  release,
}: WatchedBody): AsyncGenerator<Buffer, void, void> {
  const silent = new ProxyError(
    'upstream_timeout',
    `The upstream was silent for ${idleTimeoutMs} ms.`,
    { hint: idleHint },
  );
  const watchdog = new Watchdog(clock);
  const onSilence = (): void => source.destroy(silent);
  try {
    for (;;) {
      watchdog.start(idleTimeoutMs, onSilence);
      const piece = await source.next();
      watchdog.stop();
      if (piece === undefined) return;
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause;
    throw signal.aborted ? cancelled(signal) : toError(cause);
  } finally {
    watchdog.close();
    source.destroy();
    release();
  }
}
