import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { benchKinds, questionHead, type BenchCase } from '../cases.ts';
import { generators } from './generators.ts';

function textOf(made: BenchCase): string {
  return made.documents.map((document) => [...document.chunks()].join('')).join('');
}

function hashOf(made: BenchCase): string {
  const asked = made.questions.map((one) => [one.id, one.question, one.expected]);
  return createHash('sha256').update(textOf(made)).update(JSON.stringify(asked)).digest('hex');
}

// What the machine has is no function of a seed: `real` has tests of its own.
const generatedKinds = benchKinds.filter((kind) => kind !== 'real');

describe.each(generatedKinds)('%s', (kind) => {
  const generate = generators[kind];

  test('the same seed gives the same case, another seed another', () => {
    const made = generate(11, 60_000);
    expect(hashOf(generate(11, 60_000))).toBe(hashOf(made));
    expect(hashOf(made)).not.toBe(hashOf(generate(12, 60_000)));
    // The texts can be pulled again, in any order.
    expect(textOf(made)).toBe(textOf(made));
  });

  test.each([50_000, 2_000_000])('the size is about what was asked for: %i', (sizeChars) => {
    const text = textOf(generate(3, sizeChars));
    expect(text.length).toBeGreaterThan(sizeChars * 0.9);
    expect(text.length).toBeLessThan(sizeChars * 1.2);
    expect(text.endsWith('\n')).toBe(true);
  });

  test('every question takes its own answer, and no empty one', () => {
    for (const seed of [1, 2, 3, 4]) {
      const { questions } = generate(seed, 60_000);
      expect(new Set(questions.map((one) => one.id)).size).toBe(questions.length);
      for (const one of questions) {
        expect(one.question).toContain(questionHead(kind));
        expect(one.expected).not.toBe('');
        expect(one.score(`Some words. ANSWER: ${one.expected}`)).toBe(1);
        expect(one.score('I do not know.')).toBe(0);
      }
    }
  });
});

test('needles stand once in the text; look-alikes of the key beside them', () => {
  const made = generators.niah(9, 200_000);
  const lines = textOf(made).split('\n');
  const single = made.questions.find((one) => one.id === 'single');
  expect(lines.filter((line) => line.includes(`is ${single?.expected}.`)).length).toBe(1);
  const alike = made.questions.find((one) => one.id === 'distractors');
  const key = /project (\S+)\?/.exec(alike?.question ?? '')?.[1] ?? '';
  const near = lines.filter(
    (line) =>
      line.startsWith('The access code of project') && line.includes(key.split('-')[0] ?? ''),
  );
  expect(near.length).toBeGreaterThan(60);
  expect(near.filter((line) => line.includes(`project ${key} is`)).length).toBe(1);
});

test('a paraphrased question shares no telling word with its needle', () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const made = generators.niah(seed, 20_000);
    const one = made.questions.find(({ id }) => id === 'paraphrased');
    const needle =
      textOf(made)
        .split('\n')
        .find((line) => line.includes(one?.expected ?? '?')) ?? '';
    const words = (text: string): Set<string> => new Set(text.toLowerCase().match(/[a-z]{5,}/g));
    const asked = words((one?.question ?? '').split('?')[0] ?? '');
    expect([...words(needle)].filter((word) => asked.has(word))).toEqual([]);
    expect(one?.scriptable).toBe(false);
  }
});

test('the answers of the call graph are those of the text', () => {
  const made = generators.codeqa(4, 100_000);
  const bodies = new Map<string, readonly string[]>();
  for (const [, name = '', body = ''] of textOf(made).matchAll(
    /export function (\w+)\([\s\S]*?\{\n([\s\S]*?)\n\}\n/g,
  ))
    bodies.set(
      name,
      [...body.matchAll(/= (\w+)\(input/g)].map((found) => found[1] ?? ''),
    );
  const callers = made.questions.find(({ id }) => id === 'callers');
  const called = /call (\w+) directly/.exec(callers?.question ?? '')?.[1] ?? '';
  const found = [...bodies].filter(([, calls]) => calls.includes(called)).map(([name]) => name);
  expect(found.length).toBeGreaterThan(0);
  expect(callers?.score(`ANSWER: ${found.join(', ')}`)).toBe(1);
});
