import type { Sessions } from '../store/types.ts';
import type { BenchDocument } from './cases.ts';

/** Puts a case's documents into a fresh session under a directory's name, streaming. */
export async function storeCase(
  sessions: Sessions,
  directory: string,
  documents: readonly BenchDocument[],
): Promise<{ readonly sessionId: string; readonly storedChars: number }> {
  const session = await sessions.forDirectory(directory, { create: true });
  if (session === undefined) throw new Error(`no session was made for ${directory}`);
  for (const document of documents)
    await session.store.appendStream({
      kind: 'file',
      path: document.path,
      chunks: encoded(document.chunks()),
    });
  return { sessionId: session.id, storedChars: session.store.totals.chars };
}

async function* encoded(chunks: Iterable<string>): AsyncGenerator<Uint8Array, void, void> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}
