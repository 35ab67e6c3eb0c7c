import type { BenchQuestion } from '../../cases.ts';
import type { Random } from '../../../random.ts';
import { exactQuestion } from './real-question.ts';
import type { RealText } from './real-texts.ts';

/** Facts that are asked for and in no text. */
export const absentQuestions = 200;

/** Facts of each kind that are asked for in the same words and are in one text. */
const presentQuestions = 5;

/** One kind of fact that stands in a text or does not. */
interface Fact {
  readonly id: string;
  readonly texts: readonly RealText[];
  /** What is asked for, captured. */
  readonly pattern: RegExp;
  /** One that no text has: drawn, and looked for before it is asked for. */
  readonly draw: () => string;
  readonly question: (what: string) => string;
}

/**
 * Questions about what is in no text, which are answered right only by "not found"; and in the same
 * words about what is in one, so that whoever always says that is not right.
 */
export function absenceQuestions(
  texts: Readonly<Record<'changelogs' | 'mails' | 'sources', readonly RealText[]>>,
  random: Random,
): readonly BenchQuestion[] {
  const facts = factsOf(texts, random).filter((fact) => fact.texts.length > 0);
  const known = facts.map((fact) => placesOf(fact));
  const present = facts.flatMap((fact, at) => {
    const once = [...(known[at] ?? [])].filter(([, paths]) => paths.size === 1);
    return random
      .sample(once, presentQuestions)
      .map(([what, paths], number) =>
        exactQuestion(`${fact.id}-${number + 1}`, fact.question(what), [...paths][0] ?? ''),
      );
  });
  const absent = Array.from({ length: facts.length === 0 ? 0 : absentQuestions }, (_, at) => {
    const fact = facts[at % facts.length] as Fact;
    let what = fact.draw();
    while (known[at % facts.length]?.has(what) === true) what = fact.draw();
    return exactQuestion(`absent-${at + 1}`, fact.question(what), 'not found');
  });
  return [...present, ...absent];
}

function factsOf(
  {
    changelogs,
    mails,
    sources,
  }: Readonly<Record<'changelogs' | 'mails' | 'sources', readonly RealText[]>>,
  random: Random,
): readonly Fact[] {
  const ending = 'Give its path. Say "not found" if there is none.';
  return [
    {
      id: 'bug',
      texts: changelogs,
      pattern: /#(\d{5,8})(?!\d)/g,
      draw: () => String(random.between(1_200_000, 99_999_999)),
      question: (what) => `Which changelog names bug #${what}? ${ending}`,
    },
    {
      id: 'mail-id',
      texts: mails,
      pattern: /<([\w.$%+-]+@[\w.-]+)>/g,
      draw: () =>
        `2002${random.between(1000, 9999)}.${random.hex().toUpperCase()}@mail${random.below(100)}.example.net`,
      question: (what) => `Which mail contains <${what}>? ${ending}`,
    },
    {
      id: 'define',
      texts: sources.filter(({ path }) => /\.(?:py|h|hpp)$/.test(path)),
      pattern: /\n[ \t]*(?:def|#define) (\w+)/g,
      draw: () => `get_${random.pick(['user', 'next', 'file', 'default'])}_${random.hex()}`,
      question: (what) =>
        `Which file ending in .py, .h or .hpp has a line that begins, after blanks, with def or #define and then ${what}? ${ending}`,
    },
  ];
}

/** Every fact of a kind, with the paths of the texts that have it. */
function placesOf({ texts, pattern }: Fact): ReadonlyMap<string, ReadonlySet<string>> {
  const places = new Map<string, Set<string>>();
  for (const { path, read } of texts)
    for (const [, what = ''] of `\n${read()}`.matchAll(pattern))
      places.set(what, (places.get(what) ?? new Set()).add(path));
  return places;
}
