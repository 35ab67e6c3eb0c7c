import type { RankQuery } from '../../search/types.ts';

/** Words and phrases of one search at most. */
const maxWords = 12;

/** Shorter words stand alone: `id` is not looked for in `width`. */
const minPartChars = 4;

/** Words that are nearly everywhere; left out where there are others. */
const commonWords: ReadonlySet<string> = new Set(
  'a an and are as at be by for from how in is it of on or that the this to was what when where which with'.split(
    ' ',
  ),
);

/** A question in words as the engine takes it. */
export interface WordSearch {
  /** Fits each of the words, whatever their case. */
  readonly pattern: string;
  readonly words: RankQuery['words'];
}

/**
 * What is looked for when words are given: each word; what stands in quotes as a phrase; all of
 * them in their order as a phrase, too; identifiers, split at case and underscore, in whatever
 * spelling they are joined, and their parts. `undefined` where there is no word.
 */
export function wordSearch(given: string): WordSearch | undefined {
  const all = [...given.matchAll(/"([^"\n]+)"|(\S+)/g)]
    .map(([, quoted, plain = '']) => ({
      text: quoted ?? plain.replaceAll(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, ''),
      isPhrase: quoted !== undefined,
    }))
    .filter(({ text }) => /[\p{L}\p{N}]/u.test(text));
  const telling = all.filter(({ text }) => !commonWords.has(text.toLowerCase()));
  const asked = (telling.length > 0 ? telling : all).slice(0, maxWords);
  if (asked.length === 0) return undefined;
  const found = new Map<string, { readonly text: string; readonly of: readonly string[] }>();
  const add = (text: string, of: readonly string[]): void => {
    const key = of.join('');
    if (!found.has(key)) found.set(key, { text, of });
  };
  for (const { text, isPhrase } of asked) {
    const parts = partsOf(text);
    add(text, parts);
    if (parts.length > 1 && !isPhrase)
      for (const part of parts) if (part.length >= minPartChars) add(part, [part]);
  }
  if (all.length > 1 && all.length <= maxWords) {
    const texts = all.map(({ text }) => text);
    add(texts.join(' '), texts.flatMap(partsOf));
  }
  const keys = [...found.keys()];
  const words = [...found].map(([key, { text, of }]) => ({
    text,
    key,
    parts: of.length === 1 ? [] : of.flatMap((part) => numberIn(keys, part)),
  }));
  // The longest first: of several that begin at one place that one is meant.
  const patterns = [...found.values()]
    .toSorted((a, b) => b.of.join('').length - a.of.join('').length)
    .map(({ of }) => patternOf(of));
  return { pattern: patterns.join('|'), words };
}

function numberIn(keys: readonly string[], key: string): readonly number[] {
  const number = keys.indexOf(key);
  return number < 0 ? [] : [number];
}

/** The parts of an identifier or phrase, in lower case: `parseJSONText`, `parse_json_text`. */
function partsOf(text: string): readonly string[] {
  return text
    .replaceAll(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .split(/[\s_.\-/]+/)
    .filter((part) => part !== '')
    .map((part) => part.toLowerCase());
}

function patternOf(parts: readonly string[]): string {
  const written = parts.map((part) => part.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`));
  const joined = written.join(String.raw`[ _./\-]?`);
  return parts.length === 1 && (parts[0]?.length ?? 0) < minPartChars
    ? String.raw`\b${joined}\b|_${joined}\b|\b${joined}_`
    : joined;
}
