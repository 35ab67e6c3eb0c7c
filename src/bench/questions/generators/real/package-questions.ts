import type { BenchQuestion } from '../../cases.ts';
import type { Random } from '../../../random.ts';
import { itemsOf, scoreSet } from '../../scoring.ts';
import { asked } from './real-question.ts';

/** Steps of a search through the dependencies. */
const graphDepth = 6;

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

/** Questions about the package index: what is reached in some steps, and who leads there. */
export function packageQuestions(index: string, random: Random): readonly BenchQuestion[] {
  if (index === '') return [];
  const graph = graphOf(index);
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
