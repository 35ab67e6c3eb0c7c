import { writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { systemClock } from '../clock.ts';
import { openSearchEngine } from './engine.ts';
import { SharedBlocks } from './text/shared-blocks.ts';
import type { TextBlocks, Corpus } from './types.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 2 });
const options = { signal: new AbortController().signal, deadlineMs: 20_000 };
const lines = Array.from({ length: 4_000 }, (_, i) => `line ${i} with é and some more\n`);
const text = Buffer.from(lines.join(''));
const corpus = new TestCorpus(text);

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  corpus[Symbol.dispose]();
});

type DamagedPlace = NonNullable<Corpus['checks']>['damaged'][number];

/** The table of a text with the checksums of all blocks but the last. */
function withChecksums(blocks: TextBlocks): TextBlocks {
  const crc = new Uint32Array(blocks.count);
  for (let i = 0; i + 1 < blocks.count; i++) {
    crc[i] = crc32(text.subarray(blocks.byteStart[i], blocks.byteStart[i + 1]));
  }
  return { ...blocks, crc };
}

test('a block is compared once by whoever reads it first; one that is wrong is looked into before anything is answered', async () => {
  const { sessionId, textPath, spans, indexDir, totals } = corpus;
  const blocks = withChecksums(corpus.blocks);
  expect(blocks.count).toBeGreaterThan(3);
  const last = blocks.byteStart[blocks.count - 1]!;
  const states = new Uint8Array(new SharedArrayBuffer(blocks.count));
  const looked: number[][] = [];
  const known = (damaged: readonly DamagedPlace[]): Corpus => ({
    sessionId,
    spans,
    indexDir,
    totals,
    blocks,
    checks: {
      states,
      lastCrc: crc32(text.subarray(last)),
      damaged,
      anchors: new Float64Array(new SharedArrayBuffer(0)),
      recheck: async (wrong) => {
        looked.push([...wrong]);
        for (const block of wrong) states[block] = 2;
        return known([{ startBytes: 0, endBytes: blocks.byteStart[1]!, name: 'e1' }]);
      },
    },
  });
  const ask = async () => engine.search(known([]), query('line (0|2000|3999) '), options);
  const sound = await ask();
  expect([sound.total, sound.note, looked]).toEqual([3, undefined, []]);
  // All but the last, which may still grow.
  expect([...states]).toEqual([...states.subarray(1).fill(1), 0]);
  const damaged = Buffer.from(text);
  damaged[text.indexOf('line 10 ')] = 76;
  writeFileSync(textPath, damaged);
  // Known as compared, it is not compared again.
  expect((await ask()).total).toBe(3);
  states.fill(0);
  const told = await ask();
  expect(looked).toEqual([[0]]);
  expect(told.matches.map(({ line }) => line)).toEqual([2_001, 4_000]);
  expect(told.note).toContain(`${blocks.byteStart[1]} bytes of e1`);
  writeFileSync(textPath, text);
});

test('the checksum of a block that was the last one is taken over when it has been closed', () => {
  const shared = new SharedBlocks();
  const table = withChecksums(corpus.blocks);
  const wanted = table.crc![1];
  table.crc![1] = 0;
  shared.share(table, 2);
  table.crc![1] = wanted!;
  expect(shared.share(table, 4).crc?.[1]).toBe(wanted);
});

test('hits shown by several workers come in order, and end with the cursor to the next', async () => {
  // More than one worker does alone.
  const copies = 30;
  using long = new TestCorpus(Buffer.concat(Array.from({ length: copies }, () => text)));
  const seen: number[] = [];
  let cursor: string | undefined;
  do {
    const asked = query('line 7 ', { maxResults: 23, ...(cursor === undefined ? {} : { cursor }) });
    const page = await engine.search(long, asked, options);
    expect(page.total).toBe(copies);
    seen.push(...page.matches.map(({ line }) => line));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(seen).toEqual(Array.from({ length: copies }, (_, i) => 4_000 * i + 8));
});
