import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Fewer letters of base64 stand anywhere by chance. */
const base64Letters = 6;

/** Every file below a folder, with its path. */
export async function filesBelow(
  dir: string,
): Promise<readonly { readonly path: string; readonly text: string }[]> {
  const names = await readdir(dir, { recursive: true, withFileTypes: true });
  return Promise.all(
    names
      .filter((entry) => entry.isFile())
      .map(async ({ parentPath, name }) => ({
        path: join(parentPath, name),
        text: await readFile(join(parentPath, name), 'utf8'),
      })),
  );
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
