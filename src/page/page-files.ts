import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { ProxyError } from '../errors.ts';
import type { PageFile } from '../http/handlers.ts';

/** Where the build has put the page: beside this file, or where the sources are built to. */
const builtFolder = import.meta.filename.endsWith('.ts')
  ? join(import.meta.dirname, '../../dist/page/ui')
  : join(import.meta.dirname, 'ui');

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * All files of the page by their name, such as `assets/index-1a2b.js`: some 200 KB. Read at once,
 * so that they belong together whatever is installed meanwhile. @throws ProxyError `not_found`
 * where the page was not built
 */
export async function readPageFiles(folder = builtFolder): Promise<ReadonlyMap<string, PageFile>> {
  try {
    const assets = (await readdir(join(folder, 'assets'))).map((name) => `assets/${name}`);
    const files = ['index.html', ...assets].map(async (name) => {
      const contentType = contentTypes[extname(name)] ?? 'application/octet-stream';
      return [name, { contentType, bytes: await readFile(join(folder, name)) }] as const;
    });
    return new Map(await Promise.all(files));
  } catch (cause) {
    throw new ProxyError('not_found', 'This server runs from sources whose page is not built.', {
      cause,
      hint: 'Run `npm run build`.',
    });
  }
}
