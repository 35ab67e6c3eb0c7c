import { createHmac, randomBytes } from 'node:crypto';
import { LruMap } from '../../base/lru-map.ts';

/** Long words whose replacement is remembered; that of others is made once more. */
const maxRemembered = 100_000;

/** Of words up to so many letters two could become the same by chance. */
const shortLetters = 6;

/** Letters of Latin scripts that take two bytes in UTF-8, one code unit each. */
const twoByteLetters = 'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþ';

const word = /[\p{L}\p{N}\p{M}]+/gu;

/** Of words that may be numbers of base 16, at least so many letters: the groups of a UUID. */
const hexLetters = 4;

/**
 * Replaces words by others of the same length: letters by letters, digits by digits, small by
 * small, each by one that takes as many bytes. Equal words stay equal, in whatever case they stand,
 * so that a search still finds what it found; what they were is a keyed hash whose key is nowhere
 * kept. Everything between words stays: lines, punctuation, quotes. What programs look at is kept:
 * numbers have no zero in front that they did not have, words of hexadecimal digits stay such words,
 * and what ends in "error" does.
 */
export class WordScrubber {
  readonly #key = randomBytes(32);
  readonly #kept: ReadonlySet<string>;
  readonly #long = new LruMap<string, string>(maxRemembered);
  /** Of short words all, so that no two become the same. */
  readonly #short = new Map<string, string>();
  readonly #taken = new Set<string>();

  /** @param kept Words that stay, in small letters */
  constructor(kept: ReadonlySet<string>) {
    this.#kept = kept;
  }

  /** A text without its words. @param alsoKept Further words that stay */
  text(text: string, alsoKept?: Pick<ReadonlySet<string>, 'has'>): string {
    return text.replaceAll(word, (found) =>
      alsoKept?.has(found.toLowerCase()) === true ? found : this.#word(found),
    );
  }

  /** A text of which the numbers stay. */
  textButNumbers(text: string): string {
    return text.replaceAll(word, (found) => (/^\d+$/.test(found) ? found : this.#word(found)));
  }

  /** Base64 of other bytes, as many; the same for the same ones. */
  base64(text: string): string {
    const bytes = Buffer.from(text, 'base64');
    const next = this.#numbersFor(`base64 ${text}`);
    return Buffer.from(bytes.map(() => next(256))).toString('base64');
  }

  #word(found: string): string {
    const small = found.toLowerCase();
    if (this.#kept.has(small)) return found;
    // By that end a text is known to be an error.
    const [, stem] = /^(.+)error$/.exec(small) ?? [];
    if (stem !== undefined) return this.#word(found.slice(0, -5)) + found.slice(-5);
    const letters = Array.from(found);
    const smallLetters = Array.from(small);
    // A few letters become two when they are made small, or take more or fewer bytes.
    const isAlike =
      smallLetters.length === letters.length &&
      Buffer.byteLength(small) === Buffer.byteLength(found);
    if (!isAlike) return this.#replacement(letters);
    const replaced = Array.from(this.#replacement(smallLetters));
    return replaced
      .map((letter, at) => (/[A-Z]/.test(letters[at]!) ? letter.toUpperCase() : letter))
      .join('');
  }

  /** The same for the same letters, and another one for others. */
  #replacement(letters: readonly string[]): string {
    const found = letters.join('');
    const known = this.#short.get(found) ?? this.#long.get(found);
    if (known !== undefined) return known;
    const isShort = letters.length <= shortLetters;
    const isHex = isHexWord(found);
    for (let attempt = 0; ; attempt += 1) {
      const next = this.#numbersFor(`${attempt} ${found}`);
      const replaced = letters
        .map((letter, at) => likeLetter(letter, next, { isFirst: at === 0, isHex }))
        .join('');
      if (isHexWord(replaced) !== isHex || this.#kept.has(replaced)) continue;
      if (!isShort) {
        this.#long.set(found, replaced);
        return replaced;
      }
      // As many as there are, so one is free: two numbers of two digits must not become the same.
      if (this.#taken.has(replaced)) continue;
      this.#taken.add(replaced);
      this.#short.set(found, replaced);
      return replaced;
    }
  }

  /** Numbers that only the key and this text lead to; each below what is asked for. */
  #numbersFor(text: string): (below: number) => number {
    let bytes = createHmac('sha256', this.#key).update(text).digest();
    let at = 0;
    return (below) => {
      if (at + 4 > bytes.length) {
        bytes = createHmac('sha256', this.#key).update(bytes).digest();
        at = 0;
      }
      at += 4;
      return bytes.readUInt32LE(at - 4) % below;
    };
  }
}

function isHexWord(found: string): boolean {
  return found.length >= hexLetters && /^[0-9a-f]+$/.test(found);
}

/** A letter of the same kind and of as many bytes and code units. */
function likeLetter(
  letter: string,
  next: (below: number) => number,
  { isFirst, isHex }: { readonly isFirst: boolean; readonly isHex: boolean },
): string {
  if (isFirst && letter === '0') return letter;
  if (/[0-9]/.test(letter)) return String(isFirst ? 1 + next(9) : next(10));
  if (/[a-z]/.test(letter)) return String.fromCodePoint(0x61 + next(isHex ? 6 : 26));
  // Only where making it small has changed how many there are.
  if (/[A-Z]/.test(letter)) return String.fromCodePoint(0x41 + next(26));
  const bytes = Buffer.byteLength(letter);
  if (bytes === 2) return twoByteLetters[next(twoByteLetters.length)]!;
  // Chinese characters: the first 20,000 of their block, and 40,000 of the one beyond 16 bits.
  return bytes === 3
    ? String.fromCodePoint(0x4e00 + next(20_000))
    : String.fromCodePoint(0x2_0000 + next(40_000));
}
