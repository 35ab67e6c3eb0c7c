import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BitLines } from '../../src/search/automaton/bit-lines.ts';
import { bestOf, requiredLiterals, type Literal } from '../../src/search/pattern/literals.ts';
import { compileBytes } from '../../src/search/automaton/nfa.ts';
import { parsePattern } from '../../src/search/pattern/pattern.ts';
import { layOutLiterals } from '../../src/search/automaton/prefilter.ts';
import { gramRowsOf } from '../../src/search/index/gram-hash.ts';
import { LineDfa } from '../../src/search/automaton/line-dfa.ts';
import { openScanMemory } from '../../src/search/text/scan-memory.ts';
import { searchCase } from './search-arbitraries.ts';
import {
  blockGramsTwin,
  countTextTwin,
  lineStartBeforeTwin,
  literalLinesTwin,
  nextNewlineTwin,
  scanLinesTwin,
} from '../../src/kernels/kernels-twins.ts';

const memory = openScanMemory();
const { kernels, bytes, textAt, hitsAt } = memory;

const words = [
  'a',
  'B',
  'needle',
  'NEEDLE',
  'nee',
  'x1',
  ' ',
  '\n',
  '\n',
  'é',
  '中文',
  '😀',
  'foo bar ',
];
const text = fc
  .array(fc.constantFrom(...words), { maxLength: 400, size: 'max' })
  .map((parts) => Buffer.from(`${parts.join('')}\n`));

function put(content: Buffer): number {
  bytes.set(content, textAt);
  return textAt + content.length;
}

test('the embedded module is made from the sources beside it', async () => {
  const compiler = new URL('../../src/kernels/assembly/compile.ts', import.meta.url).href;
  const { compileKernels } = (await import(compiler)) as { compileKernels: () => Promise<string> };
  const embedded = readFileSync(
    new URL('../../src/kernels/kernels-wasm.ts', import.meta.url),
    'utf8',
  );
  expect(embedded).toBe(await compileKernels());
});

test('counting and jumping', () => {
  fc.assert(
    fc.property(text, fc.nat(), fc.nat(), (content, a, b) => {
      const end = put(content);
      const at = textAt + (a % content.length);
      const to = at + (b % (end - at + 1));
      expect({ newlines: kernels.countText(at, to), chars: kernels.countedChars.value }).toEqual(
        countTextTwin(bytes, at, to),
      );
      expect(kernels.nextNewline(at, to)).toBe(nextNewlineTwin(bytes, at, to));
      expect(kernels.lineStartBefore(at, to)).toBe(lineStartBeforeTwin(bytes, at, to));
    }),
    { numRuns: 100 },
  );
});

test('walking lines, one range and four at a time', () => {
  const found = parsePattern('ne+d|[^\\x00-\\x7f]\\d?b|^x.*o$', true);
  if (!('pattern' in found)) throw new Error(found.problem);
  const { nfa } = compileBytes(found.pattern.root, { newlines: false, coarse: false })!;
  const slot = memory.slots[0]!;
  const dfa = new LineDfa(nfa, memory, slot, () => false);
  fc.assert(
    fc.property(text, (content) => {
      const end = put(content);
      // Twice: the first scan learns the transitions that the second one and the twin then know.
      dfa.scan(textAt, end);
      const count = dfa.scan(textAt, end);
      const hits = [...new Uint32Array(kernels.memory.buffer, hitsAt, count)];
      const table = { state: dfa.start, classes: slot.classesAt, start: dfa.start };
      const twin = scanLinesTwin(bytes, textAt, end, table);
      expect([hits, false]).toEqual([twin.hits, twin.unknown]);
    }),
    { numRuns: 300 },
  );
});

test('a set of positions finds the lines that the table of states finds', () => {
  let compared = 0;
  fc.assert(
    fc.property(searchCase, ({ text: content, patterns, caseSensitive }) => {
      const end = put(Buffer.from(`${content}\n`));
      for (const source of patterns) {
        const found = parsePattern(source, !caseSensitive);
        if (!('pattern' in found) || found.pattern.irregular) continue;
        const nfa = compileBytes(found.pattern.root, { newlines: false, coarse: true })?.nfa;
        const bits = nfa && BitLines.create(nfa, memory, memory.slots[2]!);
        if (nfa === undefined || bits === undefined) continue;
        const starts = (count: number): readonly number[] =>
          Array.from(new Uint32Array(kernels.memory.buffer, hitsAt, count), (hit) =>
            kernels.lineStartBefore(textAt, hit),
          );
        const table = new LineDfa(nfa, memory, memory.slots[3]!, () => false);
        const expected = starts(table.scan(textAt, end));
        expect([source, starts(bits.scan(textAt, end))]).toEqual([source, expected]);
        compared++;
      }
    }),
    { numRuns: 40 },
  );
  expect(compared).toBeGreaterThan(200);
});

const literal: fc.Arbitrary<Literal> = fc
  .tuple(
    fc.constantFrom('needle', 'nee', 'e', 'x1 ', '中', 'e文', '😀é', 'o b', 'foo bar foo'),
    fc.boolean(),
  )
  .map(([own, anyCase]) => ({ text: own, anyCase }));

test('finding lines by one literal and by several', () => {
  fc.assert(
    fc.property(text, fc.array(literal, { minLength: 1, maxLength: 20 }), (content, literals) => {
      const end = put(content);
      const spec = layOutLiterals(memory, memory.slots[1]!, literals, false)!;
      expect(kernels.literalLines(textAt, end, spec, 0, 0, hitsAt)).toBe(0);
      const count = (kernels.literalHits.value - hitsAt) / 4;
      const hits = [...new Uint32Array(kernels.memory.buffer, hitsAt, count)];
      const lines = hits.map((hit) => lineStartBeforeTwin(bytes, textAt, hit));
      expect(lines).toEqual(literalLinesTwin(bytes, textAt, end, literals));
    }),
    { numRuns: 500 },
  );
});

test('bitmaps of a block, and 64 of them turned over', () => {
  const { indexAt } = memory;
  const contents = fc.sample(text, { numRuns: 64, seed: 7 });
  const bits = contents.map((content, block) => {
    const end = put(content);
    kernels.blockGrams(textAt, end, indexAt.scratch, indexAt.bitmaps + 6_144 * block);
    return blockGramsTwin(content);
  });
  kernels.transposeBitmaps(indexAt.bitmaps, indexAt.columns, indexAt.scratch);
  const columns = new BigUint64Array(kernels.memory.buffer, indexAt.columns, 49_152);
  const wrong: number[] = [];
  for (let row = 0; row < 49_152; row++) {
    let wanted = 0n;
    for (const [block, own] of bits.entries()) if (own.has(row)) wanted |= 1n << BigInt(block);
    if (columns[row] !== wanted) wrong.push(row);
  }
  expect(wrong).toEqual([]);
  for (const row of gramRowsOf(contents[5]!)) expect(bits[5]!.has(row)).toBe(true);
});

test('what a pattern requires is chosen by rarity', () => {
  const required = (source: string): unknown => {
    const found = parsePattern(source, false);
    return 'pattern' in found ? bestOf(requiredLiterals(found.pattern.root)) : found.problem;
  };
  const exact = (own: string): Literal => ({ text: own, anyCase: false });
  expect(required('createHash\\(.*sha256')).toEqual([exact('createHash(')]);
  expect(required('foo|bar')).toEqual([exact('foo'), exact('bar')]);
  expect(required('(?i)foo')).toEqual([{ text: 'foo', anyCase: true }]);
  expect(required('\\w+@\\w+')).toEqual([exact('@')]);
  expect(required('co?r')).toEqual([exact('cor'), exact('cr')]);
  expect(required('a*b*')).toBeUndefined();
  expect(required('(?<!x)needle(?!y)')).toEqual([exact('needle')]);
  expect(required('(?:ab){2}c')).toEqual([exact('ababc')]);
});
