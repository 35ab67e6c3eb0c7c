import { z } from 'zod';
import type { Sessions } from '../store/types.ts';
import { titleOf } from '../tools/entry-title.ts';
import { linkedStoresOf } from '../tools/linked/linked-stores.ts';
import { readingTools as tools, ToolRegistry } from '../tools/registry.ts';
import { choiceArgs, chosenSession, type SessionChoice } from './session-choice.ts';

const registry = new ToolRegistry(tools);

/** Which page of a store's entries is wanted. */
export const listArgs = z.strictObject({
  ...choiceArgs,
  /** The number of an entry: those before it. Absent: the newest. */
  before: z.int().min(1).optional(),
  limit: z.int().min(1).max(2_000),
});

/**
 * The tools that read a store, as its state lets them be described (linked stores, or none), and
 * which store it is: no session where nothing is stored yet.
 */
export async function* readingTools(
  choice: SessionChoice,
  { sessions }: { readonly sessions: Sessions },
): AsyncGenerator<{ readonly result: object }> {
  const session = await chosenSession(sessions, choice);
  const isLinked = session !== undefined && linkedStoresOf(sessions, session) !== undefined;
  const { definitions } = isLinked ? registry.linked : registry;
  const { id, directory } = session ?? {};
  yield { result: { session: id, directory, tools: definitions } };
}

/** Entries of a store, the newest first. The result is `null` where nothing is stored yet. */
export async function* listEntries(
  { before = Infinity, limit, ...choice }: z.infer<typeof listArgs>,
  { sessions }: { readonly sessions: Sessions },
): AsyncGenerator<{ readonly result: object | null }> {
  const session = await chosenSession(sessions, choice);
  if (session === undefined) {
    yield { result: null };
    return;
  }
  const { store } = session;
  const end = Math.min(store.totals.entries, before - 1);
  const start = Math.max(0, end - limit);
  const entries = [];
  for (const entry of store.entries.slice(start, end).reverse()) {
    const { id, kind, tool, lengthBytes, lineCount, timeMs, forgotten } = entry;
    entries.push({
      id,
      kind,
      tool,
      title: await titleOf(store, entry),
      sizeBytes: forgotten === undefined ? lengthBytes : 0,
      lines: lineCount,
      timeMs,
    });
  }
  yield { result: { session: session.id, entries, ...(start > 0 && { next: start + 1 }) } };
}
