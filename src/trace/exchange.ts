import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.ts';
import type { AnswerTap, SentRequest } from '../upstream/upstream.ts';
import { traceEnd, isoTime, type TraceEnd } from './trace-end.ts';
import { shownHeaders } from './shown-headers.ts';
import type { TurnFiles } from './turn-files.ts';

/**
 * One request to an upstream and its answer, in three files: `upstream-<n>.json` (where to,
 * headers, times, how it ended), `upstream-<n>.request.body` and `upstream-<n>.answer.body`, the
 * bytes.
 */
export class Exchange implements AnswerTap {
  readonly #files: TurnFiles;
  readonly #clock: Clock;
  readonly #sent: Readonly<Record<string, unknown>>;
  readonly #name: string;
  readonly #startedMs: number;
  readonly #over = Promise.withResolvers<void>();
  #status: number | undefined;
  #headers: ReturnType<typeof shownHeaders> | undefined;
  #headMs: number | undefined;
  #firstByteMs: number | undefined;
  #answerBytes = 0;
  #isOver = false;

  /** @param number From 1, in the order of sending */
  constructor(number: number, sent: SentRequest, files: TurnFiles, clock: Clock) {
    this.#files = files;
    this.#clock = clock;
    this.#name = `upstream-${number}`;
    this.#startedMs = clock.elapsedMs();
    const { upstream, url, headers, body } = sent;
    this.#sent = {
      upstream,
      url,
      sentAt: isoTime(clock.now()),
      request: { headers, sizeBytes: body.length },
    };
    void files.append(this.#requestName, body);
    files.finish(this.#requestName);
  }

  /** Resolves when nothing more can come. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  head(status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#headers = shownHeaders(headers);
    this.#headMs = this.#sinceStart();
  }

  piece(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#isOver || bytes.length === 0) return undefined;
    this.#firstByteMs ??= this.#sinceStart();
    this.#answerBytes += bytes.length;
    return this.#files.append(this.#answerName, bytes);
  }

  end(error?: unknown): void {
    this.#finish(traceEnd(error));
  }

  /** The turn is over and the answer has not come to its end: nobody reads on. */
  leave(): void {
    this.#finish({ ok: false, code: 'left' });
  }

  #finish(end: TraceEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // An answer without a body has a file, too.
    if (this.#status !== undefined) void this.#files.append(this.#answerName, nothing);
    this.#files.finish(this.#answerName);
    this.#files.json(`${this.#name}.json`, {
      ...this.#sent,
      answer: { status: this.#status, headers: this.#headers, sizeBytes: this.#answerBytes },
      ms: { head: this.#headMs, firstByte: this.#firstByteMs, end: this.#sinceStart() },
      end,
    });
    this.#over.resolve();
  }

  #sinceStart(): number {
    return Math.round(this.#clock.elapsedMs() - this.#startedMs);
  }

  get #requestName(): string {
    return `${this.#name}.request.body`;
  }

  get #answerName(): string {
    return `${this.#name}.answer.body`;
  }
}

const nothing = new Uint8Array();
