import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSettings } from '../src/config/parse.ts';
import { presets } from '../src/config/presets.ts';
import { resolveConfig } from '../src/config/resolve.ts';
import { settingLeaves } from '../src/config/schema.ts';
import { allCommands, freshReadme } from './support/readme.ts';

const root = resolve(import.meta.dirname, '..');
const read = (name: string): string => readFileSync(resolve(root, name), 'utf8');
const readme = read('README.md');
const documents = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md'].filter((name) =>
  existsSync(resolve(root, name)),
);

test('the tables of the README are those of the program; `npm run docs` makes them', () => {
  expect(freshReadme(readme)).toBe(readme);
  const stale = readme.replace('`server.port`', '`server.prot`');
  expect(freshReadme(stale)).toBe(readme);
});

test("the README's example of a configuration is one, and it names every preset", () => {
  const text = /```jsonc\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  const { settings } = parseSettings({ flags: {}, env: {}, file: { path: 'README.md', text } });
  expect(Object.keys(settings.providers).length).toBeGreaterThan(0);
  expect(() => resolveConfig(settings, {}, { configHome: '/c', dataHome: '/d' })).not.toThrow();
  expect(Object.keys(presets).filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});

describe.each(documents)('%s', (name) => {
  const text = read(name);

  test('names only settings that there are', () => {
    const known = new Set(settingLeaves.map((leaf) => leaf.env));
    const named = new Set(text.match(/\bRLM_[A-Z_]+[A-Z]\b/g));
    const unknown = [...named].filter((setting) => setting !== 'RLM_CONFIG' && !known.has(setting));
    expect(unknown).toEqual([]);
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

  test('names only files that there are', () => {
    const named =
      text.match(/(?<=[`(])(?:src|test|bin|docs)\/[\w./-]+\.(?:ts|js|md|json|svg|png)\b/g) ?? [];
    expect(named.filter((path) => !existsSync(resolve(root, path)))).toEqual([]);
  });
});
