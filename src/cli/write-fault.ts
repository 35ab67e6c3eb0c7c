import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProxyError } from '../errors.ts';
import { toStoreFailure } from '../store/disk/store-failure.ts';

/** Enough for the test file to take room of its own on any file system, lines. */
const testLines = 200;

/** Why no file can be written in a folder, which is made if it is not there; else undefined. */
export function writeFault(folder: string): ProxyError | undefined {
  const path = join(folder, `test-${process.pid}.tmp`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(path, 'A test file of rlm-opencode.\n'.repeat(testLines), {
      flag: 'wx',
      mode: 0o600,
      flush: true,
    });
    rmSync(path);
    return undefined;
  } catch (error) {
    if (existsSync(path)) rmSync(path);
    return toStoreFailure(error, folder);
  }
}
