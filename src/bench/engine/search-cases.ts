/** A query of the search benchmark. */
export interface SearchBenchCase {
  readonly pattern: string;
  /**
   * What it stands for: few lines and a literal, so that the index pays; one literal; most lines
   * match; anything else.
   */
  readonly kind: 'selective' | 'literal' | 'dense' | 'other';
}

/**
 * The queries, over the text of `corpus-text.ts`. Both engines read them alike but for what
 * `toRipgrep` changes.
 */
export const searchBenchCases: readonly SearchBenchCase[] = [
  { pattern: 'needle-3fa9c01d', kind: 'selective' },
  { pattern: '(?i)NEEDLE-3FA9c01d', kind: 'selective' },
  { pattern: 'zzqx_never_[a-z]+_there', kind: 'selective' },
  { pattern: 'user_7771\\d', kind: 'other' },
  { pattern: '用户登录失败', kind: 'selective' },
  { pattern: 'createHash\\(.*sha256', kind: 'selective' },
  { pattern: 'useState\\(', kind: 'literal' },
  { pattern: 'TypeError: Cannot read', kind: 'literal' },
  { pattern: '(?i)upstream timed OUT', kind: 'literal' },
  { pattern: '\\w+\\s+\\w+', kind: 'dense' },
  { pattern: 'e', kind: 'dense' },
  { pattern: 'needle-[0-9a-f]{8}', kind: 'other' },
  { pattern: 'def\\s+\\w+\\(.*\\):', kind: 'other' },
  { pattern: '@app\\.(get|post|put|delete)', kind: 'other' },
  { pattern: 'function.*return.*;', kind: 'other' },
  { pattern: '[\\w.]+@[\\w.]+\\.\\w+', kind: 'other' },
  { pattern: '\\d{1,3}(\\.\\d{1,3}){3}', kind: 'other' },
  { pattern: '\\b\\w+ing\\b\\s+\\w+ed\\b', kind: 'other' },
  { pattern: '[A-Z]{3}\\d{5}xx', kind: 'other' },
  {
    pattern:
      'alphabet|boulevard|carpenter|dinosaur|elephant|fahrenheit|gramophone|hurricane|iceberg|jellyfish|kangaroo|labyrinth|mandolin|nightingale|orchestra|parliament|quicksilver|rhinoceros|saxophone|telescope',
    kind: 'other',
  },
];

/**
 * Patterns on which a backtracking engine does not come back, each with the line it does not come
 * back from.
 */
export const hostileCases: readonly { readonly pattern: string; readonly line: string }[] = [
  { pattern: '(a+)+$', line: `${'a'.repeat(40)}!` },
  { pattern: '(\\w+\\s?)*x', line: 'aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj' },
  { pattern: '^(([a-z])+.)+[A-Z]([a-z])+$', line: 'abcdefghijklmnopqrstuvwxyz'.repeat(2) },
  { pattern: '.*.*.*=;', line: 'x='.repeat(5_000) },
  { pattern: '(x+x+)+y', line: 'x'.repeat(40) },
  { pattern: 'a*a*a*a*a*b', line: 'a'.repeat(100_000) },
  { pattern: '(a|aa)+$', line: `${'a'.repeat(40)}!` },
  { pattern: '(?:[ab]*a[ab]{14})c', line: 'abbab'.repeat(20_000) },
  { pattern: '([ab]{1,50}){1,20}c', line: 'abbab'.repeat(20_000) },
  { pattern: '(.*a){12}z', line: 'a'.repeat(100_000) },
];

/** The same pattern for ripgrep, whose `\w`, `\d` and `\b` are Unicode's where ours are ASCII. */
export function toRipgrep(pattern: string): string {
  return pattern
    .replaceAll(/\[([^\]]*)\\w/g, '[$10-9A-Za-z_')
    .replaceAll('\\w', '[0-9A-Za-z_]')
    .replaceAll('\\d', '[0-9]')
    .replaceAll('\\b', '(?-u:\\b)');
}
