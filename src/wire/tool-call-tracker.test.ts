import { expect, it } from 'vitest';
import { ToolCallTracker } from './tool-call-tracker.ts';
import type { ToolCallDelta } from './types.ts';

/** Folds entries of `delta.tool_calls` into `index id name(arguments)`. */
function calls(...entries: readonly unknown[]): string[] {
  let made = 0;
  const tracker = new ToolCallTracker(() => `made${(made += 1)}`);
  const texts: string[] = [];
  for (const entry of entries) {
    const delta: ToolCallDelta | undefined = tracker.read(entry);
    if (delta === undefined) continue;
    if (delta.id !== undefined) texts[delta.index] = `${delta.id} ${delta.name}(`;
    texts[delta.index] += delta.arguments;
  }
  return [...texts.map((text) => `${text})`), ...(tracker.unnamed > 0 ? ['unnamed'] : [])];
}

const fn = (name: unknown, args: unknown) => ({ function: { name, arguments: args } });

it.each<[string, unknown[], string[]]>([
  [
    'OpenAI: id and name once, then the index',
    [
      { index: 0, id: 'a', ...fn('f', '') },
      { index: 0, ...fn(undefined, '{"x"') },
      { index: 0, ...fn(undefined, ':1}') },
    ],
    ['a f({"x":1})'],
  ],
  [
    'two calls that interleave',
    [
      { index: 0, id: 'a', ...fn('f', '1') },
      { index: 1, id: 'b', ...fn('g', '2') },
      { index: 0, ...fn(null, '3') },
      { index: 1, ...fn(null, '4') },
    ],
    ['a f(13)', 'b g(24)'],
  ],
  [
    'indexes that begin at 1 or have gaps',
    [
      { index: 1, id: 'a', ...fn('f', '1') },
      { index: 5, id: 'b', ...fn('g', '2') },
      { index: 1, ...fn('', '3') },
    ],
    ['a f(13)', 'b g(2)'],
  ],
  [
    'GLM: the id again on each piece',
    [
      { index: 0, id: 'a', ...fn('f', '1') },
      { index: 0, id: 'a', ...fn(undefined, '2') },
      { index: 0, id: 'a', ...fn('f', '3') },
    ],
    ['a f(123)'],
  ],
  [
    'Qwen: empty id, null name, both null',
    [
      { index: 0, id: 'a', ...fn('f', '1') },
      { index: 0, id: '', ...fn(null, '2') },
      { index: 0, id: '', ...fn(null, null) },
      { index: 0, id: null, ...fn('', '3') },
    ],
    ['a f(123)'],
  ],
  [
    'a fresh id on each piece, without a name',
    [
      { index: 0, id: 'a', ...fn('f', '1') },
      { index: 0, id: 'b', ...fn(null, '2') },
    ],
    ['a f(12)'],
  ],
  [
    'Ollama: every call at index 0',
    [
      { index: 0, id: 'a', ...fn('f', '{}') },
      { index: 0, id: 'b', ...fn('f', '{}') },
    ],
    ['a f({})', 'b f({})'],
  ],
  [
    'Ollama without ids',
    [
      { index: 0, ...fn('f', '{}') },
      { index: 0, ...fn('g', '{}') },
    ],
    ['made1 f({})', 'made2 g({})'],
  ],
  [
    'the name again on each piece, without an id',
    [
      { index: 0, id: 'a', ...fn('f', '{"x"') },
      { index: 0, ...fn('f', ':1}') },
    ],
    ['a f({"x":1})'],
  ],
  [
    'Gemini: no index at all',
    [
      { id: 'a', ...fn('f', '{}') },
      { id: 'b', ...fn('g', '{}') },
    ],
    ['a f({})', 'b g({})'],
  ],
  ['no index, no id', [fn('f', '1'), fn(null, '2'), fn('g', '3')], ['made1 f(12)', 'made2 g(3)']],
  [
    'the name only on the second piece',
    [
      { index: 0, id: 'a', ...fn(null, '1') },
      { index: 0, ...fn('f', '2') },
    ],
    ['a f(12)'],
  ],
  [
    'one id given to two calls',
    [
      { index: 0, id: 'a', ...fn('f', '1') },
      { index: 1, id: 'a', ...fn('g', '2') },
      { index: 1, id: 'a', ...fn('g', '3') },
    ],
    ['a f(1)', 'made1 g(23)'],
  ],
  ['arguments as an object', [{ index: 0, id: 'a', ...fn('f', { x: 1 }) }], ['a f({"x":1})']],
  ['name and arguments beside the id', [{ id: 'a', name: 'f', arguments: '{}' }], ['a f({})']],
  ['nothing in the pieces', [{}, null, 'x', { index: 0, function: {} }], []],
  ['a call that never gets a name', [{ index: 0, id: 'a', ...fn(null, '{}') }], ['unnamed']],
])('tells calls apart: %s', (_name, entries, expected) => {
  expect(calls(...entries)).toEqual(expected);
});

it('keeps members beside id, type and function', () => {
  const tracker = new ToolCallTracker(() => 'made');
  const extra = { extra_content: { google: { thought_signature: 's' } } };
  expect(tracker.read({ index: 0, id: 'a', type: 'function', ...fn('f', '{}'), ...extra })).toEqual(
    {
      index: 0,
      id: 'a',
      name: 'f',
      arguments: '{}',
      extra,
    },
  );
});
