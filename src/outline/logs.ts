import { countOf } from '../base/numbers.ts';
import { addTo, clip, type Landmark, type TextView } from './text-view.ts';
import { grouped } from '../base/numbers.ts';

/** How the lines of logs begin: times in the common notations, or a level. */
const openings: readonly RegExp[] = [
  /^(?:\S+ ){0,3}[[(]?\d{4}[-/]\d\d[-/]\d\d[T ,]\d\d:\d\d/,
  /^[[(]?\d\d:\d\d:\d\d\b/,
  /^[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d /,
  /^[A-Z][a-z]{2} \d\d?, \d{4} \d\d?:\d\d:\d\d/,
  /^\S+ .{0,60}\[\d\d\/[A-Z][a-z]{2}\/\d{4}[: ]\d\d:\d\d:\d\d/,
  /^[IWEFD]\d{4} \d\d:\d\d:\d\d/,
  /^\[ *\d+\.\d{6}\]/,
  /^\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|SEVERE|CRITICAL|FINE)\b/,
  /^\[(?:trace|debug|info|notice|warn|warning|error|fatal)\b/,
  /(?:^|\s)level=\w+/,
  /^\{.*"(?:level|severity|lvl)" ?:/,
];
const opening = new RegExp(openings.map(({ source }) => `(?:${source})`).join('|'));

const words = 'TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|SEVERE|CRITICAL|ALERT|EMERG|PANIC';

/** Where a line says its level. That which fits most lines is used for all. */
const levelForms: readonly RegExp[] = [
  new RegExp(`\\b(${words})\\b`),
  new RegExp(`(?:[\\[:\\s]|^)(${words.toLowerCase()})[\\]:]`),
  /\blevel=(\w+)/,
  /"(?:level|severity|lvl)" ?: ?"?(\w+)/,
  /^([IWEFD])\d{4} /,
];

const names: Readonly<Record<string, string>> = {
  I: 'INFO',
  W: 'WARN',
  E: 'ERROR',
  F: 'FATAL',
  D: 'DEBUG',
  '10': 'TRACE',
  '20': 'DEBUG',
  '30': 'INFO',
  '40': 'WARN',
  '50': 'ERROR',
  '60': 'FATAL',
  WARNING: 'WARN',
};

/** Lines without a level that speak of a failure. */
const wordsOnly = 'without a level that speak of failure';

/** What is at least an error. */
const grave: ReadonlySet<string> = new Set([
  'ERROR',
  'FATAL',
  'SEVERE',
  'CRITICAL',
  'ALERT',
  'EMERG',
  'PANIC',
]);

/** Words of lines that say that something went wrong without a level. */
export const failureWords =
  /\b(?:[Ee]rror|ERROR|[A-Z]\w*(?:Error|Exception)|FATAL|[Ff]atal|[Ff]ailed|FAILED|failure|[Pp]anic|panicked|refused|denied|Traceback|gave up|giving up|timed out|cannot|could not)\b/;

const status = /" ([1-5])(\d\d) /;

/** At most so much of a text is read for its line shapes, characters, in {@link shapeStretches}. */
const shapeChars = 8_000_000;
const shapeStretches = 16;
/** More shapes than this, and the lines are no log of a program's few sentences. */
const maxShapes = 4_000;
/** So many words of a line tell its shape where all would be too many. */
const firstWords = 3;

/** How sure it is that a text is a log, 0 to 1. */
export function logScore(view: TextView): number {
  const heads = view.sample.filter(
    (line) => !/^\s|^at |^Caused by|^[\w.]+(?:Error|Exception)\b/.test(line),
  );
  if (heads.length < 2) return 0;
  return heads.filter((line) => opening.test(line)).length / heads.length;
}

/** Levels with counts, the first and last of what went wrong, and rare shapes. */
export function logLandmarks(view: TextView): Landmark[] {
  const form = bestForm(view);
  const counts = new Map<string, number>();
  const places = new Map<string, { first: number[]; last: number }>();
  const note = (name: string, index: number): void => {
    addTo(counts, name);
    const place = places.get(name);
    if (place === undefined) places.set(name, { first: [index], last: index });
    else {
      if (place.first.length < 3) place.first.push(index);
      place.last = index;
    }
  };
  const isAccessLog = view.share(status) > 0.5;
  for (let index = 0; index < view.lines.length; index += 1) {
    const line = view.line(index);
    if (isAccessLog) {
      const found = status.exec(line);
      if (found !== null) note(`${found[1]}${found[2]}`, index);
      continue;
    }
    const level = form?.exec(line)?.[1];
    if (level !== undefined) note(names[level.toUpperCase()] ?? level.toUpperCase(), index);
    else if (failureWords.test(line)) note(wordsOnly, index);
  }
  const items: Landmark[] = [];
  if (counts.size > 0) {
    const sorted = [...counts].sort(([, a], [, b]) => b - a);
    const what = isAccessLog ? 'answers by status' : 'levels';
    items.push({
      text: `${what}: ${sorted.map(([name, count]) => `${grouped(count)} ${name}`).join(', ')}`,
    });
  }
  const graveFirst = [...places].sort(([a], [b]) => rank(a, isAccessLog) - rank(b, isAccessLog));
  for (const [name, { first, last }] of graveFirst) {
    const order = rank(name, isAccessLog);
    if (order > 2) continue;
    const shown = order === 0 ? first : first.slice(0, 1);
    for (const index of shown) items.push(view.landmark(index));
    if (!shown.includes(last))
      items.push({
        line: last + 1,
        text: `(last ${name === wordsOnly ? 'of these' : name}) ${view.line(last).trim()}`,
      });
  }
  const named = new Set(items.map(({ line }) => line));
  return [
    ...items,
    ...shapes(view, Infinity).filter(({ line }) => line === undefined || !named.has(line)),
  ];
}

/** 0 for what is shown first, above 2 for what is only counted. */
function rank(name: string, isStatus: boolean): number {
  if (isStatus) return name.startsWith('5') ? 0 : name.startsWith('4') ? 1 : 3;
  if (grave.has(name)) return 0;
  return name === wordsOnly ? 1 : name === 'WARN' ? 2 : 3;
}

function bestForm(view: TextView): RegExp | undefined {
  const scored = levelForms.map((form) => ({ form, hits: view.hits(form) }));
  const best = scored.reduce((a, b) => (b.hits > a.hits ? b : a));
  return best.hits >= Math.max(1, view.sample.length * 0.02) ? best.form : undefined;
}

/**
 * The shapes that lines have when what changes in them (numbers, paths, values) is taken out: the
 * commonest two, and those that come once or twice.
 */
function shapes(view: TextView, maxWords: number): Landmark[] {
  const found = new Map<number, { count: number; readonly index: number }>();
  let read = 0;
  let isPart = false;
  for (const [from, to] of stretchesOf(view)) {
    for (let index = from; index < to && read < shapeChars; index += 1) {
      const line = view.line(index);
      read += line.length + 1;
      if (line === '' || line.charCodeAt(0) === 32 || line.charCodeAt(0) === 9) continue;
      const hash = shapeHash(line, maxWords);
      const shape = found.get(hash);
      if (shape !== undefined) shape.count += 1;
      else if (found.size < maxShapes) found.set(hash, { count: 1, index });
      else return fewerWords(view, maxWords);
    }
    isPart ||= from > 0 || to < view.lines.length;
  }
  if (found.size > view.lines.length / 5) return fewerWords(view, maxWords);
  if (found.size < 2) return [];
  const sorted = [...found.values()].sort((a, b) => b.count - a.count);
  const common = sorted.slice(0, 2).filter(({ count }) => count > 2);
  const rare = sorted.filter(({ count }) => count <= 2).slice(-3);
  const where = isPart ? ` (from ${Math.round(read / 1e6)} M characters spread over it)` : '';
  const items: Landmark[] = common.map(({ count, index }, at) => ({
    text: `${countOf(count, 'line')} like \`${clip(shapeOf(view.line(index), maxWords), 70)}\`${at === 0 ? where : ''}`,
  }));
  for (const { count, index } of rare.sort((a, b) => a.index - b.index))
    items.push({
      line: index + 1,
      text: `${count === 1 ? 'the only line' : '1 of 2 lines'} like \`${clip(shapeOf(view.line(index), maxWords), 60)}\``,
    });
  return items;
}

/** Names that are no numbers make every line a shape: then the first words must do. */
function fewerWords(view: TextView, maxWords: number): Landmark[] {
  return maxWords > firstWords ? shapes(view, firstWords) : [];
}

/** The lines that are read: all, or stretches spread evenly. */
function stretchesOf(view: TextView): readonly (readonly [number, number])[] {
  const { lines, text } = view;
  if (text.length <= shapeChars) return [[0, lines.length]];
  const each = Math.floor((lines.length * (shapeChars / text.length)) / shapeStretches);
  return Array.from({ length: shapeStretches }, (_, at) => {
    const from = Math.floor((at * (lines.length - each)) / (shapeStretches - 1));
    return [from, from + each] as const;
  });
}

const isVariable = /[\d/=@"']/;

/** Words that change from line to line are stars. */
function shapeOf(line: string, maxWords: number): string {
  const words = line
    .split(/\s+/)
    .map((word) => (isVariable.test(word) ? (/^[a-z_]\w*=/i.exec(word)?.[0] ?? '') + '*' : word));
  const kept = words.filter((word, at) => word !== '*' || words[at - 1] !== '*');
  return kept.length > maxWords ? `${kept.slice(0, maxWords).join(' ')} …` : kept.join(' ');
}

/** The same as a number, without making the text: a hundred nanoseconds a line. */
function shapeHash(line: string, maxWords: number): number {
  let hash = 17;
  let word = 7;
  let star = false;
  let wasStar = false;
  let count = 0;
  for (let at = 0; at <= line.length && count < maxWords; at += 1) {
    const code = at === line.length ? 32 : line.charCodeAt(at);
    if (code === 32 || code === 9) {
      if (!star || !wasStar) {
        hash = (Math.imul(hash, 31) + (star ? 3 : word)) | 0;
        count += 1;
      }
      wasStar = star;
      star = false;
      word = 7;
    } else if (
      (code >= 48 && code <= 57) ||
      code === 47 ||
      code === 61 ||
      code === 64 ||
      code === 34 ||
      code === 39
    )
      star = true;
    else word = (Math.imul(word, 33) + code) | 0;
  }
  return hash;
}
