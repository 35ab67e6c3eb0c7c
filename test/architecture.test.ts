import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** Free to import from everywhere; they import only each other. */
const leaves = [
  'base',
  'clients',
  'errors',
  'clock',
  'garbage',
  'log',
  'secrets',
  'wire',
  'kernels',
];

/**
 * Who may import whom, beside the leaves. A folder that is not here may import nothing and nobody
 * may import it.
 */
const arrows: Readonly<Record<string, readonly string[]>> = {
  cli: [
    'app',
    'bench',
    'config',
    'http',
    'ingest',
    'mcp',
    'operations',
    'past',
    'prompt',
    'replay',
    'search',
    'setup',
    'shared',
    'store',
    'trace',
    'upstream',
  ],
  app: [
    'capture',
    'chat',
    'config',
    'faces',
    'history',
    'http',
    'ingest',
    'mcp',
    'operations',
    'outline',
    'page',
    'prompt',
    'sandbox',
    'search',
    'shared',
    'store',
    'tools',
    'trace',
    'turn',
    'upstream',
  ],
  bench: ['capture', 'history', 'http', 'ingest', 'outline', 'search', 'store', 'upstream'],
  http: [],
  // It asks the stores by operations, which it is handed.
  mcp: [],
  operations: ['ingest', 'past', 'search', 'store', 'tools'],
  // What clients keep of earlier work: its calls and conversations are named as in requests.
  past: ['history', 'store'],
  // What a request goes through, the last first: each knows only what is done before it.
  // Of http it knows the port that it answers through.
  chat: ['capture', 'history', 'http', 'prompt', 'tools', 'turn', 'upstream'],
  // Other protocols around the same turn, and what goes by it: they know the ports of http and of
  // upstream, the words of wire, and how a body is cut up.
  faces: ['history', 'http', 'upstream'],
  turn: ['history', 'prompt', 'sandbox', 'search', 'store', 'tools', 'upstream'],
  prompt: ['capture', 'history', 'store', 'tools'],
  capture: ['history', 'outline', 'store'],
  history: ['store'],
  tools: ['sandbox', 'search', 'store'],
  // It stands around a turn: what comes in, what is found in the store, what goes upstream.
  trace: ['http', 'store', 'upstream'],
  // Turns that were written down, against a proxy that it is handed; of faces it knows the state
  // that they give to clients.
  replay: ['faces', 'prompt', 'store', 'tools'],
  ingest: ['store'],
  // What texts are and where in them to look: knows neither who asks nor where they lie.
  outline: [],
  // Where settings are read, addresses and keys are checked by whoever uses them.
  config: ['upstream'],
  sandbox: [],
  search: [],
  setup: [],
  // A store that machines share: its log, and the files that follow it.
  shared: ['store'],
  // What a browser shows of stores and turns; what runs in the browser is in `ui`.
  page: ['http', 'search', 'store', 'tools', 'turn'],
  store: [],
  upstream: [],
  ...Object.fromEntries(leaves.map((leaf) => [leaf, []])),
};

/**
 * Folders in rooms: who may import whom inside. A room may import only rooms that stand below it
 * here.
 */
const rooms: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  bench: {
    engine: ['questions', 'corpus-text', 'random'],
    questions: ['random'],
    'corpus-text': ['random'],
    random: [],
  },
  search: {
    engine: ['run', 'text', 'types'],
    run: ['automaton', 'index', 'text', 'types'],
    index: ['pattern', 'text', 'types'],
    automaton: ['pattern', 'text', 'types'],
    pattern: [],
    text: ['types'],
    types: [],
  },
  store: {
    'late-sessions': ['sessions', 'disk', 'types'],
    sessions: ['archive', 'life', 'session', 'disk', 'types'],
    // What is done to whole sessions: they are found, opened, branched, moved, kept in bounds.
    life: ['session', 'text', 'disk', 'format', 'types'],
    archive: ['session', 'text', 'disk', 'format', 'types'],
    session: ['checks', 'text', 'disk', 'format', 'types'],
    checks: ['text', 'disk', 'types'],
    text: ['disk', 'format', 'types'],
    disk: ['format'],
    format: ['types'],
    types: ['shared-side'],
    'shared-side': [],
  },
};

/** Files of a folder beside its tests: a list that is still read from top to bottom. */
const maxFiles = 26;

/** Folders that have more. None is added. */
const largeFolders: ReadonlySet<string> = new Set(['chat', 'cli']);

const root = resolve(import.meta.dirname, '../src');

interface Import {
  readonly from: string;
  readonly file: string;
  readonly to: string;
}

/** Every import of one part of the program by another, or of one room of `folder` by another. */
function crossings(files: readonly string[], folder = ''): Import[] {
  const partOf = (path: string): string => partIn(folder, path);
  return files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const from = partOf(file);
    return [...text.matchAll(/\bfrom '(\.[^'$]+)'|\bimport\(?\s*'(\.[^'$]+)'/g)].flatMap(
      (match) => {
        const target = relative(root, resolve(root, dirname(file), match[1] ?? match[2] ?? ''));
        const to = partOf(target);
        return to === from || !target.startsWith(folder) ? [] : [{ from, file, to }];
      },
    );
  });
}

/** The folder, or the name of a file that lies in no folder. */
function partOf(path: string): string {
  return partIn('', path);
}

/** The same inside a folder, which is given with its slash. */
function partIn(folder: string, path: string): string {
  return (path.slice(folder.length).split('/')[0] ?? '').replace(/\.ts$/, '');
}

const sources = globSync('**/*.ts', { cwd: root }).filter(
  (file) => !/\.(test|d)\.ts$|\/assembly\//.test(file),
);

test('imports go only along the arrows', () => {
  const seen = crossings(sources);
  const wrong = seen.filter(({ from, to }) => {
    const allowed = [...leaves, ...(arrows[from] ?? [])];
    return !allowed.includes(to) || (leaves.includes(from) && !leaves.includes(to));
  });
  expect(wrong.map(({ file, to }) => `${file} imports ${to}`)).toEqual([]);
  // A pattern that matches nothing would let everything pass.
  expect(seen.length).toBeGreaterThan(100);
  expect(new Set(seen.map(({ from }) => from)).size).toBeGreaterThan(9);
});

test('no part imports itself by way of others, not even for a type', () => {
  const seen = Map.groupBy(crossings(sources), ({ from }) => from);
  const importsOf = (part: string): readonly string[] => (seen.get(part) ?? []).map(({ to }) => to);
  const reachedFrom = (part: string): Set<string> => {
    const reached = new Set<string>();
    const waiting = [...importsOf(part)];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (reached.has(next)) continue;
      reached.add(next);
      waiting.push(...importsOf(next));
    }
    return reached;
  };
  expect([...seen.keys()].filter((part) => reachedFrom(part).has(part))).toEqual([]);
  expect(reachedFrom('cli').size).toBeGreaterThan(12);
});

test('every part of the program has its arrows', () => {
  const parts = new Set(sources.map(partOf));
  expect([...parts].filter((part) => !(part in arrows))).toEqual([]);
});

test.each(Object.entries(rooms))('the rooms of %s: imports go only down', (folder, allowed) => {
  const files = sources.filter((file) => file.startsWith(`${folder}/`));
  const seen = crossings(files, `${folder}/`);
  const wrong = seen.filter(({ from, to }) => allowed[from]?.includes(to) !== true);
  expect(wrong.map(({ file, to }) => `${file} imports ${to}`)).toEqual([]);
  const order = Object.keys(allowed);
  expect(new Set(files.map((file) => partIn(`${folder}/`, file)))).toEqual(new Set(order));
  for (const [room, others] of Object.entries(allowed)) {
    for (const other of others) expect(order.indexOf(other)).toBeGreaterThan(order.indexOf(room));
  }
  expect(seen.length).toBeGreaterThan(order.length);
});

test('a folder has few enough files to be read as a list', () => {
  const folders = Map.groupBy(sources, (file) => dirname(file));
  const large = [...folders].filter(([, files]) => files.length > maxFiles).map(([name]) => name);
  expect(large.filter((folder) => !largeFolders.has(folder))).toEqual([]);
  expect(folders.size).toBeGreaterThan(15);
});

test('no module gathers others for re-export, and none is called by a name that says nothing', () => {
  const barrels = sources.filter((file) =>
    /^export (\*|\{[^}]*\}) from '(?!\.\/log)/m.test(readFileSync(join(root, file), 'utf8')),
  );
  expect(barrels).toEqual([]);
  const empty = /(^|\/)(index\.ts$|(utils?|helpers?|common|constants|misc)(\.ts$|\/))/;
  expect(sources.filter((file) => empty.test(file))).toEqual([]);
});

/** Where an expression may be made while the program runs, and why nobody can keep it busy. */
const expressionMakers: Readonly<Record<string, string>> = {
  'search/automaton/regex-source.ts': 'runs in the guarded engine only',
  'search/pattern/unicode-property.ts': 'of names out of a fixed alphabet, by our own parser',
  'cli/hit-printer.ts': "marks hits in the user's own terminal, by the user's own pattern",
  'wire/calm-text.ts': 'of constants',
  'replay/scrub/pattern.ts': 'of constants, and of one property, which is compiled and never run',
  'outline/logs.ts': 'of constants',
  'outline/messages.ts': 'of constants',
  'outline/test-runs.ts': 'of constants',
  'secrets/secret-at.ts': 'of constants',
  'bench/questions/scoring.ts': 'of answers that the benchmark made itself',
};

test('no expression is made of words from outside, except where that is harmless', () => {
  const made = /\bRegExp\s*\(/;
  const makers = sources.filter((file) => made.test(readFileSync(join(root, file), 'utf8')));
  expect(makers.toSorted()).toEqual(Object.keys(expressionMakers).toSorted());
  // The one package that makes some itself gets rules that have been looked at.
  const users = sources.filter((file) =>
    /from 'ignore'/.test(readFileSync(join(root, file), 'utf8')),
  );
  expect(users).toEqual(['ingest/ignore-rules.ts']);
});

/** All files that a file loads before it does anything, and the packages that they load. */
function loadedBy(entry: string): { readonly files: Set<string>; readonly packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (files.has(file)) return;
    files.add(file);
    const text = readFileSync(file, 'utf8');
    for (const [, names, from] of text.matchAll(/^(?:import|export) ([^;]*?)from '([^']+)';/gms)) {
      if (names?.startsWith('type ') === true || from === undefined) continue;
      if (from.startsWith('.')) visit(resolve(dirname(file), from));
      else if (!from.startsWith('node:')) packages.add(from);
    }
  };
  visit(join(root, entry));
  return { files, packages };
}

test('a command starts without engine, store, server, HTTP client and log: they are loaded when needed', () => {
  for (const entry of ['cli/main.ts', 'cli/setup-main.ts', ...commandFiles()]) {
    const { files, packages } = loadedBy(entry);
    const parts = new Set([...files].map((file) => partOf(relative(root, file))));
    for (const heavy of [
      'app',
      'chat',
      'http',
      'ingest',
      'operations',
      'sandbox',
      'search',
      'tools',
    ]) {
      expect([...parts]).not.toContain(heavy);
    }
    for (const heavy of [
      'acorn',
      'fastify',
      'undici',
      'pino',
      'ignore',
      'quickjs-emscripten',
      '@clack/prompts',
      'yaml',
    ]) {
      expect([...packages]).not.toContain(heavy);
    }
    // The reader of imports sees something.
    expect([...packages]).toContain('commander');
    expect(files.size).toBeGreaterThan(2);
  }
});

test('commands that ask a running server start without the settings, and the program without its commands', () => {
  const asking = ['search', 'get', 'stats', 'sessions', 'ingest', 'logs'];
  for (const entry of ['main', ...asking]) {
    const { files, packages } = loadedBy(`cli/${entry}.ts`);
    expect({ entry, packages: [...packages] }).toEqual({ entry, packages: ['commander'] });
    expect([...files]).not.toContain(join(root, 'config/schema.ts'));
  }
  const started = loadedBy('cli/main.ts').files;
  for (const file of commandFiles()) expect([...started]).not.toContain(join(root, file));
});

/** The files that the table of commands loads. */
function commandFiles(): readonly string[] {
  const text = readFileSync(join(root, 'cli/program.ts'), 'utf8');
  const files = [...text.matchAll(/import\('\.\/([^']+)'\)/g)].map(([, file]) => `cli/${file}`);
  expect(files.length).toBeGreaterThan(10);
  return files;
}

test('the name of an exported type stands for one thing', () => {
  const owners = new Map<string, Set<string>>();
  for (const file of sources) {
    const text = readFileSync(join(root, file), 'utf8');
    const exported = /^export (?:abstract )?(?:interface|type|class) (\w+)/gm;
    for (const [, name = ''] of text.matchAll(exported))
      owners.set(name, (owners.get(name) ?? new Set()).add(file));
  }
  const shared = [...owners].filter(([, files]) => files.size > 1);
  expect(shared.map(([name, files]) => `${name}: ${[...files].join(', ')}`)).toEqual([]);
  expect(owners.size).toBeGreaterThan(200);
});

test('comments are at most 100 columns wide', () => {
  const wide = sources.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, at) =>
        line.length > 100 && /^\s*(?:\/\*|\*|\/\/ )/.test(line) ? [`${file}:${at + 1}`] : [],
      ),
  );
  expect(wide).toEqual([]);
});
