import { expect, it } from 'vitest';
import { argumentsOf, inputOf, isWholeInput } from './tool-input.ts';

it.each([
  '{"id":12345678901234567890,"share":1.0,"in":[{"n":1e3}]}',
  '{"__proto__":1,"2":"b","a":"é"}',
])('%s keeps its digits, there and back', (args) => {
  expect(argumentsOf(inputOf(args))).toBe(
    args === '{"__proto__":1,"2":"b","a":"é"}' ? '{"2":"b","__proto__":1,"a":"é"}' : args,
  );
});

it.each<[string, object]>([
  ['{"a":1}', { a: 1 }],
  [' ', {}],
  ['"{\\"a\\":1}"', { a: 1 }],
  ['[1]', { arguments_text: '[1]' }],
  ['{"a":', { arguments_text: '{"a":' }],
  ['null', { arguments_text: 'null' }],
  ['{},{}', { arguments_text: '{},{}' }],
])('%j is the input %j', (args, input) => {
  expect(inputOf(args)).toEqual(input);
});

it.each(['[1]', 'ls -la', '{"a":', '{"arguments_text":1}'])('%j comes back as it was', (args) => {
  expect(argumentsOf(inputOf(args))).toBe(args);
});

it('what Claude Code could not read goes back as the model wrote it, if all of it is there', () => {
  const unread = (raw: string, len: number): object => ({ __unparsedToolInput: { raw, len } });
  expect(argumentsOf(unread('{"a": "b', 8))).toBe('{"a": "b');
  expect(argumentsOf(unread('{"a": "b', 9))).toBe(JSON.stringify(unread('{"a": "b', 9)));
});

it.each<[string, boolean]>([
  ['{"a":{}}', true],
  ['{"a":{}', false],
  ['{"a":"}', false],
  ['', false],
  ['[{}]', false],
])('%j is whole: %j', (args, isWhole) => {
  expect(isWholeInput(args)).toBe(isWhole);
});
