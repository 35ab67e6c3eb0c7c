import type { SearchQuery } from '../../search/types.ts';

/** Another thing that a pattern may have been meant to say. */
export interface Reading {
  /** A clause: as what it was read, and what else it may be. */
  readonly what: string;
  /** The other thing, as it is to be written. */
  readonly spelling: string;
  readonly pattern: string;
  readonly literal: boolean;
  /** Whether the pattern bears marks of it, so that it is worth saying without a count, too. */
  readonly isMark: boolean;
}

/** Longer patterns are not rewritten, UTF-16 units. */
const maxRewrittenUnits = 300;

/** Terminal colour codes (SGR), any number of them. */
const colourCodes = String.raw`(?:\x1b\[[0-9;]*m)*`;

type Subject = Pick<SearchQuery, 'pattern' | 'literal'>;

/** What else a pattern that found nothing may have been meant to say, the likeliest first. Pure. */
export function readingsOf({ pattern, literal }: Subject): readonly Reading[] {
  if (pattern.length > maxRewrittenUnits) return [];
  const found: Reading[] = [];
  const add = (what: string, other: string, isLiteral = literal): void => {
    if (other === '' || other === pattern || found.some((one) => one.pattern === other)) return;
    const spelling = quoted({ pattern: other, literal: isLiteral });
    found.push({ what, spelling, pattern: other, literal: isLiteral, isMark: true });
  };
  const quotes = /^(["'`])(.+)\1$/s.exec(pattern);
  if (quotes !== null) add('The quotes around the whole were taken as part of it', quotes[2] ?? '');
  if (!literal) {
    const slashes = /^\/(.+)\/([a-z]*)$/s.exec(pattern);
    if (slashes !== null)
      add(
        'The slashes around the pattern were taken as part of it',
        `${slashes[2]?.includes('i') === true ? '(?i)' : ''}${slashes[1] ?? ''}`,
      );
    const extended = swapped(pattern);
    if (extended !== pattern)
      add(
        String.raw`Escaped signs such as \| \( \+ were read as the signs themselves, not as grep's operators`,
        extended,
      );
    if (/\\\\[bBdDsSwWnrt.()[\]{}|*+?^$]/.test(pattern))
      add('Two backslashes were read as the sign \\ itself', pattern.replaceAll('\\\\', '\\'));
    if (pattern.includes('\b'))
      add(
        String.raw`It holds a backspace sign (a single \b in JSON), not a word border`,
        pattern.replaceAll('\b', '\\b'),
      );
  }
  for (const form of ['NFC', 'NFD'] as const)
    if (pattern.normalize(form) !== pattern) {
      const other = pattern.normalize(form);
      found.push({
        what: 'The text has its letters in another Unicode form',
        spelling: escapedJson(quoted({ pattern: other, literal })),
        pattern: other,
        literal,
        isMark: false,
      });
    }
  return found;
}

/**
 * A pattern that also fits where terminal colour codes stand between its signs; undefined where it
 * cannot be rewritten.
 */
export function colourPassing({
  pattern,
  literal,
}: Subject): { readonly pattern: string; readonly code: string } | undefined {
  if (pattern.length > maxRewrittenUnits || pattern.includes('\n')) return undefined;
  const pieces = literal
    ? Array.from(pattern, (char) => (/[\\^$.|?+()[\]{}*]/.test(char) ? `\\${char}` : char))
    : signsOf(pattern);
  if (pieces === undefined || pieces.length < 2) return undefined;
  const passing = pieces.map((piece, index) => {
    // A count belongs to what is before it, and what begins a line begins it with its codes.
    const isFollower = !literal && /^(?:[*+?|)^]|\{\d)/.test(piece);
    return (index === 0 && piece !== '^') || isFollower ? piece : `${colourCodes}${piece}`;
  });
  return { pattern: passing.join(''), code: colourCodes };
}

/**
 * The signs of a pattern, each with its escape; undefined where a group or class would have to be
 * understood.
 */
function signsOf(pattern: string): readonly string[] | undefined {
  const signs = pattern.match(
    /\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|\[(?:\\.|[^\]\\])+\]|\{\d*,?\d*\}|./gsu,
  );
  if (signs === null) return undefined;
  // `(?` opens what may not be cut into.
  return signs.some((sign, index) => sign === '(' && signs[index + 1] === '?') ? undefined : signs;
}

/** Whether an alternative of the pattern is empty. Escapes and classes aside. */
export function hasEmptyAlternative(pattern: string): boolean {
  const bare = pattern.replaceAll(/\\.|\[(?:\\.|[^\]\\])+\]/gs, 'x');
  return /^\||\|\||\|$|\(\||\(\?:\||\|\)/.test(bare);
}

/** grep's basic dialect: what is escaped there is an operator, and the other way round. */
function swapped(pattern: string): string {
  if (!/\\[|(){}+?]/.test(pattern)) return pattern;
  return pattern.replaceAll(/\\([|(){}+?])|(\\.)/gs, (_, operator: string, other: string) =>
    operator === undefined ? other : operator,
  );
}

function quoted({ pattern, literal }: Subject): string {
  return JSON.stringify(literal ? { text: pattern } : { pattern });
}

/** The same JSON in ASCII: what looks alike is told apart. */
function escapedJson(json: string): string {
  return json.replaceAll(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
