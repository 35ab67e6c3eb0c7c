import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { loadDataDir } from './data-dir.ts';
import { loadConfig } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'rlm-data-dir-'));
const file = join(folder, 'config.jsonc');
afterAll(() => rmSync(folder, { recursive: true }));

const path = fc.constantFrom('/a/b', 'relative', './x/../y', '~', ' ', '');
const texts = fc.oneof(
  path.map((dataDir) => JSON.stringify({ dataDir })),
  fc.constantFrom('{}', '// nothing\n{"logLevel": "warn",}', '{"dataDir": 5}', '{', '[]'),
);

test('the data directory alone is the one that all settings together give, and its faults have the same words', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        text: texts,
        flag: fc.option(path, { nil: undefined }),
        variable: fc.option(path, { nil: undefined }),
        dataHome: fc.option(path, { nil: undefined }),
        named: fc.constantFrom(file, join(folder, 'none.jsonc'), ''),
      }),
      async ({ text, flag, variable, dataHome, named }) => {
        writeFileSync(file, text);
        const env = { RLM_CONFIG: named, RLM_DATA_DIR: variable, XDG_DATA_HOME: dataHome };
        const options = { env, homeDir: folder, flags: { 'data-dir': flag } };
        const whole = await settled(() => loadConfig(options).config.dataDir);
        const alone = await settled(async () => loadDataDir(options));
        expect(alone).toEqual(whole);
      },
    ),
    { numRuns: 300 },
  );
});

async function settled(
  run: () => string | Promise<string>,
): Promise<{ readonly path?: string; readonly fault?: string }> {
  try {
    return { path: await run() };
  } catch (error) {
    return { fault: String(error) };
  }
}

test('other settings are not looked at', async () => {
  const env = { RLM_DATA_DIR: '/a', RLM_PORT: 'abc' };
  expect(() => loadConfig({ env, homeDir: folder })).toThrow('server.port');
  expect(await loadDataDir({ env, homeDir: folder })).toBe('/a');
  expect(await loadDataDir({ env: {}, homeDir: '/home/x' })).toBe(
    '/home/x/.local/share/rlm-opencode',
  );
});
