import { randomUUID } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Brings a stream of unknown length and speed to a file of its own (0600) in `folder`, hands its
 * path to `use`, and deletes it. A stream may wait for a person to type; the store must not.
 */
export async function spoolStream(
  stream: AsyncIterable<Uint8Array>,
  folder: string,
  signal: AbortSignal,
  use: (path: string) => Promise<void>,
): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `incoming-${randomUUID()}`);
  const file = await open(path, 'wx', 0o600);
  try {
    try {
      for await (const piece of stream) {
        signal.throwIfAborted();
        await file.writeFile(piece);
      }
    } finally {
      await file.close();
    }
    await use(path);
  } finally {
    await rm(path, { force: true });
  }
}
