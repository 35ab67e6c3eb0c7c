// A machine without anything of a shared store until its first complete search, against storing the
// same text in a store of one's own: `node test/long/team-cold.ts [characters]`. Then the questions
// of `bench search` to the replica and to the local store, turn about: whether both find the same,
// and the medians of how long each takes, by the clock and of processor time, which others on the
// machine change less. Needs PostgreSQL's programs.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CorpusText } from '../../src/bench/corpus-text.ts';
import { searchBenchCases } from '../../src/bench/engine/search-cases.ts';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchQuery } from '../../src/search/types.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { openSharedSessions } from '../../src/shared/shared-sessions.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { noPostgres, startPostgres } from '../support/postgres.ts';

if (noPostgres !== undefined) {
  console.log(noPostgres);
  process.exit(0);
}
const chars = Number(process.argv[2] ?? 1_000_000_000);
/** Texts of a store: as long as large outputs are. */
const textChars = 1_000_000;

await using postgres = await startPostgres();
const folder = await mkdtemp(join(tmpdir(), 'rlm-cold-'));
await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
const engine = openSearchEngine({ clock: systemClock });
const common = { clock: systemClock, ids: randomIds, log: silentLogger() };

const machine = async (name: string): ReturnType<typeof openSharedSessions> =>
  openSharedSessions({
    ...common,
    dataDir: join(folder, name),
    url: postgres.url(),
    waitMs: 10_000,
    spoolBytes: 1_000_000,
    onProgress: (_id, { pos }) => process.stderr.write(`\rrow ${pos} `),
  });
const storeOf = async (sessions: Sessions): Promise<Session> =>
  (await sessions.forDirectory('/cold', { create: true, project: 'cold' }))!;

/** How long storing takes, without making the texts; milliseconds. */
async function fill(session: Session): Promise<number> {
  let tookMs = 0;
  const corpus = new CorpusText(7);
  for (let left = chars; left > 0; left -= textChars) {
    const pieces: string[] = [];
    for (let size = 0; size < Math.min(left, textChars);) {
      const piece = corpus.next();
      pieces.push(piece);
      size += piece.length;
    }
    const text = pieces.join('');
    const [ms] = await timed(async () => session.store.append([{ kind: 'file', text }]));
    tookMs += ms;
  }
  return tookMs;
}

interface Medians {
  readonly ms: number;
  readonly processorMs: number;
  readonly found: string;
}

async function timed<T>(work: () => Promise<T>): Promise<readonly [number, T]> {
  const startMs = performance.now();
  const result = await work();
  return [performance.now() - startMs, result];
}

const { signal } = new AbortController();
const search = async ({ store }: Session, pattern: string): Promise<unknown> => {
  const query: SearchQuery = {
    pattern,
    literal: false,
    caseSensitive: true,
    maxResults: 10,
    contextLines: 0,
    order: 'oldest',
    maxLineChars: 400,
  };
  const { work: _, ...found } = await engine.search(await store.snapshot(), query, {
    deadlineMs: 600_000,
    signal,
  });
  return found;
};

const local = await openSessions({ ...common, dataDir: join(folder, 'local') });
const own = await storeOf(local);
const ingestMs = await fill(own);
const writer = await machine('writer');
const pushMs = await fill(await storeOf(writer));
await writer[Symbol.asyncDispose]();

const reader = await machine('reader');
const [coldMs, cold] = await timed(async () => {
  const session = await storeOf(reader);
  await search(session, 'no such words anywhere');
  return session;
});
console.log(
  `${chars} characters: stored ${(ingestMs / 1_000).toFixed(1)} s, shared ${(pushMs / 1_000).toFixed(1)} s, cold ${(coldMs / 1_000).toFixed(1)} s: ${(coldMs / ingestMs).toFixed(2)}`,
);
for (const session of [own, cold]) await engine.index(await session.store.snapshot(), signal);
const runs = 7;
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!;
const ratios = { ms: [] as number[], processorMs: [] as number[] };
for (const { pattern, kind } of searchBenchCases) {
  const taken = [own, cold].map((session) => ({
    session,
    ms: [] as number[],
    processorMs: [] as number[],
    found: '',
  }));
  // The first is to warm up; who begins changes.
  for (let run = 0; run <= runs; run += 1) {
    for (const each of run % 2 === 0 ? taken : taken.toReversed()) {
      const before = process.cpuUsage();
      const [ms, found] = await timed(async () => search(each.session, pattern));
      const { user, system } = process.cpuUsage(before);
      each.found = JSON.stringify(found);
      if (run === 0) continue;
      each.ms.push(ms);
      each.processorMs.push((user + system) / 1_000);
    }
  }
  const [here, there] = taken.map(({ ms, processorMs, found }) => ({
    ms: median(ms),
    processorMs: median(processorMs),
    found,
  })) as [Medians, Medians];
  ratios.ms.push(there.ms / here.ms);
  ratios.processorMs.push(there.processorMs / here.processorMs);
  console.log(
    pattern.slice(0, 40).padEnd(40),
    kind.padEnd(9),
    `local ${here.ms.toFixed(1)} ms, replica ${there.ms.toFixed(1)} ms`,
    `(processor ${here.processorMs.toFixed(1)}, ${there.processorMs.toFixed(1)})`,
    here.found === there.found ? 'the same' : 'OTHERS',
  );
}
console.log('replica to local, the middle of all questions:', {
  ms: median(ratios.ms).toFixed(3),
  processorMs: median(ratios.processorMs).toFixed(3),
});
await reader[Symbol.asyncDispose]();
await local[Symbol.asyncDispose]();
await engine[Symbol.asyncDispose]();
await rm(folder, { recursive: true, force: true });
