import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

interface ComposeFile {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly image?: string;
        readonly ports?: readonly string[];
        readonly volumes?: readonly string[];
        readonly environment?: Readonly<Record<string, string>>;
        readonly healthcheck?: { readonly test: readonly string[] };
      }
    >
  >;
  readonly volumes?: Readonly<Record<string, null>>;
}

/** Compose files as the documentation shows them. */
const shown = ['docs/team.md', 'README.md'].flatMap((path) => {
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(/^```ya?ml\n(services:[^]*?)^```$/gm)].map(
    ([, file = '']) => [path, file] as const,
  );
});

test('there is a compose file to try a shared store with', () => {
  expect(shown.length).toBeGreaterThan(0);
});

test.each(shown)('the compose file in %s holds together', (_, text) => {
  const { services, volumes = {} } = parse(text) as ComposeFile;
  for (const service of Object.values(services)) {
    // A version is named, so that it is the same tomorrow.
    expect(service.image).toMatch(/^[a-z0-9./-]+:[\w.-]+$/);
    expect(service.healthcheck?.test[0]).toMatch(/^CMD(?:-SHELL)?$/);
    // Nothing that is reached from elsewhere unless somebody says so.
    for (const port of service.ports ?? []) expect(port).toMatch(/^\$\{BIND:-127\.0\.0\.1\}:/);
    for (const volume of service.volumes ?? []) {
      const [name = ''] = volume.split(':');
      expect(Object.keys(volumes)).toContain(name);
    }
  }
});

test('the compose file of a shared store makes the database that the commands beside it name', () => {
  const [, text] = shown.find(([path]) => path === 'docs/team.md')!;
  const { services } = parse(text) as ComposeFile;
  const { environment = {} } = Object.values(services)[0]!;
  const { POSTGRES_USER: user, POSTGRES_PASSWORD: password, POSTGRES_DB: name } = environment;
  const urls = readFileSync('docs/team.md', 'utf8').match(/RLM_STORE_URL=postgres:\S+/g) ?? [];
  expect(urls.length).toBeGreaterThan(0);
  for (const url of urls) expect(url).toMatch(`postgres://${user}:${password}@`);
  for (const url of urls) expect(url.endsWith(`/${name}`)).toBe(true);
});
