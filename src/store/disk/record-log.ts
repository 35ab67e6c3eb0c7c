import { isWholeRecord } from '../format.ts';
import { writeFully, type OpenFile } from './files.ts';

/** Longest line of a log; a longer one is refused when written and taken for damage when read. */
export const recordMaxBytes = 64 * 1024 * 1024;

/**
 * Read at once, bytes: some 300 entries, a few milliseconds of work between two turns of the event
 * loop.
 */
const readBytes = 131_072;

/** A line of a log, without its newline. */
export interface LogLine {
  readonly bytes: Buffer;
  readonly positionBytes: number;
  /** 1-based. */
  readonly lineNumber: number;
  /** Its checksum is there and right. */
  readonly whole: boolean;
  /**
   * A newline is behind it. Only the last line of a file can be without: then another byte stands
   * in its place.
   */
  readonly ended: boolean;
}

/** An append-only file of checksummed lines (`format.ts`). Owns its file. One writer. */
export class RecordLog {
  readonly path: string;
  readonly #file: OpenFile;
  #sizeBytes: number;

  /**
   * Takes over `file`. Nothing behind `committedBytes`, which an earlier {@link scan} has seen,
   * counts as committed until this one's has seen it.
   */
  constructor(path: string, file: OpenFile, committedBytes = 0) {
    this.path = path;
    this.#file = file;
    this.#sizeBytes = committedBytes;
  }

  /** Committed bytes. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Reads all lines from the start. A torn tail (bytes behind the last newline) is not a line and
   * not committed; see {@link rollBack}. Nor is a whole record with a wrong byte in its newline's
   * place, but it is shown: no crash leaves that.
   */
  async *scan(): AsyncGenerator<LogLine> {
    for await (const lines of this.scanGroups()) yield* lines;
  }

  /**
   * The same in groups: what a caller does with one of them should not hold up the event loop,
   * which has its turn in between.
   */
  async *scanGroups(): AsyncGenerator<readonly LogLine[]> {
    const fileBytes = await this.#file.sizeBytes();
    const chunk = Buffer.allocUnsafe(Math.min(readBytes, fileBytes));
    let carried: Buffer[] = [];
    let carriedBytes = 0;
    let lineStart = 0;
    let lineNumber = 0;
    for (let position = 0; position < fileBytes;) {
      const count = await this.#file.read(chunk, position);
      if (count === 0) break;
      const bytes = chunk.subarray(0, count);
      const group: LogLine[] = [];
      let at = 0;
      for (;;) {
        const newline = bytes.indexOf(0x0a, at);
        if (newline < 0) break;
        const line = joinLine(carried, bytes.subarray(at, newline));
        carried = [];
        carriedBytes = 0;
        at = newline + 1;
        lineNumber += 1;
        group.push({
          bytes: line,
          positionBytes: lineStart,
          lineNumber,
          whole: isWholeRecord(line),
          ended: true,
        });
        lineStart = position + at;
      }
      this.#sizeBytes = lineStart;
      if (group.length > 0) yield group;
      if (at < count && carriedBytes <= recordMaxBytes) {
        carried.push(Buffer.from(bytes.subarray(at)));
        carriedBytes += count - at;
      }
      position += count;
    }
    const line = recordBeforeWrongByte(Buffer.concat(carried));
    if (line !== undefined) {
      lineNumber += 1;
      yield [{ bytes: line, positionBytes: lineStart, lineNumber, whole: true, ended: false }];
    }
  }

  /**
   * Appends whole lines and syncs them. When it rejects, call {@link rollBack} before the next
   * append.
   */
  async append(lines: Uint8Array): Promise<void> {
    await writeFully(this.#file, lines, this.#sizeBytes);
    await this.#file.datasync();
    this.#sizeBytes += lines.length;
  }

  /**
   * What {@link scan} has seen from `positionBytes` on was never committed: the next {@link
   * rollBack} cuts it.
   */
  uncommit(positionBytes: number): void {
    this.#sizeBytes = Math.min(this.#sizeBytes, positionBytes);
  }

  /** Cuts whatever lies behind the committed bytes. */
  async rollBack(): Promise<void> {
    if ((await this.#file.sizeBytes()) > this.#sizeBytes) {
      await this.#file.truncate(this.#sizeBytes);
    }
  }

  /** Forgets all lines: what they said is kept elsewhere. */
  async clear(): Promise<void> {
    await this.#file.truncate(0);
    await this.#file.datasync();
    this.#sizeBytes = 0;
  }

  /** A line by its place. */
  async readLine(positionBytes: number, lengthBytes: number): Promise<Buffer> {
    const line = Buffer.allocUnsafe(lengthBytes);
    const count = await this.#file.read(line, positionBytes);
    return line.subarray(0, count);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** What was written and not synced reaches the disk, or is lost, in pieces of this size, bytes. */
const pageBytes = 4_096;

/**
 * Pure. Where the zeros of a line begin if they are pages that never came to the disk, from the
 * line's start; undefined where they are not that. A power cut during an append leaves them: the
 * file has grown to its new length, and some of its pages have not come. They run from where the
 * append or a page begins to where a page ends; a record holds no zero.
 */
export function lostPagesAt({ bytes, positionBytes }: LogLine): number | undefined {
  const first = bytes.indexOf(0);
  for (let at = first; at >= 0;) {
    let end = at;
    while (bytes[end] === 0) end += 1;
    const fromPage = at === 0 || (positionBytes + at) % pageBytes === 0;
    if (!fromPage || (positionBytes + end) % pageBytes !== 0) return undefined;
    at = bytes.indexOf(0, end);
  }
  return first < 0 ? undefined : first;
}

function joinLine(carried: readonly Buffer[], rest: Buffer): Buffer {
  return carried.length === 0 ? rest : Buffer.concat([...carried, rest]);
}

/**
 * The record in a tail that is a whole one and one byte more. Not where that is zero: a file may
 * have grown before its bytes came.
 */
function recordBeforeWrongByte(tail: Buffer): Buffer | undefined {
  const record = tail.subarray(0, -1);
  return tail.at(-1) !== 0 && isWholeRecord(record) ? record : undefined;
}
