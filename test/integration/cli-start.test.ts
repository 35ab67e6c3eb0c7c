import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rlmProgram } from '../../src/cli/program.ts';
import { CliHome } from '../support/cli.ts';

/** What a command loads that needs the stores, the model's side or a server of its own. */
const heavy =
  /node_modules\/(?:fastify|pino|undici|quickjs|ignore)|src\/(?:app|bench|chat|http|sandbox|search|tools|upstream\/openai)/;
const schema = /node_modules\/zod|src\/config\/schema/;
/** Node's own, behind `fetch`. */
const fetching = /internal\/deps\/undici/;

const home = new CliHome();
let server: Awaited<ReturnType<CliHome['serveHere']>>;

beforeAll(async () => {
  const path = join(home.folder, 'text.txt');
  writeFileSync(path, 'a needle\n'.repeat(100));
  await home.runHere(['ingest', path, '--directory', home.folder]);
  server = await home.serveHere();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

/** The environment in which a process writes what it has loaded to a file, as JSON, at its end. */
function watchedLoading(list: string): Record<string, string> {
  return {
    NODE_OPTIONS: `--import=${join(import.meta.dirname, '../support/loaded-files.ts')}`,
    LOADED_FILES: list,
  };
}

/** A command as a process of its own, and what it has loaded. */
async function loadedBy(
  args: readonly string[],
): Promise<{ readonly stdout: string; readonly own: string[]; readonly all: string[] }> {
  const list = join(home.folder, 'loaded.json');
  const { stdout, stderr, code } = await home.run(args, watchedLoading(list));
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  const all = JSON.parse(readFileSync(list, 'utf8')) as string[];
  return { stdout, all, own: all.filter((url) => /\/src\/|\/node_modules\//.test(url)) };
}

describe('a command loads what it needs and no more', () => {
  test('--version: the program, no command', async () => {
    const { stdout, own } = await loadedBy(['--version']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(own.length).toBeLessThan(20);
  });

  test.each([
    // It has fifteen commands of its own, a small file each.
    ['sessions', /900 characters/, 55],
    ['search -c needle', /^100\n$/, 40],
  ] as const)(
    '%s, through a server: neither schema nor store nor engine',
    async (line, said, most) => {
      const args = line.split(' ');
      const { stdout, own, all } = await loadedBy(
        args[0] === 'sessions' ? args : [...args, '--directory', home.folder],
      );
      expect(stdout).toMatch(said);
      expect(own.filter((url) => heavy.test(url) || schema.test(url))).toEqual([]);
      expect(all.filter((url) => fetching.test(url))).toEqual([]);
      expect(own.length).toBeLessThan(most);
    },
  );

  test('config, a server runs: the schema, which it is to show, and nothing else', async () => {
    const { stdout, own, all } = await loadedBy(['config']);
    expect(stdout).toMatch(/^server\.port += /m);
    expect(own.filter((url) => heavy.test(url))).toEqual([]);
    expect(own.some((url) => schema.test(url))).toBe(true);
    expect(all.filter((url) => fetching.test(url))).toEqual([]);
  });
});

test('a server that has answered and is told to stop has loaded no benchmark, and nothing of shared stores', async () => {
  using own = new CliHome();
  const list = join(own.folder, 'loaded.json');
  const { url, child, result } = await own.serve(watchedLoading(list));
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'rlm-internal.rlm-core-v1',
      messages: [{ role: 'user', content: 'What does "the needle" say?' }],
    }),
  });
  expect(await response.text()).toContain('demo script');
  child.kill('SIGTERM');
  expect((await result).code).toBe(0);
  const loaded = JSON.parse(readFileSync(list, 'utf8')) as string[];
  expect(loaded.filter((file) => /src\/(?:cli\/)?bench\//.test(file))).toEqual([]);
  expect(loaded.filter((file) => /src\/shared\/|node_modules\/pg/.test(file))).toEqual([]);
  // The sandbox is a thread that reads programs itself, and nobody has asked for one.
  expect(loaded.filter((file) => file.includes('node_modules/acorn'))).toEqual([]);
  expect(loaded.some((file) => file.endsWith('src/app.ts'))).toBe(true);
});

test('every command is found alone by the name that it has among all', async () => {
  const { commands } = await rlmProgram('0');
  expect(commands.length).toBeGreaterThan(10);
  for (const command of commands) {
    const { commands: alone } = await rlmProgram('0', [command.name(), 'x']);
    expect(alone.map((one) => one.name())).toEqual([command.name()]);
    expect(alone[0]?.helpInformation().split('\n').slice(1)).toEqual(
      command.helpInformation().split('\n').slice(1),
    );
  }
  for (const args of [[], ['--help'], ['help', 'search'], ['serch'], ['toString']]) {
    expect((await rlmProgram('0', args)).commands).toHaveLength(commands.length);
  }
  expect((await rlmProgram('0', ['--version'])).commands).toEqual([]);
});
