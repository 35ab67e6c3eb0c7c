import { deepEqual, ok } from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '../../src/bench/random.ts';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { closedGroups } from '../../src/search/index/index-file.ts';
import { IndexJob } from '../../src/search/run/index-job.ts';
import { createControl } from '../../src/search/run/protocol.ts';
import { openScanMemory } from '../../src/search/text/scan-memory.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import { openSessions, type SessionsOptions } from '../../src/store/sessions.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { query } from '../property/search-corpus.ts';
import { RecordedDisk } from './recorded-disk.ts';
import { projectSession } from './store-harness.ts';

const patterns = ['needle\\d', 'status=2 .*needle', 'text 3 line 1 ', 'nowhere at all'];

/**
 * Text number `at`, all different: mostly small, every fifth one of more than a megabyte, so that
 * there is an index that is widened.
 */
function textOf(at: number): string {
  const lines = Array.from({ length: at % 5 === 2 ? 24_000 : 40 + at }, (_, line) => {
    const rare = line % 1_501 === at ? ` needle${at % 10}` : '';
    return `text ${at} line ${line} status=${line % 4} with é and 日本${rare} in it`;
  });
  return at % 2 === 0 ? lines.join('\n') : `${lines.join('\n')}\n`;
}

/** What a store went through, for {@link powerRound}. */
export interface RecordedStory {
  readonly disk: RecordedDisk;
  readonly texts: readonly string[];
}

/** Stores texts, indexes them, remembers chats, closes and opens again, all of it recorded. */
export async function recordStory(folder: string): Promise<RecordedStory> {
  const disk = new RecordedDisk(folder);
  const texts = Array.from({ length: 13 }, (_, at) => textOf(at));
  const memory = openScanMemory();
  for (const [from, to] of [
    [0, 8],
    [8, 13],
  ] as const) {
    await using sessions = await openStore(folder, { files: disk.files });
    const session = await projectSession(sessions);
    for (let at = from; at < to; at += 1) {
      await session.store.append([{ text: texts[at]!, kind: 'tool_result' }]);
      disk.tell(at + 1);
      await session.memory.put([{ key: `chat ${at}`, value: at }]);
      if (at % 5 === 3) await buildIndex(session, disk, memory);
    }
  }
  return { disk, texts };
}

async function buildIndex(
  { store }: Session,
  disk: RecordedDisk,
  memory: ReturnType<typeof openScanMemory>,
): Promise<void> {
  const { spans, indexDir, blocks, totals } = await store.snapshot();
  const groups = closedGroups(blocks, 0);
  const endBytes = totals.bytes;
  const task = { spans, indexDir, blocks, endBytes, segment: 0, groups, control: createControl() };
  if (groups === 0) return;
  using job = new IndexJob(task, memory, () => undefined, disk.indexDisk);
  while (job.step());
}

/**
 * Cuts the power at a moment at random, opens what is left and asks it. @throws where an entry that
 * was reported is not there, or an answer is wrong
 */
export async function powerRound(
  { disk, texts }: RecordedStory,
  folder: string,
  random: Random,
  engine: SearchEngine,
): Promise<{ readonly entries: number; readonly indexed: boolean }> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const cut = random.below(disk.operations.length + 1);
  const told = await disk.cutPower(cut, folder, random);
  // It names this very process, which lives; after a power cut the one it names does not.
  for (const name of ['owner.json', 'owner.json.takeover'])
    await rm(join(folder, name), { force: true });
  await using sessions = await openStore(folder);
  const session = await sessions.forDirectory('/project', { create: false });
  const { length: entries } = session?.store.entries ?? [];
  ok(entries >= told, `${told} entries were reported, ${entries} are there (cut at ${cut})`);
  if (session === undefined) return { entries, indexed: false };
  let indexed = false;
  for (const pattern of patterns) {
    const asked = query(pattern, { maxResults: 1_000 });
    const options = { signal: new AbortController().signal, deadlineMs: 60_000 };
    const found = await engine.search(await session.store.snapshot(), asked, options);
    const wanted = linesWith(pattern, texts.slice(0, entries));
    const lines = found.matches.map(({ text }) => text);
    deepEqual(
      [found.total, lines, found.note],
      [wanted.length, wanted, undefined],
      `cut at ${cut}`,
    );
    indexed ||= found.work.indexed;
  }
  return { entries, indexed };
}

function linesWith(pattern: string, texts: readonly string[]): readonly string[] {
  const expression = new RegExp(pattern);
  return texts.flatMap((text) => text.split('\n')).filter((line) => expression.test(line));
}

async function openStore(
  dataDir: string,
  options: Partial<SessionsOptions> = {},
): Promise<Sessions> {
  const log = silentLogger();
  return openSessions({ dataDir, clock: systemClock, ids: randomIds, log, ...options });
}
