// A store of a size is brought to half of it while texts go on being stored: `node test/long/gc.ts
// [megabytes]` (1000). Prints what was copied, how much of it while the store was closed, the peak
// of memory before and with it, and what the text takes on the disk.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSessions } from '../../src/store/sessions.ts';
import { sessionPaths } from '../../src/store/disk/session-paths.ts';

const megabytes = Number(process.argv[2] ?? 1000);
const hourMs = 3_600_000;
const textBytes = 100_000;
const dataDir = await mkdtemp(join(tmpdir(), 'rlm-gc-'));
let laterMs = 0;
const options = {
  dataDir,
  clock: { ...systemClock, now: () => systemClock.now() + laterMs },
  ids: randomIds,
  log: silentLogger(),
};

function textOf(number: number): string {
  return `text ${number}: ${'of a gc '.repeat(textBytes / 8)}\n`;
}

/** Resident now, megabytes. */
function memory(): number {
  return Math.round(process.memoryUsage().rss / 1e6);
}

try {
  let id: string;
  {
    await using sessions = await openSessions(options);
    const session = await sessions.forDirectory('/gc', { create: true });
    if (session === undefined) throw new Error('no session');
    ({ id } = session);
    for (let number = 0; number < megabytes * 10; number += 10) {
      const texts = Array.from({ length: 10 }, (_, at) => textOf(number + at));
      await session.store.append(texts.map((text) => ({ text, kind: 'tool_result' as const })));
    }
  }
  laterMs = 2 * hourMs;
  const before = memory();
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, memory());
  }, 20);
  const bounds = { storeBytes: megabytes * 500_000 };
  await using sessions = await openSessions({ ...options, bounds });
  const { store } = await sessions.byId(id);
  const tidying = { isDone: false };
  const chat = async (): Promise<number> => {
    let read = 0;
    while (!tidying.isDone) {
      const entry = store.entries[megabytes * 10 - 1 - (read % 100)]!;
      if ((await store.readEntry(entry)) !== textOf(entry.seq - 1)) throw new Error('other text');
      read += 1;
      await systemClock.sleep(5);
    }
    return read;
  };
  const chatting = chat();
  const { texts, bytes, copiedBytes, closedBytes } = await sessions.tidy({ isTrial: false });
  tidying.isDone = true;
  const read = await chatting;
  clearInterval(sampling);
  const taken = (await stat(sessionPaths(dataDir, id).text)).blocks * 512;
  const damage = (await sessions.check(id)).damage.length;
  const told = { texts, bytes, copiedBytes, closedBytes, read, before, peak, taken, damage };
  process.stdout.write(`${JSON.stringify(told)}\n`);
} finally {
  await rm(dataDir, { recursive: true, force: true });
}
