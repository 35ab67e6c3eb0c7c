import { readFileSync } from 'node:fs';

/**
 * The package's version. Read from package.json, which lies two folders up both in the source and
 * in the built package.
 */
export function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
