import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The file of that name that may be run, as a shell finds it. */
export function programOn(path: string, name: string): string | undefined {
  const candidates = path
    .split(delimiter)
    .map((folder) => join(folder === '' ? '.' : folder, name));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}
