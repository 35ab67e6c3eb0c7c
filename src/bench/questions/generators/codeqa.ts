import {
  questionHead,
  type BenchDocument,
  type BenchQuestion,
  type CaseGenerator,
} from '../cases.ts';
import { Random } from '../../random.ts';
import { answerForm, itemsOf, scoreExact, scoreNumber, scoreSet } from '../scoring.ts';

const verbs = [
  'load',
  'store',
  'check',
  'merge',
  'parse',
  'render',
  'send',
  'sort',
  'split',
  'trace',
  'apply',
  'build',
];
const nouns = [
  'Account',
  'Batch',
  'Cart',
  'Device',
  'Event',
  'Folder',
  'Grant',
  'Header',
  'Invoice',
  'Job',
  'Key',
  'Ledger',
  'Message',
  'Order',
  'Policy',
  'Quota',
  'Report',
  'Session',
  'Ticket',
  'Upload',
];
const parts = ['api', 'core', 'jobs', 'storage', 'web', 'auth', 'billing', 'search'];

/** Functions of one file. */
const functionsPerFile = 12;

/** Average characters of a file: see {@link fileText}. */
const fileChars = 4_640;

/** A generated function: where it is, and whom it calls. */
interface Func {
  readonly name: string;
  readonly file: number;
  readonly calls: readonly number[];
}

/**
 * A generated repository with a known call graph: where is a function defined, who calls it, how
 * many routes are declared, which configuration value wins, what is called in two steps. Callers
 * are never named in a comment.
 */
export const generateCodeqa: CaseGenerator = (seed, sizeChars) => {
  const fileCount = Math.max(4, Math.round(sizeChars / fileChars));
  const functions = callGraph(seed, fileCount);
  const random = new Random(seed, 7);
  const paths = Array.from({ length: fileCount }, (_, index) => filePath(index));
  const target = random.below(functions.length);
  const popular = mostCalled(functions, random);
  const start = functions.findIndex((one, index) => index >= target && one.calls.length > 1);
  const reached = reachedInTwo(functions, Math.max(0, start));
  const routeTotal = paths.filter((_, file) => hasRoutes(file)).length * 3;
  const port = config(random);
  const documents: BenchDocument[] = paths.map((path, file) => ({
    path,
    isSmall: true,
    chunks: () => [fileText(functions, file, { seed, hasRoutes: hasRoutes(file) })],
  }));
  documents.push(...port.documents);
  const callers = functions.flatMap((one) => (one.calls.includes(popular) ? [one.name] : []));
  const name = (index: number): string => functions[index]?.name ?? '';
  const questions: readonly BenchQuestion[] = [
    exact(
      'defined-in',
      `In which file is the function ${name(target)} defined? Give its path.`,
      paths[functions[target]?.file ?? 0] ?? '',
    ),
    set('callers', `Which functions call ${name(popular)} directly? Give their names.`, callers),
    {
      ...exact(
        'routes',
        'How many HTTP routes does the whole repository declare with router.add(...)?',
        String(routeTotal),
      ),
      score: (answer) => scoreNumber(answer, routeTotal),
    },
    exact(
      'config',
      'config/defaults.json is overridden by config/production.json, and that by config/local.json. Which value does the setting server.port have in the end?',
      port.value,
    ),
    set(
      'two-calls',
      `Which functions does ${name(Math.max(0, start))} call, and which do those call? Give the names of both.`,
      reached.map(name),
    ),
  ];
  return { documents, questions };
};

/** Whether a file declares routes, three of them. */
function hasRoutes(file: number): boolean {
  return file % 9 === 0;
}

function filePath(file: number): string {
  return `src/${parts[file % parts.length]}/module-${file}.ts`;
}

/**
 * Calls go only to functions with a higher number, so that chains end; each function calls at most
 * three.
 */
function callGraph(seed: number, fileCount: number): readonly Func[] {
  const random = new Random(seed, 6);
  const count = fileCount * functionsPerFile;
  return Array.from({ length: count }, (_, index) => {
    const left = count - index - 1;
    const calls = new Set<number>();
    const wanted = left === 0 ? 0 : random.below(4);
    for (let call = 0; call < wanted; call += 1) {
      // Some are called from far away, most from nearby.
      const reach = random.below(10) === 0 ? left : Math.min(left, 30);
      calls.add(index + 1 + random.below(reach));
    }
    return {
      name: `${random.pick(verbs)}${random.pick(nouns)}${index}`,
      file: Math.floor(index / functionsPerFile),
      calls: [...calls],
    };
  });
}

function mostCalled(functions: readonly Func[], random: Random): number {
  const callers = new Map<number, number>();
  for (const { calls } of functions)
    for (const called of calls) callers.set(called, (callers.get(called) ?? 0) + 1);
  const often = [...callers].filter(([, count]) => count >= 3 && count <= 12);
  return (random.pick(often.length === 0 ? [...callers] : often) ?? [0])[0] ?? 0;
}

/** What is called, and what that calls: never itself, because calls go forward only. */
function reachedInTwo(functions: readonly Func[], start: number): readonly number[] {
  const direct = functions[start]?.calls ?? [];
  return [...new Set([...direct, ...direct.flatMap((called) => functions[called]?.calls ?? [])])];
}

function fileText(
  functions: readonly Func[],
  file: number,
  shape: { readonly seed: number; readonly hasRoutes: boolean },
): string {
  const random = new Random(shape.seed, 10_000 + file);
  const first = file * functionsPerFile;
  const own = functions.slice(first, first + functionsPerFile);
  const foreign = new Map<string, Set<string>>();
  for (const { calls } of own)
    for (const called of calls) {
      const target = functions[called];
      if (target === undefined || target.file === file) continue;
      const path = filePath(target.file);
      foreign.set(path, (foreign.get(path) ?? new Set()).add(target.name));
    }
  const imports = [...foreign].map(
    ([path, names]) => `import { ${[...names].join(', ')} } from '/${path}';`,
  );
  const bodies = own.map((one) => functionText(one, functions, random));
  const routes = shape.hasRoutes
    ? own
        .slice(0, 3)
        .map(
          (one, index) =>
            `router.add('${['GET', 'POST', 'PUT'][index]}', '/m${file}/${one.name}', ${one.name});`,
        )
    : [];
  return `${[...imports, '', ...bodies, ...routes].join('\n')}\n`;
}

function functionText(one: Func, functions: readonly Func[], random: Random): string {
  const lines = [
    `/** Takes one ${random.pick(nouns).toLowerCase()} and a limit; gives what is left of it. */`,
    `export function ${one.name}(input: Input, limit: number): Output {`,
    `  const scale = ${random.between(2, 99)};`,
    `  if (limit < scale) return emptyOutput('${random.hex()}');`,
  ];
  for (const [index, called] of one.calls.entries())
    lines.push(
      `  const step${index} = ${functions[called]?.name}(input, limit - ${random.between(1, 9)});`,
    );
  const sum = one.calls.map((_, index) => `step${index}.value`).join(' + ') || 'input.value';
  lines.push(`  return { value: (${sum}) % scale, mark: '${random.hex()}' };`, '}', '');
  return lines.join('\n');
}

function config(random: Random): {
  readonly documents: readonly BenchDocument[];
  readonly value: string;
} {
  const ports = [
    random.between(3000, 3999),
    random.between(4000, 4999),
    random.between(5000, 5999),
  ];
  const isLocal = random.below(2) === 0;
  return {
    documents: [
      configFile('defaults', { server: { host: '0.0.0.0', port: ports[0] }, retries: 3 }),
      configFile('production', { server: { port: ports[1] } }),
      configFile('local', isLocal ? { server: { port: ports[2] } } : { retries: 5 }),
      // A name that only looks like the one that counts.
      configFile('local.example', { server: { port: 9999 } }),
    ],
    value: String(isLocal ? ports[2] : ports[1]),
  };
}

function configFile(name: string, settings: unknown): BenchDocument {
  return {
    path: `config/${name}.json`,
    isSmall: true,
    chunks: () => [`${JSON.stringify(settings, undefined, 2)}\n`],
  };
}

function exact(id: string, question: string, expected: string): BenchQuestion {
  return {
    id,
    question: `${questionHead('codeqa')} The stored files are a repository. ${question} ${answerForm}.`,
    expected,
    scriptable: true,
    score: (answer) => scoreExact(answer, expected),
  };
}

function set(id: string, question: string, expected: readonly string[]): BenchQuestion {
  const wanted = new Set(expected);
  return {
    ...exact(id, question, expected.join(', ')),
    score: (answer) => scoreSet(itemsOf(answer, /\b[a-z]+[A-Z][a-z]+\d+\b/g), wanted),
  };
}
