import { writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { systemClock } from '../clock.ts';
import { openSearchEngine } from './engine.ts';
import { SharedBlocks } from './shared-blocks.ts';
import type { BlockTable, Corpus } from './types.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 2 });
const options = { signal: new AbortController().signal, deadlineMs: 20_000 };
const lines = Array.from({ length: 4_000 }, (_, i) => `line ${i} with é and some more\n`);
const text = Buffer.from(lines.join(''));
const corpus = new TestCorpus(text);

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  corpus[Symbol.dispose]();
});

/** The table of a text with the checksums of all blocks but the last. */
function withChecksums(blocks: BlockTable): BlockTable {
  const crc = new Uint32Array(blocks.count);
  for (let i = 0; i + 1 < blocks.count; i++) {
    crc[i] = crc32(text.subarray(blocks.byteStart[i], blocks.byteStart[i + 1]));
  }
  return { ...blocks, crc };
}

async function checkedHits(of: Corpus): Promise<readonly (boolean | undefined)[]> {
  const { matches } = await engine.search(of, query('line (0|2000|3999) '), options);
  return matches.map(({ checked }) => checked);
}

test('hits say whether their block is as its checksum says', async () => {
  const { sessionId, textPath, indexDir, totals, blocks } = corpus;
  const plain = { sessionId, textPath, indexDir, totals, blocks };
  expect(blocks.count).toBeGreaterThan(3);
  expect(await checkedHits(plain)).toEqual([false, false, false]);
  const summed = { ...plain, blocks: withChecksums(blocks) };
  // The last block may still grow.
  expect(await checkedHits(summed)).toEqual([true, true, false]);
  const damaged = Buffer.from(text);
  damaged[text.indexOf('line 10 ')] = 76;
  writeFileSync(textPath, damaged);
  expect(await checkedHits(summed)).toEqual([false, true, false]);
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
