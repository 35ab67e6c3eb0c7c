import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSessions } from '../../src/store/sessions.ts';
import { crashText } from './crash-text.ts';
import { projectSession } from './store-harness.ts';

/**
 * Deletes what can be made again: the writer that comes next makes the block table anew while it
 * writes, and is killed in it.
 */
export async function removeCaches(dataDir: string): Promise<void> {
  const folder = join(dataDir, 'sessions');
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (name.endsWith('_index')) await rm(join(folder, name), { recursive: true });
  }
}

/** What a round of {@link crashRound} saw. */
export interface CrashRound {
  /**
   * Entries whose commit the writer had reported when it was killed, and those that were there
   * afterwards.
   */
  readonly reported: number;
  readonly found: number;
}

/**
 * Starts a writer on `dataDir`, kills it after `afterReports` commits and `delayMs` more, opens
 * what it left and compares all of it with what was sent. Throws where a reported text is missing
 * or anything is there that was not sent.
 */
export async function crashRound(
  dataDir: string,
  afterReports: number,
  delayMs: number,
): Promise<CrashRound> {
  const writer = new URL('crash-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [writer, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let reported = 0;
  let remembered = 0;
  let reports = 0;
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    reports += 1;
    if (line.startsWith('m ')) remembered = Number(line.slice(2));
    else reported = Number(line) + 1;
    if (reports === afterReports) setTimeout(() => child.kill('SIGKILL'), delayMs);
  }
  await exited;
  if (reports < afterReports)
    throw new Error(`the writer stopped by itself after ${reports} reports`);
  return { reported, found: await checkLeft(dataDir, reported, remembered) };
}

async function checkLeft(dataDir: string, reported: number, remembered: number): Promise<number> {
  await using sessions = await openSessions({
    dataDir,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
  const { store, memory } = await projectSession(sessions);
  const found = store.entries.length;
  if (found < reported) throw new Error(`text ${found} was committed and is lost`);
  const damaged = await store.verify();
  if (damaged.length > 0) throw new Error(`entry ${damaged[0]!.id} is damaged`);
  let chars = 0;
  for (const [index, entry] of store.entries.entries()) {
    const sent = crashText(index);
    if ((await store.readEntry(entry)) !== sent) throw new Error(`text ${index} is another`);
    chars += entry.lengthChars + (sent.endsWith('\n') ? 0 : 1);
  }
  if (store.totals.chars !== chars) throw new Error('the totals are wrong');
  const last = await store.read(chars - 1, 10);
  if (last.text !== '\n') throw new Error('there is text behind the last entry');
  if (remembered > 0 && (await memory.get(`chat-${remembered}`)) !== remembered) {
    throw new Error(`chat record ${remembered} was committed and is lost`);
  }
  return found;
}
