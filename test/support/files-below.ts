import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Fewer letters of base64 stand anywhere by chance. */
const base64Letters = 6;

/** A file as it lies below a folder. */
interface FoundFile {
  /** From the folder on. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** Every file below a folder; what goes away meanwhile is left out. */
export async function filesBelow(dir: string): Promise<readonly FoundFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async ({ parentPath, name }) => {
        const path = join(parentPath, name);
        const bytes = await readFile(path).catch(() => undefined);
        return bytes === undefined ? [] : [{ path: relative(dir, path), bytes }];
      }),
  );
  return files.flat();
}

/** The paths of the files below a folder that hold one of these texts. */
export async function filesHolding(
  dir: string,
  ...texts: readonly string[]
): Promise<readonly string[]> {
  const files = await filesBelow(dir);
  return files
    .filter(({ bytes }) => texts.some((text) => bytes.includes(text)))
    .map(({ path }) => path);
}

/**
 * Whether a word stands in a text, in whatever case: as it is, as JSON writes it, or within base64,
 * from whichever byte that begins.
 */
export function holds(text: string, word: string): boolean {
  const small = text.toLowerCase();
  return (
    small.includes(word) ||
    small.includes(JSON.stringify(word).slice(1, -1)) ||
    inBase64(text, word)
  );
}

function inBase64(text: string, word: string): boolean {
  return [0, 1, 2].some((before) => {
    const encoded = Buffer.from(' '.repeat(before) + word).toString('base64');
    // Its ends depend on what stands beside it.
    const own = encoded.slice(before === 0 ? 0 : before + 1, -4);
    if (own.length < base64Letters) return false;
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')].some((each) => text.includes(each));
  });
}
