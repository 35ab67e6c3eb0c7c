import type { SearchQuery, SearchResult } from '../../search/types.ts';
import { colourPassing, hasEmptyAlternative, readingsOf, type Reading } from './other-readings.ts';

/**
 * What explains a zero may take so long in all, milliseconds: it runs when the answer is known and
 * must not be felt.
 */
export const explainMs = 50;

/** So many counts are taken at most to explain a zero. */
export const maxLooks = 5;

/** Words of a phrase that are counted singly. */
const maxWords = 4;

/** A search whose answer is to be explained. */
export interface Explained {
  readonly what: Pick<SearchQuery, 'pattern' | 'literal'>;
  readonly caseSensitive: boolean;
  /** Whether a filter narrowed the search; the same without it is asked, too. */
  readonly isFiltered: boolean;
  /** Lines of all that was searched; asked only where it may matter. */
  lines(): number;
  /** Counts lines, within what was searched or without the filter. */
  count(
    query: Pick<SearchQuery, 'pattern' | 'literal' | 'caseSensitive'>,
    options: { readonly filtered: boolean; readonly deadlineMs: number },
  ): Promise<Count>;
  /** Monotonic milliseconds. */
  elapsedMs(): number;
}

/**
 * Why a total may be 0, or everything: another dialect, another spelling of the letters, a filter,
 * words that occur singly. Said with counts where there was time to count. `undefined`: nothing
 * that would help is known.
 */
export async function explainTotal(asked: Explained, total: number): Promise<string | undefined> {
  const { pattern, literal } = asked.what;
  if (total > 0) {
    if (literal || !hasEmptyAlternative(pattern) || total < asked.lines()) return undefined;
    return `The pattern has an empty alternative, which every line matches: all ${total} lines are counted.`;
  }
  const looks = new Looks(asked);
  const said: string[] = [];
  let isFound = false;
  for (const reading of readingsOf(asked.what)) {
    const count = await looks.count(reading);
    if (count !== undefined && count.total > 0) {
      said.push(`${reading.what}: ${lineCount(count)} with ${reading.spelling}.`);
      isFound = true;
    } else if (reading.isMark)
      said.push(`${reading.what}; the other is written ${reading.spelling}.`);
  }
  if (asked.isFiltered) {
    const count = await looks.count(asked.what, { filtered: false });
    if (count !== undefined)
      said.push(
        count.total > 0
          ? `Without the filter: ${lineCount(count)}.`
          : 'There are none without the filter either.',
      );
  }
  if (asked.caseSensitive && /\p{L}/u.test(pattern)) {
    const count = await looks.count(asked.what, { caseSensitive: false });
    if (count !== undefined && count.total > 0) {
      said.push(`${lineCount(count)} with "case_sensitive": false.`);
      isFound = true;
    }
  }
  if (!isFound) {
    const others = await otherSpellings(asked, looks);
    said.push(...(others.length > 0 ? others : await singleWords(asked, looks)));
  }
  return said.length === 0 ? undefined : said.join(' ');
}

/** Texts that look the same and are not: colour codes between the letters. */
async function otherSpellings(asked: Explained, looks: Looks): Promise<readonly string[]> {
  const passing = colourPassing(asked.what);
  if (passing === undefined) return [];
  const count = await looks.count({ pattern: passing.pattern, literal: false });
  if (count === undefined || count.total === 0) return [];
  return [
    `The text has terminal colour codes between the letters: ${lineCount(count)} with them passed over. rlm_search passes over them with ${passing.code} between the letters: ${JSON.stringify({ pattern: passing.pattern })}.`,
  ];
}

/** How often the words of a phrase occur each on its own. */
async function singleWords(asked: Explained, looks: Looks): Promise<readonly string[]> {
  const words = [
    ...new Set(
      asked.what.pattern
        .split(/(?:\\s[+*]?|\s|\bAND\b|\.\*|&&)+/)
        .filter((word) => word.length > 1),
    ),
  ];
  if (words.length < 2) return [];
  const counted: string[] = [];
  for (const word of words.slice(0, maxWords)) {
    const count = await looks.count({ pattern: word, literal: asked.what.literal });
    if (count !== undefined) counted.push(`${JSON.stringify(word)} ${lineCount(count)}`);
  }
  return counted.length === 0 ? [] : [`On their own occur: ${counted.join(', ')}.`];
}

/** Lines that were counted; more where the time was over before the text. */
type Count = Pick<SearchResult, 'total' | 'partial'>;

/** Takes counts as long as there are looks and time left. */
class Looks {
  readonly #asked: Explained;
  readonly #untilMs: number;
  #left = maxLooks;

  constructor(asked: Explained) {
    this.#asked = asked;
    this.#untilMs = asked.elapsedMs() + explainMs;
  }

  /** Lines, or `undefined` where none could be counted any more. */
  async count(
    { pattern, literal }: Pick<Reading, 'pattern' | 'literal'>,
    {
      caseSensitive = this.#asked.caseSensitive,
      filtered = true,
    }: { readonly caseSensitive?: boolean; readonly filtered?: boolean } = {},
  ): Promise<Count | undefined> {
    const deadlineMs = this.#untilMs - this.#asked.elapsedMs();
    if (this.#left === 0 || deadlineMs <= 0) return undefined;
    this.#left -= 1;
    const query = { pattern, literal, caseSensitive };
    const count = await this.#asked.count(query, { filtered, deadlineMs });
    return count.partial && count.total === 0 ? undefined : count;
  }
}

function lineCount({ total, partial }: Count): string {
  if (partial) return `${total} or more lines`;
  return `${total} line${total === 1 ? '' : 's'}`;
}
