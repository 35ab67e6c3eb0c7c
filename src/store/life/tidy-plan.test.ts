import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { StoreBounds } from '../types.ts';
import { minAgeMs, planTidying, type HeldText } from './tidy-plan.ts';

const nowMs = 1_000 * minAgeMs;
const ids = ['a', 'b', 'c'];

const textArb = fc.record({
  holders: fc.oneof(fc.constantFrom(['a'], ['b'], ['c']), fc.constant(['a', 'c'])),
  bytes: fc.integer({ min: 0, max: 100 }),
  hours: fc.integer({ min: 0, max: 40 }),
  isPinned: fc.boolean(),
});

/** Numbered, and as old as they say. */
const textsArb = fc.array(textArb, { maxLength: 40 }).map((list) =>
  list.map(({ hours, ...text }, at): HeldText => ({
    ...text,
    seq: at + 1,
    timeMs: nowMs - hours * minAgeMs,
  })),
);

function sizeOf(texts: readonly HeldText[], id?: string): number {
  const lying = texts.flatMap(({ holders, bytes }) => holders.map((holder) => [holder, bytes]));
  return lying.reduce((sum, [holder, bytes]) => {
    return id === undefined || holder === id ? sum + Number(bytes) : sum;
  }, 0);
}

/** The same by taking one text after the other out of a list. */
function model(texts: readonly HeldText[], bounds: StoreBounds): readonly HeldText[] {
  let left = texts;
  const movable = (id?: string): readonly HeldText[] =>
    left
      .filter(({ holders }) => id === undefined || holders.includes(id))
      .filter(({ isPinned, timeMs }) => !isPinned && timeMs <= nowMs - minAgeMs)
      .toSorted((a, b) => a.timeMs - b.timeMs || a.seq - b.seq);
  const maxAgeMs = bounds.maxAgeMs ?? Infinity;
  for (const text of movable())
    if (text.timeMs < nowMs - maxAgeMs) left = left.filter((other) => other !== text);
  for (const id of [...ids, undefined]) {
    const quota = (id === undefined ? bounds.allBytes : bounds.storeBytes) ?? Infinity;
    if (sizeOf(left, id) <= quota * 0.95) continue;
    while (sizeOf(left, id) > quota * 0.9) {
      const [oldest] = movable(id);
      if (oldest === undefined) break;
      left = left.filter((text) => text !== oldest);
    }
  }
  return left;
}

test('the oldest go, by age, then by store, then over all, as far as they must', () => {
  const boundsArb = fc.record(
    {
      storeBytes: fc.integer({ min: 1, max: 800 }),
      allBytes: fc.integer({ min: 1, max: 1_500 }),
      maxAgeMs: fc.integer({ min: 1, max: 40 }).map((hours) => hours * minAgeMs),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(textsArb, boundsArb, (texts, bounds) => {
      const plan = planTidying(texts, bounds, { nowMs, wantedBytes: new Map() });
      const gone = new Set(plan.toGo.map(({ text }) => text));
      const left = texts.filter((text) => !gone.has(text));
      expect(left).toEqual(model(texts, bounds));
      for (const [id, bytes] of plan.keptBytes) expect(bytes).toBe(sizeOf(left, id));
      for (const { isPinned, timeMs } of gone) {
        expect(isPinned).toBe(false);
        expect(nowMs - timeMs).toBeGreaterThanOrEqual(minAgeMs);
      }
    }),
  );
});

function textOf(seq: number, bytes: number, more: Partial<HeldText> = {}): HeldText {
  return {
    holders: ['a'],
    seq,
    bytes,
    timeMs: nowMs - (100 - seq) * minAgeMs,
    isPinned: false,
    ...more,
  };
}

function gone(texts: readonly HeldText[], quota: number, wanted: number): readonly number[] {
  const wantedBytes = new Map([['a', wanted]]);
  const { toGo } = planTidying(texts, { storeBytes: quota }, { nowMs, wantedBytes });
  return toGo.map(({ text }) => text.seq);
}

test('room is made for a text that did not fit, and for none that never will', () => {
  const texts = [textOf(1, 40), textOf(2, 20), textOf(3, 20)];
  expect(gone(texts, 100, 0)).toEqual([]);
  expect(gone(texts, 100, 50)).toEqual([1]);
  expect(gone(texts, 100, 70)).toEqual([1, 2]);
  expect(gone(texts, 100, 101)).toEqual([]);
  const pinned = [textOf(1, 40, { isPinned: true }), ...texts.slice(1)];
  expect(gone(pinned, 100, 50)).toEqual([2, 3]);
  expect(gone(pinned, 100, 70)).toEqual([]);
});

test('a store is full where what is left may not go', () => {
  const young = textOf(1, 98, { timeMs: nowMs - minAgeMs + 1 });
  const bounds = { storeBytes: 100, allBytes: 100 };
  const plan = planTidying([young], bounds, { nowMs, wantedBytes: new Map() });
  expect(plan).toMatchObject({ toGo: [], full: ['a'], isAllFull: true });
  const later = { nowMs: nowMs + 1, wantedBytes: new Map<string, number>() };
  expect(planTidying([young], bounds, later)).toMatchObject({ full: [], isAllFull: false });
});
