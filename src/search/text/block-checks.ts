import { partitionPoint } from '../../base/sorted.ts';
import type { SharedTable } from './shared-blocks.ts';
import type { Corpus } from '../types.ts';

/** What a worker needs to compare a text with the checksums of its blocks. */
export interface BlockChecks {
  /** The whole table, whatever part of it is searched. */
  readonly blocks: SharedTable;
  /** Where the last block ends. */
  readonly endBytes: number;
  /** CRC-32 of the last block. */
  readonly lastCrc: number;
  /** By block, see `Corpus.checks`. */
  readonly states: Uint8Array;
}

/** What is known of a block of text. */
export const blockStates = { unknown: 0, sound: 1, damaged: 2 } as const;

/** What a corpus says of its soundness, for workers; `blocks` is its whole table, shared. */
export function checksOf({ checks, totals }: Corpus, blocks: SharedTable): BlockChecks | undefined {
  if (checks === undefined || blocks.crc === undefined) return undefined;
  const { states, lastCrc } = checks;
  return { blocks, endBytes: totals.bytes, lastCrc, states };
}

/** Longest list of names in a note. */
const maxNames = 10;

/**
 * Says which damaged text lies in the ranges [start, end) that were asked for and was left out;
 * undefined for none.
 */
export function damageNote(
  corpus: Corpus,
  ranges: readonly (readonly [number, number])[] | undefined,
): string | undefined {
  const asked = ranges ?? [[0, corpus.totals.bytes] as const];
  const names = new Set<string>();
  let bytes = 0;
  for (const { startBytes, endBytes, name } of corpus.checks?.damaged ?? []) {
    for (const [start, end] of asked) {
      const overlap = Math.min(end, endBytes) - Math.max(start, startBytes);
      if (overlap <= 0) continue;
      bytes += overlap;
      names.add(name);
    }
  }
  if (names.size === 0) return undefined;
  const shown = [...names].slice(0, maxNames).join(', ');
  const more = names.size > maxNames ? ` and ${names.size - maxNames} more` : '';
  return `Stored text is damaged and was left out: ${bytes} bytes of ${shown}${more}. Hits, totals and groups are those of the rest, so what is missing or zero here may have stood there. \`rlm-opencode doctor\` says more.`;
}

/**
 * Says how many texts lie in the ranges [start, end) that were asked for and are gone; undefined
 * for none.
 */
export function goneNote(
  corpus: Corpus,
  ranges: readonly (readonly [number, number])[] | undefined,
): string | undefined {
  const asked = ranges ?? [[0, corpus.totals.bytes] as const];
  let texts = 0;
  for (const span of corpus.spans) {
    if ('path' in span) continue;
    const { places } = span;
    for (let at = 0; at + 3 < places.length; at += 3) {
      const isBefore = (range: number): boolean => asked[range]![1] <= places[at]!;
      const next = asked[partitionPoint(asked.length, isBefore)];
      if (next !== undefined && next[0] < places[at + 3]!) texts += 1;
    }
  }
  if (texts === 0) return undefined;
  const what = texts === 1 ? 'One text that was' : `${texts} texts that were`;
  return `${what} here ${texts === 1 ? 'was' : 'were'} forgotten: no search finds what stood there.`;
}

/** The ranges without what is damaged, and what is gone. */
export function soundRanges(
  corpus: Corpus,
  ranges: readonly (readonly [number, number])[] | undefined,
): readonly (readonly [number, number])[] | undefined {
  const gone = corpus.spans.filter((span) => !('path' in span));
  const damaged = [...(corpus.checks?.damaged ?? []), ...gone];
  if (damaged.length === 0) return ranges;
  damaged.sort((a, b) => a.startBytes - b.startBytes);
  const sound: (readonly [number, number])[] = [];
  let next = 0;
  for (const [start, end] of ranges ?? [[0, corpus.totals.bytes] as const]) {
    let from = start;
    while (next > 0 && damaged[next - 1]!.endBytes > from) next--;
    while (next < damaged.length && damaged[next]!.endBytes <= from) next++;
    for (; next < damaged.length && damaged[next]!.startBytes < end; next++) {
      const { startBytes, endBytes } = damaged[next]!;
      if (startBytes > from) sound.push([from, startBytes]);
      from = Math.max(from, endBytes);
      if (from >= end) break;
    }
    if (from < end) sound.push([from, end]);
  }
  return sound;
}
