import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenGauge } from './token-gauge.ts';

let nowMs = 0;
const gaugeNow = (): TokenGauge => new TokenGauge({ elapsedMs: () => nowMs });

const text = (textBytes: number) => ({ textBytes, partTokens: 0 });

describe('bytes in a token', () => {
  it('are a usual number until counts are there, and then the middle of both', () => {
    const gauge = gaugeNow();
    expect(gauge.bytesPerToken('m')).toBe(3.6);
    expect(gauge.learn('m', text(40_000), { promptTokens: 20_000 })).toBe('taken');
    expect(gauge.bytesPerToken('m')).toBeCloseTo(2.8);
    for (let count = 0; count < 6; count += 1)
      gauge.learn('m', text(40_000), { promptTokens: 20_000 });
    expect(gauge.bytesPerToken('m')).toBe(2);
    expect(gauge.bytesPerToken('another')).toBe(3.6);
  });

  it('are moved by no single count, whatever it says', () => {
    const gauge = gaugeNow();
    for (let count = 0; count < 4; count += 1)
      gauge.learn('m', text(40_000), { promptTokens: 10_000 });
    const before = gauge.bytesPerToken('m');
    for (const promptTokens of [1_500, 40_000, 1_000_000, 0])
      gauge.learn('m', text(40_000), { promptTokens });
    expect(gauge.bytesPerToken('m')).toBe(before);
  });

  it('are not learnt from small prompts, which say more about templates', () => {
    const gauge = gaugeNow();
    expect(gauge.learn('m', text(2_000), { promptTokens: 900 })).toBe('ignored');
    expect(gauge.bytesPerToken('m')).toBe(3.6);
  });

  it('are those of the last few counts: what a model was once is forgotten', () => {
    const gauge = gaugeNow();
    for (const tokens of [10_000, 20_000])
      for (let count = 0; count < 8; count += 1)
        gauge.learn('m', text(40_000), { promptTokens: tokens });
    expect(gauge.bytesPerToken('m')).toBe(2);
  });
});

describe('a count that cannot be true', () => {
  it.each([
    ['more than the window', text(400_000), 130_000, 128_000],
    ['more than a token a byte', text(100_000), 103_000, undefined],
    ['less than one for a dozen bytes', text(120_000), 7_000, undefined],
    ['more than parts can cost', { textBytes: 0, partTokens: 1_000 }, 11_000, undefined],
  ])('teaches nothing and is told once: %s', (_, size, promptTokens, windowTokens) => {
    const gauge = gaugeNow();
    const counts = { promptTokens, windowTokens };
    expect(gauge.learn('m', size, counts)).toBe('implausible');
    expect(gauge.learn('m', size, counts)).toBe('implausible again');
    expect(gauge.learn('another', size, counts)).toBe('implausible');
    expect([gauge.bytesPerToken('m'), gauge.partScale('m')]).toEqual([3.6, 1]);
  });

  it.each([
    ['a token a byte', text(100_000), 100_000],
    ['a token for a dozen bytes', text(120_000), 10_000],
    ['the window to the last token', text(400_000), 128_000],
  ])('is none of these: %s', (_, size, promptTokens) => {
    expect(gaugeNow().isPlausible(size, promptTokens, 128_000)).toBe(true);
  });
});

describe('what parts cost', () => {
  const shots = { textBytes: 3_600, partTokens: 10_000 };

  it('is corrected by what was counted, and then says nothing of the text', () => {
    const gauge = gaugeNow();
    for (let count = 0; count < 7; count += 1)
      expect(gauge.learn('m', shots, { promptTokens: 1_000 + 2_500 })).toBe('taken');
    expect(gauge.partScale('m')).toBeCloseTo(0.25);
    expect(gauge.bytesPerToken('m')).toBe(3.6);
    expect(gauge.partScale('another')).toBe(1);
  });

  it('is not told by a prompt of which parts are a little, nor is the text', () => {
    const gauge = gaugeNow();
    const mixed = { textBytes: 36_000, partTokens: 2_000 };
    expect(gauge.learn('m', mixed, { promptTokens: 12_000 })).toBe('ignored');
    expect([gauge.bytesPerToken('m'), gauge.partScale('m')]).toEqual([3.6, 1]);
  });

  it('does not disturb what a long text says', () => {
    const gauge = gaugeNow();
    const one = { textBytes: 80_000, partTokens: 1_000 };
    for (let count = 0; count < 7; count += 1) gauge.learn('m', one, { promptTokens: 21_000 });
    expect(gauge.bytesPerToken('m')).toBe(4);
  });
});

describe('a refusal', () => {
  it('moves what is known at once, and one of them by half at most', () => {
    const gauge = gaugeNow();
    for (let count = 0; count < 7; count += 1)
      gauge.learn('m', text(40_000), { promptTokens: 10_000 });
    gauge.learnRefusal('m', 24_000, 8_000);
    expect(gauge.bytesPerToken('m')).toBe(3);
    gauge.learnRefusal('m', 1_000, 8_000);
    expect(gauge.bytesPerToken('m')).toBe(1.5);
  });

  it('of a prompt that the window should hold teaches nothing', () => {
    const gauge = gaugeNow();
    gauge.learnRefusal('m', 40_000, 8_000);
    expect(gauge.bytesPerToken('m')).toBe(3.6);
  });

  it('is forgotten when counts say something else', () => {
    const gauge = gaugeNow();
    gauge.learnRefusal('m', 16_000, 8_000);
    for (let count = 0; count < 8; count += 1)
      gauge.learn('m', text(40_000), { promptTokens: 10_000 });
    expect(gauge.bytesPerToken('m')).toBe(4);
  });
});

describe('a window that refusals state', () => {
  it('holds for the model when a second one says the same, and only below the configured one', () => {
    const gauge = gaugeNow();
    gauge.learnWindow('m', 8_192);
    expect(gauge.windowTokens('m', 128_000)).toBe(128_000);
    gauge.learnWindow('m', 8_192);
    expect(gauge.windowTokens('m', 128_000)).toBe(8_192);
    expect(gauge.windowTokens('m', undefined)).toBe(8_192);
    expect(gauge.windowTokens('m', 4_096)).toBe(4_096);
    expect(gauge.windowTokens('another', 128_000)).toBe(128_000);
  });

  it('is none where they say different things, and ends after an hour', () => {
    const gauge = gaugeNow();
    for (const tokens of [8_192, 262_144, 8_192, 32_768]) gauge.learnWindow('m', tokens);
    expect(gauge.windowTokens('m', 128_000)).toBe(128_000);
    gauge.learnWindow('m', 32_768);
    nowMs += 3_600_000;
    expect(gauge.windowTokens('m', 128_000)).toBe(32_768);
    nowMs += 1;
    expect(gauge.windowTokens('m', 128_000)).toBe(128_000);
    gauge.learnWindow('m', 32_768);
    expect(gauge.windowTokens('m', 128_000)).toBe(128_000);
  });

  it('is refuted by a longer prompt that was taken, and not by a count that cannot be true', () => {
    const gauge = gaugeNow();
    for (let times = 0; times < 2; times += 1) gauge.learnWindow('m', 8_192);
    gauge.learn('m', text(40_000), { promptTokens: 5_000_000 });
    expect(gauge.windowTokens('m', 128_000)).toBe(8_192);
    gauge.learn('m', text(40_000), { promptTokens: 9_000 });
    expect(gauge.windowTokens('m', 128_000)).toBe(128_000);
  });
});

it('whatever comes from outside, what is known stays within what can be', () => {
  const number = fc.oneof(fc.nat(2_000_000), fc.double({ noNaN: true }), fc.constant(-1));
  const event = fc.record({
    textBytes: fc.nat(2_000_000),
    partTokens: fc.nat(100_000),
    tokens: number,
    isRefusal: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), (events) => {
      const gauge = gaugeNow();
      for (const { textBytes, partTokens, tokens, isRefusal } of events) {
        if (isRefusal) gauge.learnRefusal('m', textBytes, Math.max(1, tokens));
        else gauge.learn('m', { textBytes, partTokens }, { promptTokens: tokens });
        expect(gauge.bytesPerToken('m')).toBeGreaterThanOrEqual(1);
        expect(gauge.bytesPerToken('m')).toBeLessThanOrEqual(12);
        expect(gauge.partScale('m')).toBeGreaterThanOrEqual(0.05);
        expect(gauge.partScale('m')).toBeLessThanOrEqual(8);
      }
    }),
  );
});
