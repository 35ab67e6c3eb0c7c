import { fill, spanAt, type TextSpan } from '../../base/text-spans.ts';
import type { OpenFile } from './files.ts';

/** A file that a text lies in, among others. */
export interface SpannedPart {
  readonly path: string;
  readonly file: OpenFile;
}

/**
 * A text that lies in several files, and in places in none, as if it were one: what is before the
 * last span is only read; the last one is a file that grows. Owns the files.
 */
export class SpannedFile implements OpenFile {
  readonly #spans: readonly TextSpan[];
  readonly #files: ReadonlyMap<string, OpenFile>;
  readonly #own: OpenFile;
  /** Where in the text the first byte of the last file would be. */
  readonly #ownStart: number;

  /** `parts`: the files of all spans, the one that grows last. */
  constructor(spans: readonly TextSpan[], parts: readonly SpannedPart[]) {
    this.#spans = spans;
    this.#files = new Map(parts.map(({ path, file }) => [path, file]));
    this.#own = parts.at(-1)!.file;
    const last = spans.at(-1)!;
    if (!('path' in last)) throw new RangeError('the last span must be of a file');
    this.#ownStart = last.startBytes - last.positionBytes;
  }

  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    let done = 0;
    for (const { span, part, from } of this.#parts(target, positionBytes)) {
      if ('path' in span) {
        const count = await this.#files.get(span.path)!.read(part, from);
        done += count;
        if (count < part.length) break;
      } else {
        fill(part, from, span);
        done += part.length;
      }
    }
    return done;
  }

  readNow(target: Uint8Array, positionBytes: number): number {
    let done = 0;
    for (const { span, part, from } of this.#parts(target, positionBytes)) {
      if ('path' in span) {
        const count = this.#files.get(span.path)!.readNow(part, from);
        done += count;
        if (count < part.length) break;
      } else {
        fill(part, from, span);
        done += part.length;
      }
    }
    return done;
  }

  async write(bytes: Uint8Array, positionBytes: number): Promise<number> {
    return this.#own.write(bytes, positionBytes - this.#ownStart);
  }

  async datasync(): Promise<void> {
    await this.#own.datasync();
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#own.truncate(sizeBytes - this.#ownStart);
  }

  async sizeBytes(): Promise<number> {
    return this.#ownStart + (await this.#own.sizeBytes());
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }

  /**
   * The stretches of `target`, each with its span; `from` is the position in the span's file, or,
   * where it has none, in the text.
   */
  *#parts(
    target: Uint8Array,
    positionBytes: number,
  ): Generator<{ readonly span: TextSpan; readonly part: Uint8Array; readonly from: number }> {
    const end = positionBytes + target.length;
    let at = positionBytes;
    for (let i = spanAt(this.#spans, at); at < end && i < this.#spans.length; i += 1) {
      const span = this.#spans[i]!;
      const stop = Math.min(end, span.endBytes);
      const part = target.subarray(at - positionBytes, stop - positionBytes);
      const from = 'path' in span ? span.positionBytes + at - span.startBytes : at;
      yield { span, part, from };
      at = stop;
    }
  }
}
