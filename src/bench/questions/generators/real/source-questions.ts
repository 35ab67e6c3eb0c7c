import { dirname } from 'node:path/posix';
import type { BenchQuestion } from '../../cases.ts';
import type { Random } from '../../../random.ts';
import {
  count,
  pairForm,
  pairOf,
  pairsOf,
  setQuestion,
  verbatimQuestion,
} from './real-question.ts';
import type { RealText } from './real-texts.ts';

/** How a language says what the questions ask for. */
interface Language {
  /** Part of the questions' ids. */
  readonly id: string;
  readonly endings: readonly string[];
  /** How a definition begins, its name captured; what stands before the name begins the line. */
  readonly defines: RegExp;
  /** The words before and behind a defined name. */
  readonly definition: readonly [string, string];
  /** A file that names another, that one captured, and the words around the name. */
  readonly uses: RegExp;
  readonly usage: readonly [string, string];
}

const languages: readonly Language[] = [
  {
    id: 'python',
    endings: ['.py'],
    defines: /^[ \t]*def (\w+)\(/,
    definition: ['def ', '('],
    uses: /from ([\w.]+) import /g,
    usage: ['from ', ' import '],
  },
  {
    id: 'c',
    endings: ['.h', '.hpp'],
    defines: /^[ \t]*#define (\w+) /,
    definition: ['#define ', ' '],
    uses: /#include <([\w/.+-]+)>/g,
    usage: ['#include <', '>'],
  },
  {
    id: 'perl',
    endings: ['.pm', '.pl'],
    defines: /^[ \t]*sub (\w+) \{/,
    definition: ['sub ', ' {'],
    uses: /use ([A-Z][\w:]*);/g,
    usage: ['use ', ';'],
  },
  {
    id: 'javascript',
    endings: ['.js', '.mjs', '.cjs'],
    defines: /^[ \t]*function (\w+)\(/,
    definition: ['function ', '('],
    uses: /require\('([\w@/.:-]+)'\)/g,
    usage: ["require('", "')"],
  },
];

/** A name that is asked for is defined in so many files. */
const definedIn = { least: 3, most: 40 };

/** So many folders use both of two things: their pairs are neither none nor endless. */
const bothIn = { least: 4, most: 25 };

/** So many look-alikes are asked for by their number, and so many there are in a file at least. */
const ordinals = { asked: 2, least: 8 };

/** Lines of a text that is asked for word for word. */
const askedLines = 5;

/** Longer lines are shown in part where they are found, characters. */
const maxLineChars = 200;

/** Questions about source trees: where things are defined, which folders use what, look-alikes. */
export function sourceQuestions(
  texts: readonly RealText[],
  random: Random,
): readonly BenchQuestion[] {
  return languages.flatMap((language) => {
    const { endings } = language;
    const own = texts.filter(({ path }) => endings.some((ending) => path.endsWith(ending)));
    return own.length === 0 ? [] : languageQuestions(language, own, random);
  });
}

function languageQuestions(
  language: Language,
  texts: readonly RealText[],
  random: Random,
): readonly BenchQuestion[] {
  const { id, defines, uses, endings } = language;
  const files = `whose path ends in ${endings.join(' or ')}`;
  const definitions = new Map<string, Set<string>>();
  const definitionsOf = new Map<string, number>();
  const usages = new Map<string, Set<string>>();
  for (const { path, read } of texts) {
    const text = read();
    for (const line of text.split('\n')) {
      const name = defines.exec(line)?.[1];
      if (name === undefined) continue;
      definitions.set(name, (definitions.get(name) ?? new Set()).add(path));
      count(definitionsOf, path);
    }
    for (const [, name = ''] of text.matchAll(uses))
      usages.set(name, (usages.get(name) ?? new Set()).add(dirname(path)));
  }
  return [
    ...definitionQuestion({ language, files, definitions }, random),
    ...pairQuestion({ language, files, usages, texts }, random),
    ...random
      .sample(
        [...definitionsOf].filter(([, found]) => found >= ordinals.least),
        ordinals.asked,
      )
      .flatMap(([path], at) => {
        const text = texts.find((one) => one.path === path)?.read() ?? '';
        return ordinalQuestion(`${id}-ordinal-${at + 1}`, { language, path, text }, random);
      }),
  ];
}

function definitionQuestion(
  {
    language: { id, definition },
    files,
    definitions,
  }: {
    readonly language: Language;
    readonly files: string;
    readonly definitions: ReadonlyMap<string, ReadonlySet<string>>;
  },
  random: Random,
): readonly BenchQuestion[] {
  const names = [...definitions]
    .filter(([, { size }]) => size >= definedIn.least && size <= definedIn.most)
    .map(([name]) => name);
  return random
    .sample(names.toSorted(), 1)
    .map((name) =>
      setQuestion(
        `${id}-definitions`,
        `Of the files ${files}: which hold a line that begins, after blanks, with \`${definition.join(name)}\`? Give their paths.`,
        definitions.get(name) ?? [],
      ),
    );
}

/** Folders that meet two conditions, which stand in different files of theirs. */
function pairQuestion(
  {
    language: { id, usage },
    files,
    usages,
    texts,
  }: {
    readonly language: Language;
    readonly files: string;
    readonly usages: ReadonlyMap<string, ReadonlySet<string>>;
    readonly texts: readonly RealText[];
  },
  random: Random,
): readonly BenchQuestion[] {
  const names = [...usages]
    .filter(([, { size }]) => size >= bothIn.least)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name]) => name);
  const together = pairsOf(names.slice(0, 300)).filter(([a, b]) => {
    const both = [...(usages.get(a) ?? [])].filter((folder) => usages.get(b)?.has(folder)).length;
    return both >= bothIn.least && both <= bothIn.most;
  });
  return random.sample(together, 1).map((chosen) => {
    const [first = '', second = ''] = chosen.map((name) => usage.join(name));
    // Once more and plainly: what was captured above only chose the names.
    const others = foldersWith(second, texts);
    const both = [...foldersWith(first, texts)].filter((folder) => others.has(folder)).toSorted();
    return setQuestion(
      `${id}-pairs`,
      `Of the files ${files}: take the folders that have, directly in them, a file that contains \`${first}\` and a file (the same or another) that contains \`${second}\`. Which pairs of these folders are there? ${pairForm}`,
      pairsOf(both).map(([a, b]) => pairOf(a, b)),
    );
  });
}

/** Folders that hold a file with a text in it. */
function foldersWith(wanted: string, texts: readonly RealText[]): ReadonlySet<string> {
  const found = texts.filter(({ read }) => read().includes(wanted));
  return new Set(found.map(({ path }) => dirname(path)));
}

/** Look-alike lines of one file, asked for by their number. */
function ordinalQuestion(
  id: string,
  {
    language: { defines, definition },
    path,
    text,
  }: { readonly language: Language; readonly path: string; readonly text: string },
  random: Random,
): readonly BenchQuestion[] {
  const lines = text.split('\n');
  const [start] = definition;
  // All that begin so are counted, whatever follows.
  const begun = lines.flatMap((line, at) =>
    /^[ \t]*(.*)$/.exec(line)?.[1]?.startsWith(start) === true ? [at] : [],
  );
  const number = random.between(1, begun.length);
  const at = begun[number - 1] ?? 0;
  const expected = lines.slice(at, at + askedLines);
  if (!defines.test(lines[at] ?? '') || expected.some((line) => line.length > maxLineChars))
    return [];
  return [
    verbatimQuestion(
      id,
      `In the file ${path}, ${begun.length} lines begin, after blanks, with \`${start}\`. Write line number ${number} of these, counted from the top, and the ${askedLines - 1} lines behind it.`,
      { expected: expected.join('\n'), random },
    ),
  ];
}
