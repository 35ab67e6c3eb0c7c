import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const checkout = resolve(import.meta.dirname, '..');

/** Largest installation, MB: what somebody downloads who only wants to try it. */
const budgetMb = 80;

/** How far the README may be from it, MB: the built files are not the same everywhere. */
const toleranceMb = 4;

/** What a disk gives to a file, bytes. */
const blockBytes = 4_096;

/** Room of a folder on the disk, bytes, without the packages in it. */
function roomOf(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') bytes += roomOf(path);
    else if (entry.isFile()) bytes += Math.ceil(statSync(path).size / blockBytes) * blockBytes;
  }
  return bytes;
}

function read(path: string): string {
  return readFileSync(join(checkout, path), 'utf8');
}

/** Folders of the packages that users get, by the lock. */
function packageFolders(): readonly string[] {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  return Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true)
    .map(([path]) => path);
}

test('an installation is within its budget, and the README says how large it is', () => {
  const { files } = JSON.parse(read('package.json')) as { files: string[] };
  const own = globSync(files, { cwd: checkout })
    .map((path) => join(checkout, path))
    .reduce((sum, path) => sum + (statSync(path).isDirectory() ? roomOf(path) : 0), 0);
  // Without what is built there would be nothing to measure.
  expect(own).toBeGreaterThan(1_000_000);
  const folders = packageFolders();
  expect(folders.length).toBeGreaterThan(50);
  const sizes = new Map(folders.map((path) => [path, roomOf(join(checkout, path))]));
  const sum = (of: (path: string) => boolean): number =>
    [...sizes].reduce((bytes, [path, size]) => bytes + (of(path) ? size : 0), 0) / 1e6;
  const allMb = own / 1e6 + sum(() => true);
  expect(allMb).toBeLessThan(budgetMb);
  const [, all, mcp] =
    /(\d+) MB with everything it needs, (\d+) of them for the Model Context Protocol/.exec(
      read('README.md'),
    ) ?? [];
  expect(Math.abs(Number(all) - allMb)).toBeLessThan(toleranceMb);
  expect(Number(mcp)).toBe(Math.round(sum((path) => path.includes('/@modelcontextprotocol/'))));
});
