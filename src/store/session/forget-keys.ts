import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { replaceFile, type Files } from '../disk/files.ts';

/**
 * The keys of the hashes by which forgotten texts are known. A hash cannot be made with another
 * key, so a store that came with an archive needs the key of the machine where its texts were
 * forgotten: keys travel with archives, and a data directory knows several.
 */
export interface ForgetKeys {
  /** What new hashes are made with; undefined before the first. */
  readonly own: Buffer | undefined;
  /** Those that came with archives. */
  readonly others: readonly Buffer[];
}

/** Length of a key, bytes: that of the hash, as RFC 2104 asks for. */
const keyBytes = 32;
/** So many are taken from one archive at most, and are looked at for each text that comes. */
export const maxForgetKeys = 100;

function ownPath(dataDir: string): string {
  return join(dataDir, 'mappings', 'forget.key');
}

/** A line a key, as in an archive. */
function othersPath(dataDir: string): string {
  return join(dataDir, 'mappings', 'forget.keys');
}

/** All keys that a data directory knows: its own, `mappings/forget.key`, and the others. */
export async function readForgetKeys(files: Files, dataDir: string): Promise<ForgetKeys> {
  const own = await files.readWhole(ownPath(dataDir));
  const lines = await files.readWhole(othersPath(dataDir));
  return { own, others: (lines && decodeForgetKeys(lines)) ?? [] };
}

/** The key that new hashes are made with; made where there is none yet. */
export async function ownForgetKey(files: Files, dataDir: string): Promise<Buffer> {
  const path = ownPath(dataDir);
  const known = await files.readWhole(path);
  if (known !== undefined) return known;
  const fresh = randomBytes(keyBytes);
  await files.createExclusive(path, fresh);
  await files.syncDirectory(dirname(path));
  return fresh;
}

/** Takes over keys that came with an archive: they are on the disk when this resolves. */
export async function addForgetKeys(
  files: Files,
  dataDir: string,
  keys: readonly Buffer[],
): Promise<void> {
  const { own, others } = await readForgetKeys(files, dataDir);
  const known = new Set([own, ...others].map((key) => key?.toString('hex')));
  const fresh = keys.filter((key) => !known.has(key.toString('hex')));
  if (fresh.length === 0) return;
  await replaceFile(files, othersPath(dataDir), encodeForgetKeys([...others, ...fresh]));
}

/** Keys as lines of hexadecimal digits. */
export function encodeForgetKeys(keys: readonly Buffer[]): Buffer {
  return Buffer.from(keys.map((key) => `${key.toString('hex')}\n`).join(''));
}

/** Such lines as keys; undefined where they are none. */
export function decodeForgetKeys(bytes: Buffer): readonly Buffer[] | undefined {
  const lines = bytes.toString('latin1').split('\n');
  const isSound = lines.pop() === '' && lines.every((line) => /^[0-9a-f]{64}$/.test(line));
  return isSound ? lines.map((line) => Buffer.from(line, 'hex')) : undefined;
}
