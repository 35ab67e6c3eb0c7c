import { afterAll, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { silentLogger } from '../log.ts';
import { outlineOf } from './outline.ts';
import { Outliner } from './outliner.ts';

/** 2,014,331 characters, as a server writes them, with one error. */
const log = Array.from({ length: 31_904 }, (_, at) =>
  at === 9_126
    ? '2026-05-28T08:33:42Z [ERROR] expected 200, got 503'
    : `2026-05-28T08:33:4${at % 10}Z [INFO] GET /api/orders/${at} 200 in ${at % 90}ms`,
).join('\n');

test('an error in the middle of a long log is named with its line', () => {
  const { outline } = outlineOf(log);
  expect(outline.kind).toBe('log');
  expect(outline.items).toContain('levels: 31,903 INFO, 1 ERROR');
  expect(outline.items).toContain('line 9127: 2026-05-28T08:33:42Z [ERROR] expected 200, got 503');
  expect(outline.items).toContain('31,903 lines like `* [INFO] GET * in *`');
});

test('shapes of a log above 8 MB come from stretches of it, and the outline says so', () => {
  const { outline } = outlineOf(`${log}\n`.repeat(5));
  expect(outline.items).toContain('levels: 159,515 INFO, 5 ERROR');
  expect(outline.items.join('\n')).toMatch(/from 8 M characters spread over it/);
});

test('a time of day is no search result, and a bracket no JSON', () => {
  for (const line of [
    '14:00:28 ERROR x',
    '[14:00:28] x',
    '[2026-05-28T08:33:42Z] x',
    'E0528 14:00:28.1 x',
  ])
    expect(outlineOf(`${line}\n`.repeat(50)).outline.kind).toBe('log');
});

test('the path of a file decides between languages', () => {
  const text = 'interface A {\n  x: number;\n}\nconst a = 1;\ntype B = string;\n';
  expect(outlineOf(text, 'a.ts').outline.kind).toBe('TypeScript');
});

test('an outline keeps its bounds whatever the text is', () => {
  const texts = [
    '',
    '\n',
    'x'.repeat(3_000_000),
    '{"a":'.repeat(10_000),
    '[\n'.repeat(50_000),
    `Error: ${'é'.repeat(5_000)}\n`.repeat(200),
    '\x1b[31m'.repeat(9_999),
    '| '.repeat(20_000),
    '0'.repeat(99),
  ];
  for (const text of texts) {
    const { items } = outlineOf(text).outline;
    expect(items.length).toBeLessThanOrEqual(15);
    expect(items.join('\n').length).toBeLessThanOrEqual(850);
  }
});

const outliner = new Outliner(systemClock, silentLogger());
afterAll(() => outliner[Symbol.asyncDispose]());

test('the thread outlines strings and bytes, code with its grammar', async () => {
  const source = 'def one():\n    return 1\n\nclass Two:\n    def three(self):\n        return 3\n';
  const { outlines: found } = await outliner.outlines(
    [{ text: source, path: 'a.py' }, { text: new TextEncoder().encode(log) }],
    60_000,
  );
  expect(found[0]).toEqual({
    kind: 'Python',
    items: ['line 1: def one()', 'line 4: class Two', 'line 5: def three(self)'],
  });
  expect(found[1]?.items).toContain('levels: 31,903 INFO, 1 ERROR');
});

test('what is not ready in time has no outline, and the next text has one', async () => {
  let fire = (): void => undefined;
  const clock = {
    ...systemClock,
    after: (_: number, run: () => void) => ((fire = run), () => undefined),
  };
  await using own = new Outliner(clock, silentLogger());
  const late = own.outlines([{ text: log }], 100);
  fire();
  expect((await late).outlines).toEqual([undefined]);
  expect((await own.outlines([{ text: '{"a": 1}' }], 100)).outlines[0]?.kind).toBe('JSON');
});
