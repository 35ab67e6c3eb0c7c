import type { BenchQuestion } from '../../cases.ts';
import type { Random } from '../../../random.ts';
import { scoreExact } from '../../scoring.ts';
import {
  asked,
  count,
  exactQuestion,
  pairForm,
  pairOf,
  pairsOf,
  ranked,
  setQuestion,
  thresholdFor,
  ties,
  verbatimQuestion,
  withoutBlankEnds,
} from './real-question.ts';
import type { RealText } from './real-texts.ts';

/** People and pairs are asked for among so many, those who signed the most. */
const topPeople = 25;

/** Entries of a changelog that can be asked for by number. */
const askedEntry = 3;

/** So many look-alikes are asked for by their number, and so many there are of each at least. */
const ordinals = { asked: 8, least: 8 };

/** How a changelog begins an entry: package, version, distribution, urgency. */
const heading = /^([a-z0-9][a-z0-9.+-]*) \(([^)]+)\) [^;]+;.*urgency=(\w+)/;

/** How it ends one: who, and when. */
const signature = /^ -- (.+?) <[^>]*> {1,2}\w{3}, +\d{1,2} (\w{3} \d{4})/;

/** One signed entry: what stands between its heading and its signature. */
interface SignedEntry {
  readonly path: string;
  readonly person: string;
  /** As in `Jan 2023`. */
  readonly month: string;
  /** Of the heading before it in the same file; empty where none came since the entry before. */
  readonly urgency: string;
}

/** What the texts say, found without the product: every line is looked at. */
interface Truth {
  readonly urgencies: Map<string, number>;
  readonly people: Map<string, number>;
  readonly months: Map<string, number>;
  /** Versions of a package, in the order of its changelog. */
  readonly versions: Map<string, string[]>;
  /** In the order of the texts. */
  readonly entries: SignedEntry[];
}

/** Questions about changelogs: counts, look-alikes by their number, pairs by joined conditions. */
export function changelogQuestions(
  texts: readonly RealText[],
  random: Random,
): readonly BenchQuestion[] {
  if (texts.length === 0) return [];
  const truth = truthOf(texts);
  return [
    ...countQuestions(truth, random),
    sharedFiles(truth),
    sharedMonths(truth),
    joinedPairs(truth, random),
    ...versionQuestion(truth, random),
    ...ordinalQuestions(truth, texts, random),
  ];
}

function truthOf(texts: readonly RealText[]): Truth {
  const truth: Truth = {
    urgencies: new Map(),
    people: new Map(),
    months: new Map(),
    versions: new Map(),
    entries: [],
  };
  for (const { path, read } of texts) {
    let open = '';
    for (const line of read().split('\n')) {
      const [, name = '', version = '', urgency = ''] = heading.exec(line) ?? [];
      if (name !== '') {
        open = urgency;
        count(truth.urgencies, urgency);
        truth.versions.set(name, [...(truth.versions.get(name) ?? []), version]);
      }
      const [, person = '', month = ''] = signature.exec(line) ?? [];
      if (person === '') continue;
      count(truth.people, person);
      count(truth.months, month);
      truth.entries.push({ path, person, month, urgency: open });
      open = '';
    }
  }
  return truth;
}

function countQuestions(truth: Truth, random: Random): readonly BenchQuestion[] {
  const urgency = random.pick(ranked(truth.urgencies));
  const wanted = truth.urgencies.get(urgency) ?? 0;
  const [person = ''] = ranked(truth.people);
  const [month = ''] = ranked(truth.months);
  return [
    exactQuestion(
      'count',
      `How many changelog entries have the urgency ${urgency}? Give the number.`,
      String(wanted),
    ),
    exactQuestion(
      'person',
      `Who has signed the most changelog entries? ${ties} Give the name.`,
      person,
    ),
    {
      ...asked('month', `In which month were most entries signed? ${ties} As in "Jan 2023".`),
      expected: month,
      score: (answer) => scoreExact(answer, month),
    },
  ];
}

/** How questions choose whom they are about. */
const thePeople = `Take the ${topPeople} people who have signed the most changelog entries (of several with the same count the first by name).`;

/** Pairs of people who share changelogs: work that grows with the square of the people. */
function sharedFiles(truth: Truth): BenchQuestion {
  const { least, pairs } = sharedPairs(truth, ({ path }) => path);
  return setQuestion(
    'pairs',
    `${thePeople} Which pairs of them have both signed entries in at least ${least} of the same changelog files? ${pairForm}`,
    pairs,
  );
}

/** The same by time. */
function sharedMonths(truth: Truth): BenchQuestion {
  const { least, pairs } = sharedPairs(truth, ({ month }) => month);
  return setQuestion(
    'pairs-months',
    `${thePeople} Which pairs of them have both signed entries in at least ${least} of the same months? ${pairForm}`,
    pairs,
  );
}

function sharedPairs(
  { people, entries }: Truth,
  key: (entry: SignedEntry) => string,
): { readonly least: number; readonly pairs: readonly string[] } {
  const keys = new Map<string, Set<string>>();
  for (const entry of entries)
    keys.set(entry.person, (keys.get(entry.person) ?? new Set()).add(key(entry)));
  const counted = pairsOf(ranked(people).slice(0, topPeople)).map(([first, second]) => ({
    pair: pairOf(first, second),
    shared: [...(keys.get(first) ?? [])].filter((one) => keys.get(second)?.has(one)).length,
  }));
  const least = thresholdFor(
    counted.map(({ shared }) => shared),
    topPeople,
  );
  return {
    least,
    pairs: counted.filter(({ shared }) => shared >= least).map(({ pair }) => pair),
  };
}

/**
 * Pairs by a condition over what stands in two lines of an entry: its urgency in the heading, who
 * and when in the signature. One of a pair has enough of one urgency, the other of another.
 */
function joinedPairs({ people, entries, urgencies }: Truth, random: Random): BenchQuestion {
  const names = ranked(people).slice(0, topPeople);
  const [usual = '', ...others] = ranked(urgencies);
  const other = others.length === 0 ? usual : random.pick(others.slice(0, 3));
  const years = entries.map(({ month }) => Number(month.slice(-4))).toSorted((a, b) => a - b);
  const year = years[Math.floor(years.length / 2)] ?? 0;
  const of = (name: string, isOne: (entry: SignedEntry) => boolean): number =>
    entries.filter((entry) => entry.person === name && isOne(entry)).length;
  const late = names.map((name) =>
    of(name, ({ urgency, month }) => urgency === usual && Number(month.slice(-4)) >= year),
  );
  const rare = names.map((name) => of(name, ({ urgency }) => urgency === other));
  const leastLate = thresholdFor(late, Math.ceil(names.length / 2));
  const leastRare = thresholdFor(rare, Math.ceil(names.length / 3));
  const pairs = names.flatMap((first, a) =>
    names.flatMap((second, b) =>
      a !== b && (late[a] ?? 0) >= leastLate && (rare[b] ?? 0) >= leastRare
        ? [pairOf(first, second)]
        : [],
    ),
  );
  return setQuestion(
    'pairs-joined',
    `The urgency of a changelog entry stands in its heading, who signed it and when in the line that begins with " -- " behind it. ${thePeople} Which pairs of them are such that one has signed at least ${leastLate} entries with the urgency ${usual} since the beginning of ${year}, and the other, at any time, at least ${leastRare} with the urgency ${other}? ${pairForm}`,
    pairs,
  );
}

function versionQuestion({ versions }: Truth, random: Random): readonly BenchQuestion[] {
  const names = [...versions].filter(([, own]) => own.length >= askedEntry).map(([name]) => name);
  return random
    .sample(names.toSorted(), 1)
    .map((name) =>
      exactQuestion(
        'version',
        `Which version does entry number ${askedEntry} from the top describe in the changelog headings of the package ${name}?`,
        versions.get(name)?.[askedEntry - 1] ?? '',
      ),
    );
}

/** Entries of one person in one file, asked for by their number: near-identical, and in order. */
function ordinalQuestions(
  { entries }: Truth,
  texts: readonly RealText[],
  random: Random,
): readonly BenchQuestion[] {
  const alike = Map.groupBy(entries, ({ path, person }) => `${path}\n${person}`);
  const many = [...alike.values()].filter(({ length }) => length >= ordinals.least);
  return random.sample(many, ordinals.asked).flatMap((own, at) => {
    const [{ path, person } = { path: '', person: '' }] = own;
    const number = random.between(1, own.length);
    const text = texts.find((one) => one.path === path)?.read() ?? '';
    const changes = changesOf(text, person)[number - 1] ?? '';
    if (own[number - 1]?.urgency === '' || changes === '') return [];
    return [
      verbatimQuestion(
        `ordinal-${at + 1}`,
        `In the changelog ${path}, ${person} has signed ${own.length} entries. Which changes does number ${number} of these describe, counted from the top? They are all lines between the heading of the entry and the line of the signature, which begins with " -- ".`,
        { expected: changes, random },
      ),
    ];
  });
}

/** What the entries that a person has signed say, in their order. */
function changesOf(text: string, person: string): readonly string[] {
  const found: string[] = [];
  let body: string[] = [];
  for (const line of text.split('\n')) {
    if (heading.test(line)) body = [];
    else if (signature.test(line)) {
      if (signature.exec(line)?.[1] === person) found.push(withoutBlankEnds(body.join('\n')));
      body = [];
    } else body.push(line);
  }
  return found;
}
