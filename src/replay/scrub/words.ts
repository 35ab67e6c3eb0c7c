import { createHmac, randomBytes } from 'node:crypto';
import { LruMap } from '../../base/lru-map.ts';
import { fittingName } from '../../faces/tool-name.ts';

/** Long words whose replacement is remembered; that of others is made once more. */
const maxRemembered = 100_000;

/** Names of tools that were too long whose cut forms are remembered. */
const maxCutNames = 10_000;

/** Of words up to so many letters two could become the same by chance. */
const shortLetters = 6;

/** Words that are looked at for one that is free: more than texts have short ones of a kind. */
const maxAttempts = 100_000;

/** Letters of Latin scripts that take two bytes in UTF-8, one code unit each. */
const twoByteLetters = 'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþ';

const word = /[\p{L}\p{N}\p{M}]+/gu;

/** Of words that may be numbers of base 16, at least so many letters: the groups of a UUID. */
const hexLetters = 4;

/**
 * Replaces words by others of the same length: letters by letters, digits by digits, small by
 * small, each by one that takes as many bytes. Equal words stay equal, in whatever case they stand,
 * so that a search still finds what it found; what they were is a keyed hash whose key is nowhere
 * kept. Everything between words stays: lines, punctuation, quotes. What programs look at stays,
 * too: numbers have no zero in front that they did not have, words of hexadecimal digits are such
 * words, and what ends in "error" does.
 */
export class WordScrubber {
  readonly #key = randomBytes(32);
  readonly #kept: ReadonlySet<string>;
  readonly #long = new LruMap<string, string>(maxRemembered);
  /** Of short words all, so that no two become the same. */
  readonly #short = new Map<string, string>();
  readonly #taken = new Set<string>();
  /** What names of tools are cut to, by what theirs were. */
  readonly #cutNames = new LruMap<string, string>(maxCutNames);

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

  /**
   * A tool's name. One that is too long goes to providers cut, with a mark made of all of it: they
   * answer with that, so it becomes what the other name is cut to.
   */
  name(name: string): string {
    const scrubbed = this.#cutNames.get(name) ?? this.text(name);
    const cut = fittingName(name);
    if (cut !== name) this.#cutNames.set(cut, fittingName(scrubbed));
    return scrubbed;
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
    const inSmall = Array.from(small);
    // A few letters become two when they are made small, or take more or fewer bytes.
    const isAlike =
      inSmall.length === letters.length && Buffer.byteLength(small) === Buffer.byteLength(found);
    if (!isAlike) return this.#replacement(letters);
    const replaced = Array.from(this.#replacement(inSmall));
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
    const kinds = letters.map((letter, at) => likeLetter(letter, { isFirst: at === 0, isHex }));
    const next = this.#numbersFor(found);
    const start = kinds.map(({ count }) => next(count));
    // Of short words there are as many as can be made, so one is free: two numbers of two digits
    // must not become the same.
    const isFree = (word: string): boolean =>
      isHexWord(word) === isHex && !this.#kept.has(word) && !(isShort && this.#taken.has(word));
    const replaced =
      firstFrom(start, kinds, (word) => word !== found && isFree(word)) ??
      firstFrom(start, kinds, isFree) ??
      wordAt(start, kinds);
    if (isShort) {
      this.#taken.add(replaced);
      this.#short.set(found, replaced);
    } else this.#long.set(found, replaced);
    return replaced;
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

/** Letters that may stand for one: how many there are, and each of them. */
interface LetterKind {
  readonly count: number;
  readonly at: (index: number) => string;
}

const zero = lettersFrom('0', 1);
const firstDigits = lettersFrom('1', 9);
const digits = lettersFrom('0', 10);
const hexDigits = lettersFrom('a', 6);
const smallLetters = lettersFrom('a', 26);
const capitals = lettersFrom('A', 26);
const ofTwoBytes: LetterKind = {
  count: twoByteLetters.length,
  at: (index) => twoByteLetters[index] ?? 'à',
};
// Chinese characters: the first 20,000 of their block, and 40,000 of the one beyond 16 bits.
const ofThreeBytes = lettersFrom('\u4e00', 20_000);
const ofFourBytes = lettersFrom('\u{20000}', 40_000);

function lettersFrom(first: string, count: number): LetterKind {
  const code = first.codePointAt(0) ?? 0;
  return { count, at: (index) => String.fromCodePoint(code + index) };
}

/** Those of the same kind and of as many bytes and code units. */
function likeLetter(
  letter: string,
  { isFirst, isHex }: { readonly isFirst: boolean; readonly isHex: boolean },
): LetterKind {
  if (isFirst && letter === '0') return zero;
  if (/[0-9]/.test(letter)) return isFirst ? firstDigits : digits;
  if (/[a-z]/.test(letter)) return isHex ? hexDigits : smallLetters;
  // Only where making it small has changed how many there are.
  if (/[A-Z]/.test(letter)) return capitals;
  const bytes = Buffer.byteLength(letter);
  if (bytes === 2) return ofTwoBytes;
  return bytes === 3 ? ofThreeBytes : ofFourBytes;
}

function wordAt(indexes: readonly number[], kinds: readonly LetterKind[]): string {
  return kinds.map(({ at }, place) => at(indexes[place] ?? 0)).join('');
}

/**
 * The first word from a place on that will do, through all that there are, up to
 * {@link maxAttempts}; undefined where there is none.
 */
function firstFrom(
  start: readonly number[],
  kinds: readonly LetterKind[],
  isRight: (word: string) => boolean,
): string | undefined {
  const indexes = [...start];
  const all = kinds.reduce((product, { count }) => product * count, 1);
  for (let attempt = 0; attempt < Math.min(all, maxAttempts); attempt += 1) {
    const word = wordAt(indexes, kinds);
    if (isRight(word)) return word;
    // As a number is counted up.
    for (let place = kinds.length - 1; place >= 0; place -= 1) {
      const next = (indexes[place] ?? 0) + 1;
      indexes[place] = next % (kinds[place]?.count ?? 1);
      if (indexes[place] !== 0) break;
    }
  }
  return undefined;
}
