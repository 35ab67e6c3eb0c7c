import type { BenchDocument } from './cases.ts';
import { Random } from '../random.ts';

/** Size of one stored document, characters. */
const documentChars = 25_000_000;

/** Size of the pieces a document comes in, characters. */
const chunkChars = 256_000;

const modules = [
  'http',
  'auth',
  'billing',
  'cache',
  'db',
  'mailer',
  'queue',
  'render',
  'search',
  'upload',
];
const levels = ['debug', 'info', 'info', 'info', 'warn'];
const events = [
  'request served from the edge in 12 ms',
  'connection returned to the pool',
  'retrying after a short wait, attempt 2 of 5',
  'compiled 318 modules without a warning',
  'token refreshed for the next hour',
  'page rendered with two slow components',
  'job moved to the end of the line',
  'index segment merged and closed',
  'health probe answered, nothing to report',
  'file uploaded in four parts and verified',
  'user preferences loaded from the replica',
  'message accepted by the relay',
];

/** A line that must stand at a place of the text. */
export interface Insert {
  /** Where, as a share of the whole text: 0 the beginning, 1 the end. */
  readonly depth: number;
  readonly line: string;
}

/**
 * Documents of log lines with other lines put in at their depths. About `sizeChars` in all, never
 * much more.
 */
export function haystack(
  seed: number,
  sizeChars: number,
  options: { readonly inserts: readonly Insert[]; readonly name: string },
): readonly BenchDocument[] {
  const count = Math.max(1, Math.ceil(sizeChars / documentChars));
  const inserts = options.inserts.toSorted((a, b) => a.depth - b.depth);
  return Array.from({ length: count }, (_, index) => {
    const isHere = ({ depth }: Insert): boolean =>
      Math.min(count - 1, Math.floor(depth * count)) === index;
    const own = inserts
      .filter(isHere)
      .map(({ depth, line }) => ({ line, depth: depth * count - index }));
    return {
      path: `${options.name}/part-${String(index + 1).padStart(3, '0')}.log`,
      chunks: () => logChunks(new Random(seed, 1000 + index), Math.ceil(sizeChars / count), own),
    };
  });
}

function* logChunks(
  random: Random,
  sizeChars: number,
  inserts: readonly Insert[],
): Generator<string, void, void> {
  let written = 0;
  let next = 0;
  let second = random.below(86_400);
  while (written < sizeChars || next < inserts.length) {
    const lines: string[] = [];
    let lengthChars = 0;
    while (lengthChars < chunkChars) {
      const insert = inserts[next];
      const isDue =
        insert !== undefined && written + lengthChars >= insert.depth * (sizeChars - 1000);
      if (!isDue && written + lengthChars >= sizeChars) break;
      second = (second + 1) % 86_400;
      const line = isDue ? insert.line : logLine(random, second);
      if (isDue) next += 1;
      lines.push(line);
      lengthChars += line.length + 1;
    }
    if (lines.length === 0) return;
    written += lengthChars;
    yield `${lines.join('\n')}\n`;
  }
}

function logLine(random: Random, second: number): string {
  const time = `${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}`;
  return `${time} ${random.pick(levels)} ${random.pick(modules)} ${random.pick(events)} id=${random.hex()}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
