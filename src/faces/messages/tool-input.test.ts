import { expect, it } from 'vitest';
import { argumentsOf, inputOf, isWholeInput } from './tool-input.ts';

it.each<[string, object]>([
  ['{"a":1}', { a: 1 }],
  [' ', {}],
  ['"{\\"a\\":1}"', { a: 1 }],
  ['[1]', { arguments_text: '[1]' }],
  ['{"a":', { arguments_text: '{"a":' }],
  ['null', { arguments_text: 'null' }],
])('%j is the input %j', (args, input) => {
  expect(inputOf(args)).toEqual(input);
});

it.each(['[1]', 'ls -la', '{"a":', '{"arguments_text":1}'])('%j comes back as it was', (args) => {
  expect(argumentsOf(inputOf(args))).toBe(args);
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
