import { temporaryData, type TemporaryData } from '../faults/store-harness.ts';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import type { NewEntryFacts, Session, Sessions } from '../../src/store/types.ts';
import { linkedStoresOf } from '../../src/tools/linked/linked-stores.ts';
import { allTools, ToolRegistry } from '../../src/tools/registry.ts';
import type { ToolContext } from '../../src/tools/tool.ts';

/** A text of a store. */
export interface StoreText extends Partial<NewEntryFacts> {
  readonly text: string;
}

/** Stores on disk that are linked, with a real engine over them. */
export interface LinkedBench extends AsyncDisposable {
  readonly data: TemporaryData;
  readonly sessions: Sessions;
  readonly search: SearchEngine;
  session(name: string): Session;
  context(name: string, change?: Partial<ToolContext>): ToolContext;
  /** Calls a tool in the store of `/p/<name>`, as text unless the form says otherwise. */
  call(name: string, tool: string, args: object, change?: Partial<ToolContext>): Promise<string>;
  /** The same with its fields. */
  fields(name: string, tool: string, args: object): Promise<Readonly<Record<string, unknown>>>;
}

/** Makes a store `/p/<name>` of each member; the first one is linked to all others. */
export async function linkedBench(
  stores: Readonly<Record<string, readonly StoreText[]>>,
): Promise<LinkedBench> {
  const data = await temporaryData();
  const sessions = await data.open();
  const search = openSearchEngine({ clock: systemClock, workers: 1 });
  const byName = new Map<string, Session>();
  for (const [name, texts] of Object.entries(stores)) {
    const session = await sessions.forDirectory(`/p/${name}`, { create: true });
    if (session === undefined) throw new Error('no session');
    for (const text of texts) {
      // No two texts come at the same moment.
      data.clock.advance(1);
      await session.store.append([{ kind: 'file', ...text }]);
    }
    byName.set(name, session);
  }
  const [own, ...others] = [...byName];
  for (const [as, session] of others)
    await own![1].events.add({
      type: 'link',
      timeMs: 1,
      sessionId: session.id,
      as,
      directory: `/p/${as}`,
    });
  const session = (name: string): Session => {
    const found = byName.get(name);
    if (found === undefined) throw new Error(`no store ${name}`);
    return found;
  };
  const context = (name: string, change: Partial<ToolContext> = {}): ToolContext => ({
    session: session(name),
    linked: linkedStoresOf(sessions, session(name)),
    search,
    signal: new AbortController().signal,
    clock: systemClock,
    // Workers start slowly on a busy machine.
    searchDeadlineMs: 60_000,
    maxResultChars: 20_000,
    ...change,
  });
  const registry = new ToolRegistry(allTools).linked;
  const call: LinkedBench['call'] = async (name, tool, args, change) =>
    registry.run(
      {
        id: 'c',
        type: 'function',
        function: { name: tool, arguments: JSON.stringify(args) },
      },
      context(name, change),
    );
  return {
    data,
    sessions,
    search,
    session,
    context,
    call,
    fields: async (name, tool, args) =>
      JSON.parse(await call(name, tool, { ...args, format: 'json' })) as Record<string, unknown>,
    [Symbol.asyncDispose]: async () => {
      await search[Symbol.asyncDispose]();
      await sessions[Symbol.asyncDispose]();
      await data[Symbol.asyncDispose]();
    },
  };
}
