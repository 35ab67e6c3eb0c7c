import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  questionHead,
  type BenchCase,
  type BenchDocument,
  type BenchQuestion,
  type CaseGenerator,
} from '../../cases.ts';
import { Random } from '../../../random.ts';
import { answerForm, finalAnswer, itemsOf, scoreExact, scoreNumber, scoreSet } from '../../scoring.ts';

/** Where a Debian machine keeps what the questions are about. */
export interface RealFolders {
  /** Changelogs of installed packages: `<package>/changelog*`, some of them gzipped. */
  readonly docs: string;
  /** The index of installed packages, with what each depends on. */
  readonly packages: string;
  /** The index of all packages that can be installed, some 50M characters; empty where unknown. */
  readonly available?: () => string;
}

/** Those of this machine. */
const machine: RealFolders = {
  docs: '/usr/share/doc',
  packages: '/var/lib/dpkg/status',
  available: () =>
    spawnSync('apt-cache', ['dumpavail'], { encoding: 'utf8', maxBuffer: 500_000_000 }).stdout ??
    '',
};

/** From this size on the whole index is asked about, and not only that of installed packages. */
const minWholeIndexChars = 50_000_000;

/** Steps of a search through the dependencies. */
const graphDepth = 6;

/** Facts that are asked for and in no text. */
export const absentQuestions = 200;

/** People and pairs are asked for among so many, those who signed the most. */
const topPeople = 25;

/** Entries of a changelog that can be asked for by number. */
const askedEntry = 3;

/** How a changelog begins an entry: package, version, distribution, urgency. */
export const heading = /^([a-z0-9][a-z0-9.+-]*) \(([^)]+)\) [^;]+;.*urgency=(\w+)/;

/** How it ends one: who, and when. */
export const signature = /^ -- (.+?) <[^>]*> {1,2}\w{3}, +\d{1,2} (\w{3} \d{4})/;

/** What the texts say, found without the product: every line is looked at. */
interface Truth {
  readonly urgencies: Map<string, number>;
  readonly people: Map<string, number>;
  readonly months: Map<string, number>;
  /** Changelogs in which a person has signed an entry. */
  readonly signedIn: Map<string, Set<string>>;
  /** Versions of a package, in the order of its changelog. */
  readonly versions: Map<string, string[]>;
}

/**
 * Cases over texts that people wrote: the changelogs of the packages installed on a Debian machine,
 * some 140M characters of them on a developer's, and the package index as a graph. The same machine
 * gives the same case; the seed chooses what is asked.
 */
export const generateReal: CaseGenerator = (seed, sizeChars) => realCase(machine, seed, sizeChars);

/** The same over other folders. @throws Error where there are none of these files */
export function realCase(folders: RealFolders, seed: number, sizeChars: number): BenchCase {
  const random = new Random(seed, 7);
  const changelogs = changelogsOf(folders.docs, sizeChars);
  const index = indexOf(folders, sizeChars);
  if (changelogs.length === 0 || index === '')
    throw new Error(`bench real needs a Debian machine: ${folders.docs}, ${folders.packages}`);
  const truth = truthOf(changelogs);
  const graph = graphOf(index);
  return {
    documents: [...changelogs.map(documentOf), { path: 'dpkg/status', chunks: () => [index] }],
    questions: [
      ...countQuestions(truth, random),
      pairQuestion(truth),
      versionQuestion(truth, random),
      ...graphQuestions(graph, random),
      ...Array.from({ length: absentQuestions }, (_, at) => absentQuestion(at, random)),
    ],
  };
}

/** The package index: the whole one, if it is not larger than all that is asked for. */
function indexOf({ packages, available }: RealFolders, sizeChars: number): string {
  const whole = sizeChars >= minWholeIndexChars ? (available?.() ?? '') : '';
  if (whole !== '') return whole;
  return existsSync(packages) ? readFileSync(packages, 'utf8') : '';
}

interface Changelog {
  readonly path: string;
  readonly text: string;
}

function documentOf({ path, text }: Changelog): BenchDocument {
  return { path, isSmall: text.length < 1_000_000, chunks: () => [text] };
}

/** Changelogs up to so many characters, each text once, in the order of their packages. */
function changelogsOf(docs: string, sizeChars: number): readonly Changelog[] {
  // Packages share files, and the same text is one entry in the store.
  const seen = new Set<string>();
  const found: Changelog[] = [];
  let total = 0;
  for (const folder of existsSync(docs) ? readdirSync(docs).toSorted() : []) {
    if (total >= sizeChars) break;
    for (const name of namesIn(join(docs, folder))) {
      const text = textOf(join(docs, folder, name));
      if (seen.has(text) || text === '' || total + text.length > sizeChars * 1.1) continue;
      seen.add(text);
      total += text.length;
      found.push({ path: `${folder}/${name.replace(/\.gz$/, '')}`, text });
    }
  }
  return found;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.startsWith('changelog'))
      .map(({ name }) => name)
      .toSorted();
  } catch {
    // A file, or a link that leads nowhere.
    return [];
  }
}

function textOf(path: string): string {
  const bytes = readFileSync(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function truthOf(changelogs: readonly Changelog[]): Truth {
  const truth: Truth = {
    urgencies: new Map(),
    people: new Map(),
    months: new Map(),
    signedIn: new Map(),
    versions: new Map(),
  };
  for (const { path, text } of changelogs) {
    for (const line of text.split('\n')) {
      const [, name = '', version = '', urgency = ''] = heading.exec(line) ?? [];
      if (name !== '') {
        add(truth.urgencies, urgency);
        truth.versions.set(name, [...(truth.versions.get(name) ?? []), version]);
      }
      const [, person = '', month = ''] = signature.exec(line) ?? [];
      if (person === '') continue;
      add(truth.people, person);
      add(truth.months, month);
      const changelogsOfPerson = truth.signedIn.get(person) ?? new Set();
      truth.signedIn.set(person, changelogsOfPerson.add(path));
    }
  }
  return truth;
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Of several with the same count the first by name, so that the answer is one. */
function ranked(counts: ReadonlyMap<string, number>): readonly string[] {
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([key]) => key);
}

function countQuestions(truth: Truth, random: Random): readonly BenchQuestion[] {
  const urgency = random.pick(ranked(truth.urgencies));
  const count = truth.urgencies.get(urgency) ?? 0;
  const [person = ''] = ranked(truth.people);
  const [month = ''] = ranked(truth.months);
  const ties = 'Of several, the first by name.';
  return [
    {
      ...asked('count', `How many changelog entries have the urgency ${urgency}?`),
      expected: String(count),
      score: (answer) => (scoreNumber(answer, count) === 1 ? 1 : 0),
    },
    {
      ...asked('person', `Who has signed the most changelog entries? ${ties} Give the name.`),
      expected: person,
      score: (answer) => (finalAnswer(answer) === person ? 1 : 0),
    },
    {
      ...asked('month', `In which month were most entries signed? ${ties} As in "Jan 2023".`),
      expected: month,
      score: (answer) => scoreExact(answer, month),
    },
  ];
}

/** Pairs of people who share changelogs: work that grows with the square of the people. */
function pairQuestion({ people, signedIn }: Truth): BenchQuestion {
  const names = ranked(people).slice(0, topPeople);
  const shared = (a: string, b: string): number =>
    [...(signedIn.get(a) ?? [])].filter((path) => signedIn.get(b)?.has(path)).length;
  const pairs = names.flatMap((first, at) =>
    names.slice(at + 1).map((second) => ({ first, second, count: shared(first, second) })),
  );
  const least = pairs.map(({ count }) => count).sort((a, b) => b - a)[topPeople] ?? 1;
  const wanted = new Set(
    pairs
      .filter(({ count }) => count >= Math.max(1, least))
      .map(({ first, second }) => pairOf(first, second)),
  );
  return {
    ...asked(
      'pairs',
      `Take the ${topPeople} people who have signed the most changelog entries (of several with the same count the first by name). Which pairs of them have both signed entries in at least ${Math.max(1, least)} of the same changelog files? Write each pair as <name> + <name>, names in alphabetical order, pairs separated by semicolons.`,
    ),
    expected: [...wanted].join('; '),
    score: (answer) =>
      scoreSet(
        new Set(
          finalAnswer(answer)
            .split(';')
            .map((pair) => pair.trim()),
        ),
        wanted,
      ),
  };
}

function pairOf(first: string, second: string): string {
  return [first, second].toSorted().join(' + ');
}

function versionQuestion({ versions }: Truth, random: Random): BenchQuestion {
  const names = [...versions].filter(([, own]) => own.length > askedEntry).map(([name]) => name);
  const name = random.pick(names.toSorted());
  const version = versions.get(name)?.[askedEntry - 1] ?? '';
  return {
    ...asked(
      'version',
      `Which version does entry number ${askedEntry} from the top describe in the changelog headings of the package ${name}?`,
    ),
    expected: version,
    score: (answer) => (finalAnswer(answer) === version ? 1 : 0),
  };
}

/** What each package depends on, by the index: first choices, without versions. */
function graphOf(index: string): ReadonlyMap<string, readonly string[]> {
  const graph = new Map<string, readonly string[]>();
  for (const paragraph of index.split('\n\n')) {
    const name = /^Package: (\S+)/m.exec(paragraph)?.[1];
    if (name === undefined) continue;
    const depends = /^Depends: (.+)$/m.exec(paragraph)?.[1] ?? '';
    const names = depends.split(',').map((part) => /[a-z0-9][a-z0-9.+-]*/.exec(part)?.[0] ?? '');
    graph.set(name, [...new Set(names.filter((one) => one !== ''))]);
  }
  return graph;
}

function graphQuestions(
  graph: ReadonlyMap<string, readonly string[]>,
  random: Random,
): readonly BenchQuestion[] {
  const start = random.pick([...graph.keys()].filter((name) => (graph.get(name) ?? []).length > 2));
  const reached = new Set([start]);
  let border = [start];
  for (let depth = 0; depth < graphDepth; depth += 1) {
    border = border.flatMap((name) => graph.get(name) ?? []).filter((name) => !reached.has(name));
    for (const name of border) reached.add(name);
  }
  reached.delete(start);
  const target = random.pick([...reached].filter((name) => graph.has(name)).toSorted());
  const parents = new Set([...graph].filter(([, own]) => own.includes(target)).map(([n]) => n));
  return [
    {
      ...asked(
        'reach',
        `In the package index, follow only the first choice of each dependency in "Depends". Which packages are reached from ${start} in at most ${graphDepth} steps? Without ${start}, separated by commas.`,
      ),
      expected: [...reached].join(', '),
      score: (answer) => scoreSet(packagesIn(answer), reached),
    },
    {
      ...asked(
        'parents',
        `In the package index, which packages name ${target} as the first choice of a dependency in "Depends"? Separated by commas.`,
      ),
      expected: [...parents].join(', '),
      score: (answer) => scoreSet(packagesIn(answer), parents),
    },
  ];
}

function packagesIn(answer: string): ReadonlySet<string> {
  return itemsOf(answer, /[a-z0-9][a-z0-9.+-]*/g);
}

/** A fix that nobody made: right is only that all has been searched and nothing found. */
function absentQuestion(at: number, random: Random): BenchQuestion {
  const number = `#${random.between(70_000_000, 99_999_999)}`;
  return {
    ...asked(`absent-${at + 1}`, `Which package closed bug ${number}? Say "not found" if none.`),
    expected: 'not found',
    score: (answer) => (finalAnswer(answer) === 'not found' ? 1 : 0),
  };
}

function asked(
  id: string,
  question: string,
): Pick<BenchQuestion, 'id' | 'question' | 'scriptable'> {
  return { id, question: `${questionHead('real')} ${question} ${answerForm}.`, scriptable: true };
}
