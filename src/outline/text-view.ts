import { stripVTControlCharacters } from 'node:util';
import { grouped } from '../base/numbers.ts';

/** Something worth naming in a text. */
export interface Landmark {
  /** Line of the text it stands on, from 1; absent for what is true of the whole. */
  readonly line?: number;
  readonly text: string;
}

/** Longest part of a line that any expression sees: so none meets more than it was written for. */
const seenChars = 400;

/** Lines looked at to tell what a text is: so many from each end, and so many between. */
const sampleEnds = 300;
const sampleMiddle = 400;

/** Numbers that reading tools print in front of lines: `00012| `, `12: `, a number and a tab. */
const lineNumber = /^ {0,7}(\d{1,7})(?:\| ?|: ?|\t|→)/;

/**
 * A text as lines, for those who look for evidence and landmarks in it. Colours are taken out. Line
 * numbers that a reading tool has put in front are, too: `lines[i]` is always line `i + 1` of the
 * text as it is stored.
 */
export class TextView {
  readonly text: string;
  readonly lines: readonly string[];
  /** Not empty, at most 1,000 of them, in order. */
  readonly sample: readonly string[];
  /** Whether numbers were taken out of the lines' beginnings. */
  readonly isNumbered: boolean;

  constructor(text: string) {
    const plain = text.includes('\x1b') ? stripVTControlCharacters(text) : text;
    const lines = plain.split('\n');
    if (lines.at(-1) === '') lines.pop();
    this.isNumbered = areNumbered(lines);
    this.lines = this.isNumbered
      ? lines.map((line) => (lineNumber.test(line) ? line.replace(lineNumber, '') : ''))
      : lines;
    this.text = this.isNumbered ? this.lines.join('\n') : plain;
    this.sample = sampleOf(this.lines);
  }

  /** A line as expressions see it. */
  line(index: number): string {
    const line = this.lines[index] ?? '';
    return line.length > seenChars ? line.slice(0, seenChars) : line;
  }

  /** The share of sampled lines that match, 0 to 1. */
  share(pattern: RegExp): number {
    if (this.sample.length === 0) return 0;
    return this.sample.filter((line) => pattern.test(line)).length / this.sample.length;
  }

  /** How many of the sampled lines match. */
  hits(pattern: RegExp): number {
    return this.sample.filter((line) => pattern.test(line)).length;
  }

  /** All lines that match, with their indexes; at most `max`. */
  find(
    pattern: RegExp,
    max = Infinity,
  ): { readonly index: number; readonly found: RegExpExecArray }[] {
    const all: { index: number; found: RegExpExecArray }[] = [];
    for (let index = 0; index < this.lines.length && all.length < max; index += 1) {
      const found = pattern.exec(this.line(index));
      if (found !== null) all.push({ index, found });
    }
    return all;
  }

  /** The line as a landmark. */
  landmark(index: number, text = this.line(index)): Landmark {
    return { line: index + 1, text: text.trim() };
  }
}

/** Nearly all of the first lines have numbers, each one more than the one before. */
function areNumbered(lines: readonly string[]): boolean {
  let before: number | undefined;
  let rising = 0;
  let seen = 0;
  for (const line of lines) {
    if (line === '') continue;
    seen += 1;
    const found = lineNumber.exec(line.slice(0, 20));
    const number = found === null ? undefined : Number(found[1]);
    if (number !== undefined && (before === undefined || number === before + 1)) rising += 1;
    before = number ?? before;
    if (seen === 100) break;
  }
  return rising >= 3 && rising >= seen * 0.8;
}

function sampleOf(lines: readonly string[]): readonly string[] {
  const all = sampleEnds * 2 + sampleMiddle;
  const sample: string[] = [];
  const middle = lines.length - sampleEnds * 2;
  const step = lines.length <= all ? 1 : middle / sampleMiddle;
  for (let at = 0; at < lines.length;) {
    const line = lines[Math.floor(at)] ?? '';
    if (line.trim() !== '') sample.push(line.slice(0, seenChars));
    at = at < sampleEnds || at >= lines.length - sampleEnds ? Math.floor(at) + 1 : at + step;
  }
  return sample;
}

/** `text` cut to `max` characters, with a mark where something was cut. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  return `${Array.from(text.slice(0, max * 2))
    .slice(0, max - 1)
    .join('')}…`;
}

/** Counts by name, the largest first: `a 12, b 3 and 5 more`. */
export function tally(counts: ReadonlyMap<string, number>, max: number): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, max).map(([name, count]) => `${name} ${grouped(count)}`);
  const left = sorted.length - shown.length;
  return `${shown.join(', ')}${left > 0 ? ` and ${left} more` : ''}`;
}

/** Adds one to the count of `name`. */
export function addTo(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
