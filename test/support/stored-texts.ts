import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProxy } from './proxy.ts';

/** The whole text of each store of a proxy. */
export async function storedTexts(proxy: TestProxy): Promise<readonly string[]> {
  const folder = join(proxy.dataDir, 'sessions');
  const names = await readdir(folder).catch(() => []);
  return Promise.all(
    names
      .filter((name) => name.endsWith('_context.txt'))
      .map(async (name) => readFile(join(folder, name), 'utf8')),
  );
}
