import { countOf } from '../base/numbers.ts';
import { addTo, clip, tally, type Landmark, type TextView } from './text-view.ts';

/** `path:12:text`, where the path is no time of day. */
const match = /^((?!\d{1,2}:\d\d)[^\s:][^:\n]*?[./][^:\n]*?|\w+)(?::|-)(\d+)(?::|-)/;
/** `12:text` under a line with the path, as ripgrep prints for people; `  Line 12: `. */
const numbered = /^(?:\d+[:-]|\s+Line \d+:)/;
const heading = /^(?![\d-]+$)[^\s:]*[./][^\s:]*:?$/;
const path = /^(?:\.{0,2}\/|~\/|[A-Za-z]:\\)?[\w.@+()[\]-]+(?:[\\/][\w.@+()[\] -]*)*$/;

/** What else stands among them. */
const between = /^--$|^Found \d+/;

/** How sure it is that a text lists places that were found in files, 0 to 1. */
export function searchScore(view: TextView): number {
  const direct = view.share(match);
  if (direct > 0.5) return 0.9 * direct + 0.05;
  const found = view.share(numbered);
  return found > 0.3 &&
    view.hits(heading) >= 1 &&
    view.sample.filter((line) => numbered.test(line) || heading.test(line) || between.test(line))
      .length >
      view.sample.length * 0.85
    ? 0.9
    : 0;
}

/** Matches by file, the first of each. */
export function searchLandmarks(view: TextView): Landmark[] {
  const files = new Map<string, number>();
  const first = new Map<string, number>();
  let under = '';
  let matches = 0;
  for (let index = 0; index < view.lines.length; index += 1) {
    const line = view.line(index);
    const direct = match.exec(line)?.[1];
    if (direct === undefined && heading.test(line)) under = line.replace(/:$/, '');
    if (direct === undefined && !numbered.test(line)) continue;
    const file = direct ?? under;
    matches += 1;
    addTo(files, file);
    if (!first.has(file)) first.set(file, index);
  }
  const top = [...files].sort(([, a], [, b]) => b - a).slice(0, 7);
  return [
    {
      text: `${countOf(matches, 'match', 'matches')} in ${countOf(files.size, 'file')}: ${folders([...files.keys()], files, 6)}`,
    },
    ...top.map(([file, count]) => ({ line: (first.get(file) ?? 0) + 1, text: `${file} ${count}` })),
  ];
}

/** How sure it is that a text is a list of paths, 0 to 1. */
export function pathsScore(view: TextView): number {
  if (view.share(/[\\/.]/) < 0.6) return 0;
  return view.share(path) * 0.9;
}

/** Paths by folder and by the end of their names. */
export function pathsLandmarks(view: TextView): Landmark[] {
  const parts = view.find(/^(\S*[\w)]):$/);
  const all = view.lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.endsWith(':'));
  const ends = new Map<string, number>();
  for (const each of all) addTo(ends, /\.\w{1,8}$/.exec(each)?.[0] ?? 'no ending');
  const items: Landmark[] = [{ text: `${countOf(all.length, 'path')}: ${tally(ends, 6)}` }];
  if (parts.length > 0)
    return [
      ...items,
      ...parts
        .slice(0, 10)
        .map(({ index, found }) => ({ line: index + 1, text: `folder ${found[1]}` })),
    ];
  items.push({ text: `by folder: ${folders(all, undefined, 10)}` });
  const seen = new Set<string>();
  for (let index = 0; index < view.lines.length && seen.size < 6; index += 1) {
    const folder = view.line(index).trim().split('/').slice(0, -1).slice(0, 2).join('/');
    if (folder === '' || seen.has(folder)) continue;
    seen.add(folder);
    items.push(view.landmark(index));
  }
  return items;
}

/** How sure it is that a text is a drawn tree, 0 to 1. */
export function treeScore(view: TextView): number {
  return view.share(/[├└│]|^[|`+\\][-|]/) > 0.7 ? 0.93 : 0;
}

/** The branches next to the root. */
export function treeLandmarks(view: TextView): Landmark[] {
  const branches = view.find(/^[├└+|`\\][─-]+[┬]?[─-]* ?(.+)/);
  return [
    { text: `${countOf(branches.length, 'branch', 'branches')} at the root` },
    ...branches.slice(0, 14).map(({ index, found }) => ({ line: index + 1, text: found[1] ?? '' })),
  ];
}

/** How sure it is that a text is what `ls -l` prints, 0 to 1. */
export function folderScore(view: TextView): number {
  if (/^<path>[^\n]*<\/path>\n<type>directory<\/type>/.test(view.text)) return 1;
  return view.share(/^(?:[bcdlps-][rwxsStT-]{9}[.+@]? |total \d)/) * 0.98;
}

/** How many entries, by the end of their names. */
export function folderLandmarks(view: TextView): Landmark[] {
  const names = view.find(/^([bcdlps-])[rwxsStT-]{9}.* (\S+)$/);
  const ends = new Map<string, number>();
  for (const { found } of names)
    addTo(
      ends,
      found[1] === 'd' ? 'folders' : (/\.\w{1,8}$/.exec(found[2] ?? '')?.[0] ?? 'no ending'),
    );
  if (names.length === 0) return [];
  return [
    { text: `${countOf(names.length, 'entry', 'entries')}: ${tally(ends, 8)}` },
    ...[names[Math.floor(names.length / 2)], names.at(-1)].flatMap((each) =>
      each === undefined ? [] : [view.landmark(each.index, each.found[2])],
    ),
  ];
}

/** A text in columns: how they are set apart, and what they are called. */
interface Table {
  readonly columns: readonly string[];
  /** Index of the first row. */
  readonly from: number;
  readonly isRow: RegExp;
}

/** How sure it is that a text is a table, 0 to 1. */
export function tableScore(view: TextView): number {
  return tableOf(view) === undefined ? 0 : 0.97;
}

/** Columns and rows, the last row. */
export function tableLandmarks(view: TextView): Landmark[] {
  const table = tableOf(view);
  if (table === undefined) return [];
  const rows = view.find(table.isRow).filter(({ index }) => index >= table.from);
  const last = rows.at(-1);
  return [
    {
      text: `${countOf(rows.length, 'row')}, ${countOf(table.columns.length, 'column')}: ${clip(table.columns.join(', '), 200)}`,
    },
    ...(rows[0] === undefined ? [] : [view.landmark(rows[0].index)]),
    ...(last === undefined || rows.length < 2
      ? []
      : [{ line: last.index + 1, text: `(last row) ${view.line(last.index).trim()}` }]),
  ];
}

function tableOf(view: TextView): Table | undefined {
  if (view.lines.length < 4) return undefined;
  const first = view.line(0);
  const second = view.line(1);
  if (
    /^\s*\|.*\|\s*$/.test(first) &&
    /^\s*\|[\s:|+-]+\|\s*$/.test(second) &&
    view.share(/^\s*\|.*\|\s*$/) > 0.9
  )
    return { columns: cells(first, '|'), from: 2, isRow: /^\s*\|/ };
  if (/^[+┌├╔][─═+┬╦-]+[+┐╗]?$/.test(first.trim()))
    return { columns: cells(second.replaceAll(/[│║]/g, '|'), '|'), from: 3, isRow: /^\s*[|│║]/ };
  // A line of dashes under the head: psql, sqlite, many others.
  if (/^ ?-{2,}(?:[+ ]+-{2,})+ *$/.test(second))
    return {
      columns: second.includes('+') ? cells(first, '|') : first.trim().split(/\s{2,}/),
      from: 2,
      isRow: /^(?!\(\d+ rows?\)$)\s*\S/,
    };
  for (const mark of [',', '\t', ';']) {
    const columns = cells(first, mark);
    if (columns.length < 3) continue;
    const same = view.sample.filter(
      (line) => line.length >= 399 || cells(line, mark).length === columns.length,
    ).length;
    if (same >= view.sample.length * 0.95) return { columns, from: 1, isRow: /\S/ };
  }
  // Columns one below the other under names in capitals: ps, docker, kubectl.
  const names = first.trim().split(/\s{2,}|(?<=[A-Z%]) (?=[A-Z%])/);
  const isHead = names.length >= 3 && names.every((name) => /^[A-Z%][A-Z%() /_-]*$/.test(name));
  return isHead && view.share(/\S +\S+ +\S/) > 0.9
    ? { columns: names, from: 1, isRow: /\S/ }
    : undefined;
}

function cells(line: string, mark: string): readonly string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (const char of line) {
    if (char === '"') quoted = !quoted;
    if (char === mark && !quoted) {
      parts.push(part.trim());
      part = '';
    } else part += char;
  }
  parts.push(part.trim());
  return mark === '|' ? parts.filter((each) => each !== '') : parts;
}

/** Counts by folder: as deep as makes about `max` of them. */
function folders(
  paths: readonly string[],
  weights: ReadonlyMap<string, number> | undefined,
  max: number,
): string {
  let counts = new Map<string, number>();
  for (let depth = 1; depth <= 4; depth += 1) {
    const next = new Map<string, number>();
    for (const each of paths) {
      const parts = each.replace(/^\.?\//, '').split('/');
      addTo(
        next,
        parts.slice(0, Math.min(depth, parts.length - 1)).join('/') || '.',
        weights?.get(each) ?? 1,
      );
    }
    if (depth > 1 && next.size > max) break;
    counts = next;
  }
  return tally(counts, max);
}
