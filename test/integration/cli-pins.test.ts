import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';

const home = new CliHome();
const directory = join(home.folder, 'project');

beforeAll(async () => {
  for (const name of ['notes', 'plan', 'log']) {
    writeFileSync(join(home.folder, `${name}.txt`), `${name} `.repeat(1000));
    await home.runHere(['ingest', join(home.folder, `${name}.txt`), '--directory', directory]);
  }
  return () => home[Symbol.dispose]();
});

async function said(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await home.runHere(['sessions', ...args, '--directory', directory]);
  return stdout + stderr;
}

test('texts are pinned by name and path, listed, and unpinned', async () => {
  expect(await said('pins')).toMatch(/^No text of sess_\w+ is pinned\.\n$/);
  expect(await said('pin', 'e1')).toMatch(/^Pinned 1 text: e1\n1 text of sess_\w+ is pinned:\n/);
  expect(await said('pin', 'e1', '--path', 'plan.txt')).toContain('Pinned 1 text: e2\n2 texts of');
  expect(await said('pin', 'e1')).toContain('Nothing changed: they were pinned already.');
  const listed = JSON.parse(await said('pins', '--json')) as {
    readonly pinned: readonly { readonly entry: string; readonly title: string }[];
  };
  expect(listed.pinned.map(({ entry }) => entry)).toEqual(['e1', 'e2']);
  expect(listed.pinned[1]?.title).toContain('plan.txt');
  expect(await said('unpin', '1')).toContain('Unpinned 1 text: e1\n1 text of');
  expect(await said('unpin', 'e1')).toContain('none of them was pinned');
});

test('what goes to make room is said before, and what is pinned goes when a person says so', async () => {
  const dataDir = ['--data-dir', home.dataDir];
  const unbound = await home.runHere(['sessions', 'gc', ...dataDir]);
  expect(unbound.stdout + unbound.stderr).toContain('No bounds are set, so nothing goes');
  const { stdout } = await home.runHere(['sessions', 'gc', '--dry-run', '--json', ...dataDir]);
  expect(JSON.parse(stdout)).toMatchObject({ texts: 0, bytes: 0, isAllFull: false, bounds: {} });
  await said('pin', 'e2');
  expect(await said('forget', 'e2')).toContain('1 text of these is pinned');
});

test('what is not there, or not said, is answered with what there is', async () => {
  expect(await said('pin')).toContain('Name some, or give --tool or --path.');
  expect(await said('pin', 'e9')).toContain('e9');
  expect(await said('pin', '--tool', 'bash')).toContain('bash');
  const nowhere = await home.runHere(['sessions', 'pin', 'e1', '--directory', home.folder]);
  expect(nowhere.stdout + nowhere.stderr).toContain('Nothing is stored here yet');
});

test('a long title is cut at 80 columns', async () => {
  const path = join(home.folder, `${'a-long-name-'.repeat(12)}.txt`);
  writeFileSync(path, 'long '.repeat(500));
  await home.runHere(['ingest', path, '--directory', directory]);
  await said('pin', '--path', 'a-long-name-');
  const lines = (await said('pins')).split('\n');
  expect(lines.filter((line) => line.endsWith('…'))).toHaveLength(1);
  for (const line of lines) expect(Array.from(line).length).toBeLessThanOrEqual(80);
});
