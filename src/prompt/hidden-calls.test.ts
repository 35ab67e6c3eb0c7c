import { describe, expect, it } from 'vitest';
import type { ToolCall } from '../wire/types.ts';
import { hiddenCallsIn, type HandOver } from './hidden-calls.ts';

const ours = ['rlm_search', 'rlm_find'];
const tool = (name: string) => ({ type: 'function', function: { name } });
const extract = tool('extract');

function asked(members: Readonly<Record<string, unknown>>, names = ours) {
  return hiddenCallsIn({ model: 'm', ...members }, names);
}

function call(name: string, type = 'function'): ToolCall {
  return { id: 'c', type, [type]: { name, arguments: '{}' } };
}

function handOver(members: Readonly<Record<string, unknown>>): HandOver {
  const found = asked(members);
  if (found.kind !== 'before') throw new Error(found.kind);
  return found.handOver;
}

describe('hidden calls are possible', () => {
  it.each([
    ['without a choice', {}],
    ['auto', { tool_choice: 'auto' }],
    ['null', { tool_choice: null, tools: [extract] }],
    ['any call, with tools of the client', { tool_choice: 'required', tools: [extract] }],
    ['Mistral’s word for it', { tool_choice: 'any', tools: [extract] }],
    ['the old form’s auto', { functions: [{ name: 'extract' }], function_call: 'auto' }],
  ])('%s: and the client’s choice goes up as it came', (_, members) => {
    expect(asked(members)).toEqual({ kind: 'possible', changed: {}, namesOurs: false });
  });

  it.each([
    ['by itself', { tool_choice: tool('rlm_find') }],
    [
      'in a list',
      { tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [extract, tool('rlm_find')] } },
    ],
  ])('the client names a tool of ours %s', (_, members) => {
    expect(asked(members)).toEqual({ kind: 'possible', changed: {}, namesOurs: true });
  });

  it.each(['required', 'any'])(
    'a call is demanded (%s) and there are no tools but ours: such a chat would never come to an answer',
    (choice) => {
      const changed = { tool_choice: 'auto' };
      const possible = { kind: 'possible', changed, namesOurs: false };
      expect(asked({ tool_choice: choice })).toEqual(possible);
      expect(asked({ tool_choice: choice, tools: [] })).toEqual(possible);
    },
  );
});

it.each([
  ['none', { tool_choice: 'none', tools: [extract] }],
  ['the old form’s none', { functions: [{ name: 'extract' }], function_call: 'none' }],
])('hidden calls are impossible: %s', (_, members) => {
  expect(asked(members)).toEqual({ kind: 'impossible' });
});

it.each([{}, { tool_choice: 'required', tools: [extract] }, { tool_choice: extract }])(
  'hidden calls are impossible without tools of ours: %j',
  (members) => {
    expect(asked(members, [])).toEqual({ kind: 'impossible' });
  },
);

describe('hidden calls come before', () => {
  it('a function by name: its call alone is what the client asked for', () => {
    const { opening, isMet } = handOver({ tools: [extract], tool_choice: extract });
    expect(opening).toEqual({ tool_choice: 'auto' });
    expect(isMet([call('extract'), call('extract')])).toBe(true);
    expect(isMet([call('extract'), call('bash')])).toBe(false);
    expect(isMet([])).toBe(false);
  });

  it('a custom tool by name', () => {
    const { isMet } = handOver({ tool_choice: { type: 'custom', custom: { name: 'patch' } } });
    expect(isMet([call('patch', 'custom')])).toBe(true);
    expect(isMet([call('extract')])).toBe(false);
  });

  it.each([
    ['nested', (list: object) => ({ type: 'allowed_tools', allowed_tools: list })],
    ['flat', (list: object) => ({ type: 'allowed_tools', ...list })],
  ])('a list of allowed tools (%s): ours are added, and nothing is demanded yet', (_, form) => {
    const auto = handOver({ tool_choice: form({ mode: 'auto', tools: [extract] }) });
    const added = [extract, ...ours.map(tool)];
    expect(auto.opening).toEqual({ tool_choice: form({ mode: 'auto', tools: added }) });
    expect(auto.isMet([])).toBe(true);
    expect(auto.isMet([call('extract')])).toBe(true);
    expect(auto.isMet([call('bash')])).toBe(false);
    const must = handOver({ tool_choice: form({ mode: 'required', tools: [extract] }) });
    expect(must.opening).toEqual(auto.opening);
    expect(must.isMet([])).toBe(false);
    expect(must.isMet([call('extract')])).toBe(true);
  });

  it('the old form by name, which no tool call ever answers', () => {
    const { opening, isMet } = handOver({ function_call: { name: 'extract' } });
    expect(opening).toEqual({ function_call: 'auto' });
    expect(isMet([call('extract')])).toBe(false);
  });

  it.each([{ type: 'allowed_tools' }, { type: 'allowed_tools', allowed_tools: 7 }, 'odd', 7, []])(
    'a choice that nobody knows (%j) is taken for one that is not ours',
    (choice) => {
      expect(asked({ tool_choice: choice }).kind).toBe('before');
    },
  );
});
