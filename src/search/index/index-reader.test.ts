import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { TestCorpus } from '../../../test/property/search-corpus.ts';
import { wholeFile } from '../../base/text-spans.ts';
import { Random } from '../../bench/random.ts';
import { systemClock } from '../../clock.ts';
import { countBlocks } from '../text/block-bits.ts';
import { openSearchEngine } from '../engine.ts';
import { encodeSegment, SegmentFile } from './index-file.ts';
import { IndexReader } from './index-reader.ts';
import { shareRanges } from '../text/ranges.ts';
import { SharedBlocks } from '../text/shared-blocks.ts';
import { TextFile } from '../text/text-file.ts';
import type { Corpus } from '../types.ts';

/** 9 MB: four groups of blocks that are indexed, and some that are not yet. */
const lines = Array.from({ length: 120_000 }, (_, i) => {
  const rare = i === 3_000 || i === 50_000 ? ' flightRecorderPlanB' : '';
  return `${i} handler returned ${(i * 7_919) % 100_003} after flight of recorder${rare} and went on`;
});
const corpus = new TestCorpus(`${lines.join('\n')}\n`);
const blocks = new SharedBlocks().share(corpus.blocks, corpus.blocks.count);
const { bytes } = corpus.totals;
const scope = { blocks, endBytes: bytes, ranges: shareRanges(undefined, bytes) };
const reader = new IndexReader();
const rows = vi.spyOn(SegmentFile.prototype, 'row');

async function buildIndex(of: Corpus = corpus, isQuiet = false): Promise<void> {
  await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
  await engine.index(of, new AbortController().signal, isQuiet);
}

beforeAll(async () => buildIndex());
afterEach(() => rows.mockClear());
afterAll(() => corpus[Symbol.dispose]());

/** How many of the blocks with an index may hold the text. */
function survivors(...texts: readonly string[]): number | undefined {
  using text = new TextFile(corpus.spans);
  const required = texts.map((own) => [{ text: own, anyCase: false }]);
  const found = reader.candidates(corpus.indexDir, scope, text, required);
  const unindexed = (blocks.count - 1) % 64;
  return found && countBlocks(found) - unindexed - 1;
}

test('a text that is nowhere is ruled out by its rarest sequences', () => {
  expect(survivors('handler returned zzqx after flight')).toBe(0);
  expect(rows.mock.calls.length).toBeLessThan(4);
});

test('where a text is, not all of its sequences are asked for', () => {
  expect(survivors('flightRecorderPlanB')).toBe(2);
  expect(rows.mock.calls.length).toBeLessThan(12);
});

test('what one text leaves is all that the next is asked about', () => {
  expect(survivors('flightRecorderPlanB', 'qqzzvvkk')).toBe(0);
  expect(survivors('qqzzvvkk', 'flightRecorderPlanB')).toBe(0);
  const { length } = rows.mock.calls;
  expect(length).toBeLessThan(20);
});

test('a text of common sequences is asked for to the end, or the index says nothing', () => {
  expect(survivors('after flight of recorder and')).toBeUndefined();
});

test('a row that is not what was written is not believed, and its file goes, so that it is made anew', async () => {
  const path = join(corpus.indexDir, 'blocks-000000.bits');
  const sound = readFileSync(path);
  const random = new Random(5);
  for (let round = 0; round < 30; round++) {
    const damaged = Buffer.from(sound);
    if (round % 2 === 0) {
      // All pages but the first came to the disk as zeros, or every second one.
      for (let page = 4_096; page < damaged.length; page += 4_096 * (1 + (round & 2))) {
        damaged.subarray(page, page + 4_096).fill(0);
      }
    } else {
      for (let flips = 0; flips < 3_000; flips++) {
        damaged[64 + random.below(damaged.length - 64)]! ^= 1 << (flips & 7);
      }
    }
    rmSync(path, { force: true });
    writeFileSync(path, damaged);
    const found = survivors('flightRecorderPlanB');
    // Undefined: everything is searched.
    const seen = [found, existsSync(path)];
    expect(seen).toEqual(found === undefined ? [undefined, false] : [2, true]);
  }
  rmSync(path, { force: true });
  expect(survivors('flightRecorderPlanB')).toBeUndefined();
  await buildIndex();
  expect(survivors('flightRecorderPlanB')).toBe(2);
  expect(readFileSync(path).equals(sound)).toBe(true);
});

test('a wider index is not made of rows that are damaged', async () => {
  const path = join(corpus.indexDir, 'blocks-000000.bits');
  const sound = readFileSync(path);
  const indexDir = join(corpus.indexDir, 'grown');
  const { sessionId, spans, totals } = corpus;
  const count = 150;
  const before = { ...totals, bytes: corpus.blocks.byteStart[count]! };
  const shorter = { ...corpus.blocks, count };
  await buildIndex({ sessionId, spans, indexDir, totals: before, blocks: shorter });
  const narrow = join(indexDir, 'blocks-000000.bits');
  const bytes = readFileSync(narrow);
  expect(bytes.length).toBeLessThan(0.21 * before.bytes);
  for (let page = 4_096; page < bytes.length; page += 8_192) {
    bytes.subarray(page, page + 4_096).fill(0);
  }
  writeFileSync(narrow, bytes);
  await buildIndex({ sessionId, spans, indexDir, totals, blocks: corpus.blocks });
  expect(readFileSync(narrow).equals(sound)).toBe(true);
});

/** Pieces that are valid until the next, kept. */
function* copies(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces) yield Uint8Array.from(piece);
}

describe('what lies behind the last whole group', () => {
  const indexDir = join(corpus.indexDir, 'quiet');
  const tail = join(indexDir, 'tail.bits');
  const cut = (count: number): Corpus => {
    const { sessionId, spans, totals } = corpus;
    const before = { ...totals, bytes: corpus.blocks.byteStart[count]! };
    return { sessionId, spans, indexDir, totals: before, blocks: { ...corpus.blocks, count } };
  };
  /** How many blocks of a text may hold what stands nowhere. */
  const left = (of: Corpus): number | undefined => {
    using text = new TextFile(of.spans);
    const { bytes: endBytes } = of.totals;
    const table = new SharedBlocks().share(of.blocks, of.blocks.count);
    const asked = { blocks: table, endBytes, ranges: shareRanges(undefined, endBytes) };
    const literals = [[{ text: 'zzqx nowhere', anyCase: false }]];
    const found = new IndexReader().candidates(of.indexDir, asked, text, literals);
    return found && countBlocks(found);
  };

  test('is ruled out, too, where the text has come to rest', async () => {
    await buildIndex(cut(100));
    expect(left(cut(100))).toBe(36);
    await buildIndex(cut(100), true);
    expect(left(cut(100))).toBe(0);
    expect(statSync(tail).size).toBeLessThan(410_000);
  });

  test('goes on being believed as far as it goes while the text grows', async () => {
    expect(left(cut(110))).toBe(11);
    await buildIndex(cut(140));
    // One whole group more, and of the next nothing is known yet.
    expect(left(cut(140))).toBe(12);
    const { ino } = statSync(tail);
    // Few more blocks are not worth another file.
    await buildIndex(cut(140), true);
    expect(statSync(tail).ino).toBe(ino);
    await buildIndex(cut(150), true);
    expect(left(cut(150))).toBe(0);
  });

  describe('in the block that is still open', () => {
    const own = join(corpus.indexDir, 'open');
    const path = join(own, 'tail.bits');
    const { byteStart } = corpus.blocks;
    const endBytes = byteStart[99]! + 10_000;
    const until = (end: number, spans = corpus.spans): Corpus => {
      const of = { ...cut(100), indexDir: own, spans };
      return { ...of, totals: { ...of.totals, bytes: end } };
    };
    beforeAll(async () => buildIndex(until(endBytes), true));

    test('is believed as long as the text ends where it did', () => {
      expect(left(until(endBytes))).toBe(0);
      // Grown by a byte, asked as it was before, gone on behind the block, ended with it.
      expect(left(until(endBytes + 1))).toBe(1);
      expect(left(until(endBytes - 1))).toBe(1);
      expect(left({ ...cut(101), indexDir: own })).toBe(2);
      expect(left(until(byteStart[100]!))).toBe(1);
    });

    test('is made anew once it is not alone in that', async () => {
      const { ino } = statSync(path);
      await buildIndex(until(endBytes + 1), true);
      expect(statSync(path).ino).toBe(ino);
      await buildIndex({ ...cut(115), indexDir: own }, true);
      expect(left({ ...cut(115), indexDir: own })).toBe(0);
      rmSync(path);
      await buildIndex(until(endBytes), true);
      expect(left(until(endBytes))).toBe(0);
    });

    test('is not believed of a text that ends with other words', () => {
      const other = join(corpus.indexDir, 'other.txt');
      const bytes = readFileSync(corpus.textPath);
      bytes[endBytes - 1_000]! ^= 1;
      writeFileSync(other, bytes);
      expect(left(until(endBytes, wholeFile(other)))).toBe(1);
      expect(left(until(endBytes))).toBe(0);
    });

    test('is read to be compared only where its checksum is not known', () => {
      const table = new SharedBlocks().share(corpus.blocks, 100);
      const last = readFileSync(corpus.textPath).subarray(byteStart[99], endBytes);
      const states = new Uint8Array(100);
      const samples = vi.spyOn(TextFile.prototype, 'sample');
      const covers = (checks?: ConstructorParameters<typeof TextFile>[1]): boolean => {
        using text = new TextFile(corpus.spans, checks);
        using file = SegmentFile.openTail(path, table, text);
        samples.mockClear();
        return file!.coversOpen(table, endBytes, text);
      };
      const checks = { blocks: table, endBytes, lastCrc: crc32(last), states };
      expect([covers(checks), samples.mock.calls.length]).toEqual([true, 0]);
      expect([covers({ ...checks, lastCrc: 1 }), samples.mock.calls.length]).toEqual([false, 0]);
      // Those of a longer text say nothing of it.
      const longer = { ...checks, endBytes: endBytes + 1, lastCrc: 1 };
      expect([covers(longer), samples.mock.calls.length]).toEqual([true, 1]);
      expect([covers(), samples.mock.calls.length]).toEqual([true, 1]);
      samples.mockRestore();
    });

    test('is searched where an older program has written the file, until that is made anew', async () => {
      const sound = readFileSync(path);
      using text = new TextFile(corpus.spans);
      using file = SegmentFile.openTail(path, corpus.blocks, text);
      const rows = file!.readAll()!;
      const header = Uint8Array.from(sound.subarray(0, 64)).fill(0, 40);
      const write = (): void =>
        writeFileSync(path, Buffer.concat([...copies(encodeSegment(header, rows))]));
      write();
      expect(left(until(endBytes))).toBe(1);
      expect(statSync(path).size).toBe(sound.length);
      await buildIndex(until(endBytes), true);
      expect(left(until(endBytes))).toBe(0);
      // A header that says more than this program knows of is none of ours.
      header.fill(1, 60);
      write();
      expect(left(until(endBytes))).toBe(36);
      expect(existsSync(path)).toBe(false);
    });
  });

  test('says nothing of a text from before it', () => {
    expect(left(cut(145))).toBe(17);
    expect(left(cut(150))).toBe(0);
  });

  test('is not believed where a byte of it is wrong, and made anew', async () => {
    const sound = readFileSync(tail);
    const damaged = Buffer.from(sound);
    for (let at = 64; at < damaged.length; at += 100) damaged[at]! ^= 1;
    writeFileSync(tail, damaged);
    expect(left(cut(150))).toBe(22);
    expect(existsSync(tail)).toBe(false);
    await buildIndex(cut(150), true);
    expect(readFileSync(tail).equals(sound)).toBe(true);
  });

  test('a small text has none', async () => {
    const small = { ...cut(12), indexDir: join(corpus.indexDir, 'small') };
    await buildIndex(small, true);
    expect(existsSync(small.indexDir)).toBe(false);
  });
});
