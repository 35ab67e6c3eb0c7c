import type { Sessions } from '../../store/types.ts';
import type { BenchDocument } from './cases.ts';

/** Small documents that are committed together. */
const batchSize = 256;

/** Puts a case's documents into a fresh session under a directory's name, streaming. */
export async function storeCase(
  sessions: Sessions,
  directory: string,
  documents: readonly BenchDocument[],
): Promise<{ readonly sessionId: string; readonly storedChars: number }> {
  const session = await sessions.forDirectory(directory, { create: true });
  if (session === undefined) throw new Error(`no session was made for ${directory}`);
  for (let next = 0; next < documents.length;) {
    const small = documents.slice(next, next + batchSize);
    const firstLarge = small.findIndex((document) => document.isSmall !== true);
    const batch = firstLarge < 0 ? small : small.slice(0, firstLarge);
    if (batch.length > 0) {
      await session.store.append(
        batch.map(({ path, ...document }) => ({
          kind: 'file',
          path,
          text: [...document.chunks()].join(''),
        })),
      );
      next += batch.length;
      continue;
    }
    const document = documents[next] as BenchDocument;
    await session.store.appendStream({
      kind: 'file',
      path: document.path,
      chunks: encoded(document.chunks()),
    });
    next += 1;
  }
  return { sessionId: session.id, storedChars: session.store.totals.chars };
}

async function* encoded(chunks: Iterable<string>): AsyncGenerator<Uint8Array, void, void> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}
