import { BareHash } from './bare-hash.ts';
import { endLength, type Text } from './message-texts.ts';

const backslash = 0x5c;
/** The longest escape: two halves of a surrogate pair. */
const maxEscapeBytes = 12;

/** By the byte after the backslash. */
const shortEscapes: ReadonlyMap<number, number> = new Map(
  (
    [
      ['"', '"'],
      ['\\', '\\'],
      ['/', '/'],
      ['b', '\b'],
      ['f', '\f'],
      ['n', '\n'],
      ['r', '\r'],
      ['t', '\t'],
    ] as const
  ).map(([name, value]) => [name.charCodeAt(0), value.charCodeAt(0)]),
);

/** Turns the inside of a JSON string, in pieces, into the UTF-8 of what it says. */
export class LargeTextWriter {
  readonly #bytes: Buffer;
  #size = 0;
  /** An escape that the last piece ended in the middle of. */
  #rest: Uint8Array = Buffer.alloc(0);
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  readonly #hash = new BareHash();
  #length = 0;
  #head = '';
  #tail = '';

  /** `maxBytes`: all bytes that will come. What they say is never longer than they are. */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafe(maxBytes);
  }

  /** Takes the next bytes. False where they are no JSON or stand for what UTF-8 cannot hold. */
  write(piece: Uint8Array): boolean {
    return this.#write(piece, false);
  }

  /** The whole text; nothing where the bytes were cut. */
  end(): Text | undefined {
    if (!this.#write(Buffer.alloc(0), true) || this.#rest.length > 0) return undefined;
    try {
      this.#see(this.#decoder.decode());
    } catch {
      return undefined;
    }
    return {
      content: this.#bytes.subarray(0, this.#size),
      length: this.#length,
      bareHash: this.#hash.digest(),
      ends: { head: this.#head, tail: this.#tail },
    };
  }

  #write(piece: Uint8Array, isLast: boolean): boolean {
    const input = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    this.#rest = input.subarray(input.length);
    const from = this.#size;
    for (let at = 0; at < input.length;) {
      const found = input.indexOf(backslash, at);
      const end = found < 0 ? input.length : found;
      this.#bytes.set(input.subarray(at, end), this.#size);
      this.#size += end - at;
      if (found < 0) break;
      if (!isLast && input.length - found < maxEscapeBytes) {
        this.#rest = Uint8Array.from(input.subarray(found));
        break;
      }
      const taken = this.#unescape(input, found);
      if (taken === 0) return false;
      at = found + taken;
    }
    return this.#check(this.#bytes.subarray(from, this.#size));
  }

  /**
   * Writes what the escape at `at` stands for. Returns its length; 0 where it stands for nothing.
   */
  #unescape(input: Uint8Array, at: number): number {
    const short = shortEscapes.get(input[at + 1] as number);
    if (short !== undefined) {
      this.#bytes[this.#size] = short;
      this.#size += 1;
      return 2;
    }
    const first = codeUnitAt(input, at);
    if (first === undefined) return 0;
    const isHigh = first >= 0xd800 && first < 0xdc00;
    const second = isHigh ? codeUnitAt(input, at + 6) : undefined;
    const text = String.fromCharCode(first, ...(second === undefined ? [] : [second]));
    if (!text.isWellFormed()) return 0;
    this.#size += this.#bytes.write(text, this.#size, 'utf8');
    return second === undefined ? 6 : 12;
  }

  #check(written: Uint8Array): boolean {
    try {
      this.#see(this.#decoder.decode(written, { stream: true }));
      return true;
    } catch {
      // Invalid UTF-8: the plain way knows what to do with it.
      return false;
    }
  }

  #see(text: string): void {
    this.#length += text.length;
    this.#hash.add(text);
    if (this.#head.length < endLength) this.#head = (this.#head + text).slice(0, endLength);
    this.#tail =
      text.length >= endLength ? text.slice(-endLength) : (this.#tail + text).slice(-endLength);
  }
}

/** The code unit of a `\\uXXXX` at `at`, if it is one. */
function codeUnitAt(input: Uint8Array, at: number): number | undefined {
  if (input[at] !== backslash || input[at + 1] !== 0x75) return undefined;
  const digits = Buffer.from(input.subarray(at + 2, at + 6)).toString('latin1');
  return /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
}
