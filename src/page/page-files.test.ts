import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readPageFiles } from './page-files.ts';

test('all that was built is there by its name, and nothing beside it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rlm-page-files-'));
  try {
    await expect(readPageFiles(folder)).rejects.toMatchObject({
      code: 'not_found',
      message: 'This server runs from sources whose page is not built.',
      parts: { hint: 'Run `npm run build`.' },
    });
    mkdirSync(join(folder, 'assets'));
    for (const name of ['index.html', 'LICENSES.md', 'assets/a-1.js', 'assets/b-2.css'])
      writeFileSync(join(folder, name), name);
    const files = await readPageFiles(folder);
    const types = Array.from(files, ([name, { contentType }]) => [name, contentType]);
    expect(Object.fromEntries(types)).toEqual({
      'assets/a-1.js': 'text/javascript; charset=utf-8',
      'assets/b-2.css': 'text/css; charset=utf-8',
      'index.html': 'text/html; charset=utf-8',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
