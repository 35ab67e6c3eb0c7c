import { spawnSync } from 'node:child_process';
import { rgPath } from '@vscode/ripgrep';
import { parsePattern } from '../../src/search/pattern/pattern.ts';

/**
 * How many lines of a text ripgrep finds with a pattern as it stands; undefined for one that it
 * does not know. It is given the lines without the returns of their ends, which are no part of
 * them.
 */
export function ripgrepCount(
  pattern: string,
  caseSensitive: boolean,
  text: string,
): number | undefined {
  const read = parsePattern(pattern, !caseSensitive);
  if (!('pattern' in read) || read.pattern.irregular || read.pattern.multiline) return undefined;
  const flags = caseSensitive ? [] : ['-i'];
  const result = spawnSync(rgPath, ['--no-config', '-a', '-c', ...flags, '-e', pattern, '-'], {
    input: text.replaceAll(/\r(?=\n|$)/g, ''),
  });
  if (result.status === 2) return undefined;
  return Number(result.stdout.toString().trim() || 0);
}

/**
 * How often each value of a group occurs in all matches, as `rg -o -r '$1' | sort | uniq -c` has
 * it; undefined as above.
 */
export function ripgrepGroups(
  pattern: string,
  group: number,
  text: string,
): Map<string, number> | undefined {
  const args = ['--no-config', '-a', '-N', '-o', '-r', `<$${group}>`, '-e', pattern, '-'];
  const result = spawnSync(rgPath, args, { input: text.replaceAll(/\r(?=\n|$)/g, '') });
  if (result.status === 2) return undefined;
  const counts = new Map<string, number>();
  for (const value of result.stdout.toString().split('\n')) {
    if (value !== '') counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}
