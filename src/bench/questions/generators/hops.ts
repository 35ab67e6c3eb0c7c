import { questionHead, type BenchQuestion, type CaseGenerator } from '../cases.ts';
import { haystack, type Insert } from '../haystack.ts';
import { Random } from '../../random.ts';
import { answerForm, scoreExact } from '../scoring.ts';

/** Length of each chain that is asked about, assignments. */
const chainLengths = [2, 5, 10, 25];

/** Chains nobody asks about. */
const idleChains = 40;

/**
 * Chains of assignments strewn over logs, in any order: what is the value at the end? Each variable
 * is set once.
 */
export const generateHops: CaseGenerator = (seed, sizeChars) => {
  const random = new Random(seed, 5);
  const names = new Set<string>();
  const fresh = (): string => {
    for (;;) {
      const name = `var_${random.hex().slice(0, 6)}`;
      if (names.has(name)) continue;
      names.add(name);
      return name;
    }
  };
  const inserts: Insert[] = [];
  const chain = (length: number): { readonly last: string; readonly value: string } => {
    const value = String(random.between(10_000_000, 99_999_999));
    let from = value;
    for (let step = 0; step < length; step += 1) {
      const name = fresh();
      inserts.push({ depth: random.bits() / 2 ** 32, line: `config: assign ${name} := ${from}` });
      from = name;
    }
    return { last: from, value };
  };
  for (let index = 0; index < idleChains; index += 1) chain(random.between(1, 8));
  const questions = chainLengths.map((length): BenchQuestion => {
    const { last, value } = chain(length);
    return {
      id: `hops-${length}`,
      question: `${questionHead('hops')} The stored logs hold lines "assign NAME := VALUE", where VALUE is a number or another NAME. What number does ${last} come to? ${answerForm}.`,
      expected: value,
      scriptable: true,
      score: (answer) => scoreExact(answer, value),
    };
  });
  return { documents: haystack(seed, sizeChars, { inserts, name: 'hops' }), questions };
};
