import { countOf } from '../base/numbers.ts';
import { type Landmark, type TextView } from './text-view.ts';

const commit = /^commit [0-9a-f]{7,64}\b/;
const stat = /^ \S.* +\| +(?:\d+ ?[+-]*|Bin .*)$/;

/** How sure it is that a text is a diff, 0 to 1. */
export function diffScore(view: TextView): number {
  if (view.share(stat) > 0.5) return 0.95;
  const hunks = view.hits(/^@@ -\d+(?:,\d+)? \+\d+/);
  const heads = view.hits(/^(?:diff |--- \S|\+\+\+ \S|Index: )/);
  if (hunks === 0 || heads === 0) return 0;
  return view.share(
    /^(?:[-+ \\@]|diff |index |commit |Author|Date|new file|deleted|rename|similarity|Only in)/,
  ) > 0.7
    ? 0.96
    : 0;
}

/** How sure it is that a text is a list of commits, 0 to 1. */
export function gitLogScore(view: TextView): number {
  const commits = view.find(commit, 2).length;
  return commits >= 2 && view.hits(/^Author: /) >= 1 ? 0.97 : 0;
}

/** Files, each with what was added and removed. */
export function diffLandmarks(view: TextView): Landmark[] {
  if (view.share(stat) > 0.5) {
    const total = view
      .find(/^ \d+ files? changed/)
      .slice(-1)
      .map(({ index }) => view.landmark(index));
    return [
      ...total,
      ...view
        .find(stat, 8)
        .map(({ index }) => view.landmark(index, view.line(index).replace(/ +/g, ' '))),
    ];
  }
  const files = filesOf(view);
  const added = files.reduce((sum, file) => sum + file.added, 0);
  const removed = files.reduce((sum, file) => sum + file.removed, 0);
  return [
    { text: `${countOf(files.length, 'file')}, +${added} -${removed}` },
    ...files.slice(0, 12).map(({ index, name, ...file }) => ({
      line: index + 1,
      text: `${name} +${file.added} -${file.removed}`,
    })),
  ];
}

/** How many commits, from when to when, what they changed most. */
export function gitLogLandmarks(view: TextView): Landmark[] {
  const commits = view.find(commit);
  const dates = view.find(/^(?:Author)?Date: +(.+)/).map(({ found }) => found[1] ?? '');
  const span = dates.length > 1 ? `, ${dates.at(-1)} to ${dates[0]}` : '';
  const items: Landmark[] = [{ text: `${countOf(commits.length, 'commit')}${span}` }];
  const files = diffScore(view) > 0 || view.hits(/^@@ /) > 0 ? filesOf(view) : [];
  for (const { index } of [...commits.slice(0, files.length > 0 ? 2 : 5), ...commits.slice(-1)]) {
    const subject = [3, 4, 5, 6]
      .map((step) => view.line(index + step))
      .find((line) => /^ {4}\S/.test(line));
    items.push(view.landmark(index, `${view.line(index).slice(0, 15)} ${subject?.trim() ?? ''}`));
  }
  for (const { index, name, added, removed } of files.slice(0, 6))
    items.push({ line: index + 1, text: `${name} +${added} -${removed}` });
  return items;
}

function filesOf(view: TextView): {
  readonly index: number;
  readonly name: string;
  readonly added: number;
  readonly removed: number;
}[] {
  const files: { index: number; name: string; added: number; removed: number }[] = [];
  let inHunk = false;
  for (let index = 0; index < view.lines.length; index += 1) {
    const line = view.line(index);
    const code = line.charCodeAt(0);
    const last = files.at(-1);
    if (line.startsWith('diff ') || commit.test(line)) inHunk = false;
    if (line.startsWith('@@ ')) inHunk = true;
    else if (!inHunk || /^(?:--- |\+\+\+ )\S/.test(line)) {
      const name = /^\+\+\+ (?:b\/)?([^\t\n]+)/.exec(line)?.[1];
      if (name === undefined) continue;
      const from = /^--- (?:a\/)?([^\t\n]+)/.exec(view.line(index - 1))?.[1];
      // The diff's own head, where there is one, is what is opened.
      const head = [4, 3, 2, 1]
        .map((step) => index - step)
        .find((at) => view.line(at).startsWith('diff '));
      files.push({
        index: head ?? index - 1,
        name: name === '/dev/null' ? (from ?? name) : name,
        added: 0,
        removed: 0,
      });
      inHunk = false;
    } else if (last !== undefined && code === 43) last.added += 1;
    else if (last !== undefined && code === 45) last.removed += 1;
  }
  return files;
}
