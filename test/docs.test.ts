import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSettings } from '../src/config/parse.ts';
import { presets } from '../src/config/presets.ts';
import { resolveConfig } from '../src/config/resolve.ts';
import { settingLeaves } from '../src/config/schema.ts';
import { errorTable } from '../src/errors.ts';
import { freshClients, withPlays } from './support/clients-table.ts';
import { allCommands, freshReadme } from './support/readme.ts';

const root = resolve(import.meta.dirname, '..');
const read = (name: string): string => readFileSync(resolve(root, name), 'utf8');
const readme = read('README.md');
const documents = globSync(['*.md', 'docs/*.md', 'docs/design/*.md'], { cwd: root });

const folders = { configHome: '/c', dataHome: '/d', home: '/h', temp: '/t' };

/** Variables that are no settings. */
const otherVariables = ['RLM_CONFIG', 'RLM_FAULTS', 'RLM_FAULTS_FROM', 'RLM_TEST_LOG'];

test('there are documents for users, for those who change it, and a page a part', () => {
  for (const name of [
    'README.md',
    'ARCHITECTURE.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
  ])
    expect(documents).toContain(name);
  const pages = documents.filter((name) => name.startsWith('docs/design/'));
  expect(pages.length).toBeGreaterThan(4);
  // Every page is to be found from the one that is read first.
  for (const page of pages) expect(read('ARCHITECTURE.md')).toContain(page);
});

test('ARCHITECTURE.md is read in one go: 150 lines of 100 columns', () => {
  const lines = read('ARCHITECTURE.md').trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(150);
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
});

test('the exits of a request are named with the statuses that the program gives them', () => {
  const named = [...read('ARCHITECTURE.md').matchAll(/\b([45]\d\d) ([a-z]+_[a-z_]+|forbidden)\b/g)];
  const known = new Map<string, number>(
    Object.entries(errorTable).map(([code, { status }]) => [code, status]),
  );
  expect(named.filter(([, status, code = '']) => known.get(code) !== Number(status))).toEqual([]);
  expect(named.length).toBeGreaterThan(10);
});

test('the settings of `npm run dev` are settings, with a port and a store of their own', () => {
  const file = { path: 'test/dev.jsonc', text: read('test/dev.jsonc') };
  const usual = resolveConfig(parseSettings({ flags: {}, env: {} }), {}, folders);
  const dev = resolveConfig(parseSettings({ flags: {}, env: {}, file }), {}, folders);
  expect(dev).toMatchObject({ logLevel: 'debug', providers: [] });
  expect(dev.dataDir).not.toBe(usual.dataDir);
  expect(dev.server.port).not.toBe(usual.server.port);
  expect(read('CONTRIBUTING.md')).toContain(`port ${dev.server.port}`);
});

test('the tables of the README are those of the program; `npm run docs` makes them', () => {
  expect(freshReadme(readme)).toBe(readme);
  const stale = readme.replace('`server.port`', '`server.prot`');
  expect(freshReadme(stale)).toBe(readme);
});

test('the table of clients is that of their rows; `npm run docs` makes it', () => {
  const page = read('docs/clients.md');
  expect(freshClients(page)).toBe(page);
  expect(freshClients(page.replace('| Qwen Code |', '| Quen |'))).toBe(page);
  expect(withPlays(page, ['client', 'chat'], [['x 1', 'yes']])).toContain('| x 1 | yes |');
});

test("the README's example of a configuration is one, and it names every preset", () => {
  const text = /```jsonc\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  const parsed = parseSettings({ flags: {}, env: {}, file: { path: 'README.md', text } });
  expect(Object.keys(parsed.settings.providers).length).toBeGreaterThan(0);
  expect(() => resolveConfig(parsed, {}, folders)).not.toThrow();
  expect(Object.keys(presets).filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});

describe.each(documents)('%s', (name) => {
  const text = read(name);

  test('names only settings that there are', () => {
    const known = new Set([...settingLeaves.map((leaf) => leaf.env), ...otherVariables]);
    const named = new Set(text.match(/\bRLM_[A-Z_]+[A-Z]\b/g));
    expect([...named].filter((setting) => !known.has(setting))).toEqual([]);
  });

  test('names only commands that there are', () => {
    const known = new Set(
      allCommands().map((command) => command.name.split(' ').slice(0, 2).join(' ')),
    );
    const code = (text.match(/```[\s\S]*?```|`[^`\n]+`/g) ?? []).join('\n');
    const named = code.match(/\brlm-opencode(?:-setup)? [a-z]+\b/g) ?? [];
    expect(named.filter((command) => !known.has(command))).toEqual([]);
  });

  test('names only scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...text.matchAll(/\bnpm run ([a-z0-9:]+)|\bnpm (start|test)\b/g)];
    const unknown = named
      .map(([, script, short]) => script ?? short ?? '')
      .filter((script) => !(script in scripts));
    expect(unknown).toEqual([]);
  });

  test('names one port', () => {
    const port = settingLeaves.find((leaf) => leaf.key === 'server.port')?.defaultValue;
    const named = new Set(text.match(/(?<=127\.0\.0\.1:)\d+/g));
    expect([...named].filter((found) => found !== String(port))).toEqual([]);
  });

  test('names only files and folders that there are', () => {
    const named = text.match(/(?<=[`(\s])(?:src|test|bin|docs|\.ci)\/[\w./*-]*[\w/*]/g) ?? [];
    expect(named.filter((path) => globSync(path, { cwd: root }).length === 0)).toEqual([]);
  });

  test('names no symbol that is not in the file it is said to be in', () => {
    const wrong = symbolsIn(text).filter(
      ([, symbol, path]) => !new RegExp(`\\b${symbol}\\b`).test(read(path)),
    );
    expect(wrong.map(([said]) => said)).toEqual([]);
  });

  test('links only to files and headings that there are', () => {
    const links = text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)/g);
    const broken = [...links].filter(([, path = '', heading]) => {
      const target = path === '' ? resolve(root, name) : resolve(root, dirname(name), path);
      if (!existsSync(target)) return true;
      return heading !== undefined && !headingsOf(readFileSync(target, 'utf8')).includes(heading);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});

test('the pages about the parts of the program name symbols with their files', () => {
  // A form of writing that the test above does not see would let everything pass.
  expect(documents.flatMap((name) => symbolsIn(read(name))).length).toBeGreaterThan(15);
});

test('each line of the threat model names tests that there are, by their titles', () => {
  const parts = read('SECURITY.md').split(/^## /m).slice(1);
  const lines = parts.flatMap((part) => part.split(/^- /m).slice(1));
  const cited = lines.map(citedTests);
  expect(lines.filter((_, at) => cited[at]?.length === 0)).toEqual([]);
  const missing = cited.flat().filter(({ path, title }) => !testTitles(path).has(title));
  expect(missing).toEqual([]);
  expect(cited.flat().length).toBeGreaterThan(60);
});

/** Tests as a line cites them: the path in code, a comma, the title in quotes; lines may break. */
function citedTests(line: string): readonly { readonly path: string; readonly title: string }[] {
  const cited = line
    .replaceAll(/\s+/g, ' ')
    .matchAll(/`((?:src|test)\/\S+\.test\.ts)`, "([^"]+)"/g);
  return [...cited].map(([, path = '', title = '']) => ({ path, title }));
}

/** What stands in quotes and is followed by a function or its options. */
function testTitles(path: string): ReadonlySet<string> {
  const titles = read(path).matchAll(/(['"`])((?:(?!\1).)+)\1,\s*(?:async )?[({]/g);
  return new Set([...titles].map(([, , title = '']) => title));
}

/** What is written as a symbol and its file: the whole, the symbol, the path. */
function symbolsIn(text: string): readonly (readonly [string, string, string])[] {
  const places = text.matchAll(/`(\w+)`\s+(?:in\s+)?\(?`(src\/[\w./-]+\.ts)`/g);
  return [...places].map(([said, symbol = '', path = '']) => [said, symbol, path]);
}

/** As a link names them: in lower case, with dashes, without signs. */
function headingsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(/\s/g, '-'),
  );
}
