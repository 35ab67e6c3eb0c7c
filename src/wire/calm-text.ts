/**
 * What OpenCode 1.18 takes for a sign of a passing failure, in its own retry decision: numbers of
 * HTTP statuses, even inside other numbers, and these words. Measured against the binary for the
 * numbers and the first words; the rest are the same idea in other words.
 */
const alarming = new RegExp(
  [
    String.raw`\d*(?:429|50[0234]|524)\d*`,
    'rate[ _-]limit|rate increased|too[ _]many[ _]requests|overloaded|exhausted|unavailable|capacity',
    '(?:internal|server|network|connection|provider returned)[ _-](?:server[ _-])?error',
    'terminated|fetch failed|failed to fetch|upstream connect|connection (?:refused|lost)|socket (?:connection|hang)',
    'reset before headers|getaddrinfo|enotfound|eai_again|econn\\w+|etimedout|time[d ]? ?out',
    'try (?:again|your request)|retry your request|please retry',
  ].join('|'),
  'gi',
);

/** Invisible and of no width: a reader sees the same text, a pattern does not match. */
const wordJoiner = '\u2060';

/**
 * The same text for the eye, without the words and digits that make OpenCode repeat a request. For
 * errors that no repetition can cure; without it a 400 that says "at most 15000" is sent five more
 * times.
 */
export function calmText(text: string): string {
  return text.replace(alarming, (found) => Array.from(found).join(wordJoiner));
}
