import { spawnSync } from 'node:child_process';
import { rgPath } from '@vscode/ripgrep';
import { parsePattern } from '../../src/search/pattern.ts';
import { toRegExp } from '../../src/search/regex-source.ts';

/**
 * How many lines of a file ripgrep finds with a pattern; undefined for one that it does not know. What the pattern means is written out
 * for it, because its `\w`, `\d` and `\s` are Unicode's.
 */
export function ripgrepCount(
  pattern: string,
  caseSensitive: boolean,
  path: string,
): number | undefined {
  const read = parsePattern(pattern, !caseSensitive);
  if (!('pattern' in read) || read.pattern.irregular || read.pattern.multiline) return undefined;
  const source = toRegExp(read.pattern, '').source.replaceAll(/\\[bB]/g, '(?-u:$&)');
  const result = spawnSync(rgPath, ['--no-config', '-a', '-c', '-e', source, path]);
  if (result.status === 2) return undefined;
  return Number(result.stdout.toString().trim() || 0);
}
