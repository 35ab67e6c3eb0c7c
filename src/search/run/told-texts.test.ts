import { expect, test } from 'vitest';
import { query, TestCorpus } from '../../../test/property/search-corpus.ts';
import { Random } from '../../bench/random.ts';
import { shareRanges } from '../text/ranges.ts';
import { SharedBlocks } from '../text/shared-blocks.ts';
import { scopeOf, SharedTexts, type SharedText } from '../text/shared-texts.ts';
import type { Corpus } from '../types.ts';
import { HeldTexts, ToldTexts, type SentOrder } from './told-texts.ts';
import { createControl, type Order } from './protocol.ts';

function orderOf(text: SharedText, job: number): Order {
  const scope = scopeOf(text, 5, shareRanges(undefined, 5));
  return {
    kind: 'plan',
    job,
    task: { text, scope, query: query('x'), after: 3, control: createControl() },
  };
}

function* corpora(count: number): Generator<TestCorpus> {
  for (let i = 1; i <= count; i += 1) yield new TestCorpus(`text ${i}\n`.repeat(i));
}

test('a worker sees the texts that it is asked about, told of or known, however many there are', () => {
  using opened = new DisposableStack();
  const shared = new SharedTexts(new SharedBlocks());
  const texts = [...corpora(50)].map((corpus) => shared.share(opened.use(corpus)));
  const told = new ToldTexts();
  const known = new HeldTexts();
  const random = new Random(1);
  let tellings = 0;
  for (let job = 0; job < 1_000; job += 1) {
    // Some are asked about often.
    const text = texts[random.below(random.below(texts.length) + 1)]!;
    const order = orderOf(text, job);
    const sent: SentOrder = structuredClone(told.pack(order));
    if ('task' in sent && sent.task.text !== undefined) tellings += 1;
    expect(known.unpack(sent)).toEqual(order);
  }
  expect(tellings).toBeGreaterThan(50);
  expect(tellings).toBeLessThan(500);
});

test('a text is told of once, and again when anything about it has changed', () => {
  using corpus = new TestCorpus('one\ntwo\n');
  const shared = new SharedTexts(new SharedBlocks());
  const told = new ToldTexts();
  const isTold = (as: Partial<Corpus> = {}): boolean => {
    const { spans, indexDir, sessionId, totals, blocks } = corpus;
    const text = shared.share({ spans, indexDir, sessionId, totals, blocks, ...as });
    const sent = told.pack(orderOf(text, 1));
    return 'task' in sent && sent.task.text !== undefined;
  };
  expect([isTold(), isTold()]).toEqual([true, false]);
  const entries = [{ offsetBytes: 0, lengthBytes: 3 }];
  expect([isTold({ entries }), isTold({ entries })]).toEqual([true, false]);
  entries.push({ offsetBytes: 4, lengthBytes: 3 });
  expect([isTold({ entries }), isTold({ entries })]).toEqual([true, false]);
  expect([isTold({ spans: [...corpus.spans] }), isTold({ indexDir: 'other' })]).toEqual([
    true,
    true,
  ]);
  const crc = new Uint32Array(8);
  const blocks = { ...corpus.blocks, crc };
  const checks = {
    states: new Uint8Array(new SharedArrayBuffer(8)),
    lastCrc: 1,
    damaged: [],
    anchors: new Float64Array(new SharedArrayBuffer(24)),
    recheck: async () => corpus,
  };
  expect([isTold({ blocks, checks }), isTold({ blocks, checks })]).toEqual([true, false]);
  expect(isTold({ blocks, checks: { ...checks, lastCrc: 2 } })).toBe(true);
  expect(isTold({ blocks, checks })).toBe(true);
  const anchors = new Float64Array(new SharedArrayBuffer(48));
  expect(isTold({ blocks, checks: { ...checks, anchors } })).toBe(true);
  const states = new Uint8Array(new SharedArrayBuffer(8));
  expect(isTold({ blocks, checks: { ...checks, anchors, states } })).toBe(true);
  const totals = { ...corpus.totals, bytes: 4 };
  expect(isTold({ blocks, totals, checks: { ...checks, anchors, states } })).toBe(true);
});
