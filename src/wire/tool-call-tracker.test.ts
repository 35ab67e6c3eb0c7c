import { expect, it } from 'vitest';
import { ToolCallTracker } from './tool-call-tracker.ts';
import type { ToolCallDelta } from './types.ts';

/** Folds entries of `delta.tool_calls` into `index id name(arguments)`. */
function calls(...entries: readonly unknown[]): string[] {
  let made = 0;
  const tracker = new ToolCallTracker(() => `made${(made += 1)}`);
  const texts: string[] = [];
  const deltas: ToolCallDelta[] = [];
  for (const entry of entries) tracker.read(entry, deltas);
  for (const delta of [...deltas, ...tracker.end()]) {
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
  [
    'the name and the arguments at different indexes',
    [
      { index: 1, id: 'x', ...fn('bash', '') },
      { index: 0, ...fn(undefined, '{"command":') },
      { index: 0, ...fn(undefined, '"ls"}') },
    ],
    ['x bash({"command":"ls"})'],
  ],
  [
    'no index, and the name again while the arguments go on',
    [
      { id: 'x', ...fn('bash', '{"command":"l') },
      { id: null, ...fn('bash', 's"}') },
    ],
    ['x bash({"command":"ls"})'],
  ],
  [
    'no index, and the same name after complete arguments',
    [fn('f', '{"a":"}"}'), fn('f', '{}')],
    ['made1 f({"a":"}"})', 'made2 f({})'],
  ],
  [
    'indexes written as texts, interleaved',
    [
      { index: '0', id: 'a', ...fn('f', '{"a"') },
      { index: '1', id: 'b', ...fn('g', '{"b"') },
      { index: '0', ...fn(undefined, ':1}') },
      { index: '1', ...fn(undefined, ':2}') },
    ],
    ['a f({"a":1})', 'b g({"b":2})'],
  ],
  [
    'a name in two fragments',
    [
      { index: 0, id: 'a', ...fn('ba', '') },
      { index: 0, ...fn('sh', '') },
      { index: 0, ...fn(undefined, '{}') },
    ],
    ['a bash({})'],
  ],
  [
    'a name that grows with each piece, and comes once more',
    [
      { index: 0, id: 'a', ...fn('ba', '') },
      { index: 0, id: 'a', ...fn('bash', '') },
      { index: 0, id: 'a', ...fn('bash', '{}') },
    ],
    ['a bash({})'],
  ],
  ['a call that has no arguments at all', [{ index: 0, id: 'a', ...fn('f', '') }], ['a f()']],
  ['arguments as an object', [{ index: 0, id: 'a', ...fn('f', { x: 1 }) }], ['a f({"x":1})']],
  ['name and arguments beside the id', [{ id: 'a', name: 'f', arguments: '{}' }], ['a f({})']],
  ['nothing in the pieces', [{}, null, 'x', { index: 0, function: {} }], []],
  ['a call that never gets a name', [{ index: 0, id: 'a', ...fn(null, '{}') }], ['unnamed']],
])('tells calls apart: %s', (_name, entries, expected) => {
  expect(calls(...entries)).toEqual(expected);
});

it('keeps members beside id, type and function', () => {
  const tracker = new ToolCallTracker(() => 'made');
  const deltas: ToolCallDelta[] = [];
  const extra = { extra_content: { google: { thought_signature: 's' } } };
  tracker.read({ index: 0, id: 'a', type: 'function', ...fn('f', '{}'), ...extra }, deltas);
  expect(deltas).toEqual([{ index: 0, id: 'a', name: 'f', arguments: '{}', extra }]);
});

it('reads a custom tool’s call, whose input is free text', () => {
  const tracker = new ToolCallTracker(() => 'made');
  const deltas: ToolCallDelta[] = [];
  const first = { index: 0, id: 'c', type: 'custom', custom: { name: 'apply_patch', input: '' } };
  tracker.read(first, deltas);
  expect(deltas).toEqual([]);
  tracker.read({ index: 0, custom: { input: '*** Begin' } }, deltas);
  tracker.read({ index: 0, custom: { input: ' Patch' } }, deltas);
  expect(deltas).toEqual([
    { index: 0, id: 'c', name: 'apply_patch', type: 'custom', arguments: '*** Begin' },
    { index: 0, type: 'custom', arguments: ' Patch' },
  ]);
});

it('hands a call without arguments out as soon as another one begins', () => {
  const tracker = new ToolCallTracker(() => 'made');
  const deltas: ToolCallDelta[] = [];
  tracker.read({ index: 0, id: 'a', ...fn('f', '') }, deltas);
  tracker.read({ index: 1, id: 'b', ...fn('g', '') }, deltas);
  expect(deltas).toEqual([{ index: 0, id: 'a', name: 'f', arguments: '' }]);
  expect(tracker.end()).toEqual([{ index: 1, id: 'b', name: 'g', arguments: '' }]);
});

it('tells a great many calls apart, and pieces of long arguments, without looking at all of them again', () => {
  const tracker = new ToolCallTracker(() => 'made');
  const deltas: ToolCallDelta[] = [];
  const count = 40_000;
  for (let index = 0; index < count; index += 1)
    tracker.read({ index, id: `call_${index}`, ...fn('f', '{"a":') }, deltas);
  // The name on each piece, and arguments that look as if they were complete.
  for (let n = 0; n < count; n += 1) tracker.read({ index: n, ...fn('f', '"}') }, deltas);
  for (let n = 0; n < count; n += 1) tracker.read({ index: 7, ...fn('f', '}') }, deltas);
  expect(deltas).toHaveLength(3 * count);
  expect(deltas.at(-1)?.index).toBe(7);
});
