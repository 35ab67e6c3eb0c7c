// Ten linked stores against one that holds all their texts: `node test/long/linked.ts [characters of
// each] [rounds] [folder]`. Prints, for each question, the median time of both and the blocks that
// they read. Stores that are in the folder are asked as they are; without a folder they are made,
// which takes minutes for 10 x 100M, and deleted again.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CorpusText } from '../../src/bench/corpus-text.ts';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { linkedStoresOf } from '../../src/tools/linked/linked-stores.ts';
import { readingTools, ToolRegistry } from '../../src/tools/registry.ts';

const chars = Number(process.argv[2] ?? 100_000_000);
const rounds = Number(process.argv[3] ?? 5);
const keptFolder = process.argv[4];
/** Questions before times are taken: until V8 has compiled what runs often. */
const warmUpRounds = 200;
const storeCount = 10;
/** Texts of a store: as long as large outputs are. */
const textChars = 1_000_000;

const folder = keptFolder ?? (await mkdtemp(join(tmpdir(), 'rlm-linked-')));
const sessions = await openSessions({
  dataDir: folder,
  clock: systemClock,
  ids: randomIds,
  log: silentLogger(),
});
const engine = openSearchEngine({ clock: systemClock });
let blocksRead = 0;
const counted: SearchEngine = {
  ...engine,
  search: async (corpus, query, options) => {
    const result = await engine.search(corpus, query, options);
    blocksRead += result.work.blocksRead;
    return result;
  },
  searchSmall: async (corpus, query, options) => {
    const result = await engine.searchSmall(corpus, query, options);
    blocksRead += result?.work.blocksRead ?? 0;
    return result;
  },
  index: async (corpus, signal) => engine.index(corpus, signal),
};

async function storeOf(name: string): Promise<Session> {
  const session = await sessions.forDirectory(`/${name}`, { create: true });
  if (session === undefined) throw new Error('no session');
  return session;
}

/** Fills a store with the texts of some seeds. */
async function fill(session: Session, seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const corpus = new CorpusText(seed);
    for (let left = chars; left > 0; left -= textChars) {
      const pieces: string[] = [];
      for (let size = 0; size < Math.min(left, textChars);) {
        const piece = corpus.next();
        pieces.push(piece);
        size += piece.length;
      }
      await session.store.append([{ kind: 'file', text: pieces.join('') }]);
    }
  }
}

const registry = new ToolRegistry(readingTools);

async function ask(
  session: Session,
  args: object,
): Promise<{ readonly ms: number; readonly found: string }> {
  const startedMs = performance.now();
  const text = await registry.run(
    {
      id: 'c',
      type: 'function',
      function: { name: 'rlm_search', arguments: JSON.stringify({ ...args, format: 'json' }) },
    },
    {
      session,
      linked: linkedStoresOf(sessions, session),
      search: counted,
      signal: new AbortController().signal,
      clock: systemClock,
      searchDeadlineMs: 600_000,
      maxResultChars: 20_000,
      isExplained: false,
    },
  );
  const { total, groups } = JSON.parse(text) as { total: number; groups?: readonly object[] };
  return {
    ms: performance.now() - startedMs,
    found: `${total} lines, ${groups?.length ?? 0} groups`,
  };
}

const seeds = Array.from({ length: storeCount }, (_, index) => index + 1);
const [first, ...others] = await Promise.all(seeds.map(async (seed) => storeOf(`part-${seed}`)));
const whole = await storeOf('whole');
if (whole.store.totals.entries === 0) {
  for (const [index, session] of [first!, ...others].entries())
    await fill(session, [seeds[index]!]);
  for (const [index, { id: sessionId }] of others.entries())
    await first!.events.add({ type: 'link', timeMs: 1, sessionId, as: `other-${index + 1}` });
  await fill(whole, seeds);
}
// As a server does once nothing has come for a minute, or a linked store is opened.
for (const { store } of [first!, ...others, whole])
  await engine.index(await store.snapshot(), new AbortController().signal, true);

for (let round = 0; round < warmUpRounds; round += 1)
  for (const [session, scope] of [
    [whole, 'session'],
    [first!, 'linked'],
  ] as const)
    await ask(session, { pattern: 'words to warm.*up', scope });

for (const question of [
  { pattern: 'retry.*timeout' },
  { pattern: 'handle[A-Z]\\w+\\(' },
  { pattern: 'no such words anywhere' },
  { pattern: '(ERROR|WARN)', aggregate: 'count_by', group: 1 },
]) {
  const asked = { one: whole, ten: first! };
  const times: Record<keyof typeof asked, number[]> = { one: [], ten: [] };
  const blocks = { one: 0, ten: 0 };
  const found = { one: '', ten: '' };
  // Turn about, so that both meet the same machine.
  for (let round = 0; round < rounds; round += 1) {
    for (const which of ['one', 'ten'] as const) {
      blocksRead = 0;
      const scope = which === 'one' ? 'session' : 'linked';
      const answer = await ask(asked[which], { ...question, scope });
      blocks[which] = blocksRead;
      found[which] = answer.found;
      times[which].push(answer.ms);
    }
  }
  if (found.one !== found.ten) throw new Error(`${found.one} is not ${found.ten}`);
  const median = (which: keyof typeof asked): number =>
    Number(times[which].toSorted((a, b) => a - b)[rounds >> 1]!.toFixed(2));
  const ratio = Number((median('ten') / median('one')).toFixed(2));
  const ms = { one: median('one'), ten: median('ten') };
  console.log(JSON.stringify({ question, found: found.one, ms, blocks, ratio }));
}
await engine[Symbol.asyncDispose]();
await sessions[Symbol.asyncDispose]();
if (keptFolder === undefined) await rm(folder, { recursive: true });
