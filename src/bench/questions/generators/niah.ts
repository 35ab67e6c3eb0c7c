import { questionHead, type BenchQuestion, type CaseGenerator } from '../cases.ts';
import { haystack, type Insert } from '../haystack.ts';
import { Random } from '../../random.ts';
import { answerForm, itemsOf, scoreExact, scoreSet } from '../scoring.ts';

const names = [
  'Amber',
  'Basalt',
  'Cobalt',
  'Dahlia',
  'Ember',
  'Falcon',
  'Garnet',
  'Hazel',
  'Indigo',
  'Juniper',
  'Krypton',
  'Lotus',
  'Magnet',
  'Nectar',
  'Onyx',
  'Pepper',
];

/** Places as a needle names them, and as its question does: no word in common. */
const paraphrases = [
  ['the Lisbon greenhouse', "the glass house for plants in Portugal's capital"],
  ['the Oslo boathouse', "the shed for small craft in Norway's capital"],
  ['the Kyoto tearoom', "the place for a hot drink in Japan's old imperial city"],
  ['the Cairo bakery', 'the shop for bread beside the Nile'],
  ['the Lima bookshop', "the seller of novels in Peru's capital"],
  ['the Vienna cellar', "the underground store in Austria's capital"],
] as const;

const otherNeedles = 8;
const lookAlikes = 60;

/**
 * Needles in a haystack: one; one of several keys; several values of one key; among
 * near-duplicates; and one whose question shares no word with it. Each needle is a six-digit code
 * at a random depth.
 */
export const generateNiah: CaseGenerator = (seed, sizeChars) => {
  const random = new Random(seed, 1);
  const codes = new Set<string>();
  const code = (): string => {
    for (;;) {
      const drawn = String(random.between(100_000, 999_999));
      if (codes.has(drawn)) continue;
      codes.add(drawn);
      return drawn;
    }
  };
  const inserts: Insert[] = [];
  const hide = (line: string): void => {
    inserts.push({ depth: random.bits() / 2 ** 32, line });
  };
  const [single = '', multi = '', double = '', alike = ''] = random.sample(names, 4);
  const questions: BenchQuestion[] = [];

  const secret = code();
  hide(needle(`${single}-1`, secret));
  questions.push(ask('single', `${single}-1`, secret));

  const keys = Array.from({ length: otherNeedles }, (_, index) => ({
    key: `${multi}-${index + 1}`,
    code: code(),
  }));
  for (const one of keys) hide(needle(one.key, one.code));
  const wanted = random.pick(keys);
  questions.push(
    ask(
      'multi-key',
      wanted.key,
      wanted.code,
      keys.map((one) => one.code),
    ),
  );

  const values = Array.from({ length: 4 }, code);
  for (const value of values) hide(needle(`${double}-1`, value));
  questions.push(askAllOf(`${double}-1`, values));

  const target = `${alike}-${random.between(10, 99)}`;
  const answer = code();
  hide(needle(target, answer));
  const wrong = Array.from({ length: lookAlikes }, (_, index) => {
    const other = code();
    hide(needle(lookAlike(target, index), other));
    return other;
  });
  questions.push(ask('distractors', target, answer, wrong));

  const [place, described] = random.pick(paraphrases);
  const opens = code();
  hide(`Anyone who wants into ${place} has to dial ${opens} on the brass plate.`);
  questions.push({
    id: 'paraphrased',
    question: `${questionHead('niah')} Which digits open the door of ${described}? ${answerForm}.`,
    expected: opens,
    scriptable: false,
    score: (given) => scoreExact(given, opens),
  });
  return { documents: haystack(seed, sizeChars, { inserts, name: 'niah' }), questions };
};

function needle(key: string, value: string): string {
  return `The access code of project ${key} is ${value}.`;
}

/** The same template with an entity that differs in a character or two. */
function lookAlike(key: string, index: number): string {
  const kinds = [
    `${key}${index}`,
    `${key}-${index}`,
    `${key.slice(0, -1)}${index}x`,
    `${index}${key}`,
    `${key}b${index}`,
  ];
  return kinds[index % kinds.length] as string;
}

function ask(
  id: string,
  key: string,
  expected: string,
  wrong: readonly string[] = [],
): BenchQuestion {
  return {
    id,
    question: `${questionHead('niah')} What is the access code of project ${key}? ${answerForm}.`,
    expected,
    scriptable: true,
    score: (given) => scoreExact(given, expected, wrong),
  };
}

function askAllOf(key: string, values: readonly string[]): BenchQuestion {
  return {
    id: 'multi-value',
    question: `${questionHead('niah')} Project ${key} has several access codes. List all of them. ${answerForm}, separated by commas.`,
    expected: values.join(', '),
    scriptable: true,
    score: (given) => scoreSet(itemsOf(given, /\b\d{6}\b/g), new Set(values)),
  };
}
