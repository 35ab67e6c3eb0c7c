import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { randomIds, systemClock } from '../../clock.ts';
import { ingestPaths } from '../../ingest/ingest.ts';
import { silentLogger } from '../../log.ts';
import { openSessions } from '../../store/sessions.ts';
import type { Session, Sessions, SessionStore } from '../../store/types.ts';
import { CorpusText } from '../corpus-text.ts';
import { Random } from '../random.ts';

/** What to measure. */
interface StoreBenchOptions {
  /** Characters of text, one store each. */
  readonly sizesChars: readonly number[];
  /** Needs about 2.5 bytes of room per character of the largest size. */
  readonly workDir: string;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Told what is being done. */
  readonly onStep?: (step: string) => void;
}

/** Many times the same thing: median and 99th percentile, microseconds. */
interface Spread {
  readonly medianUs: number;
  readonly p99Us: number;
}

/** The figures of one size. */
export interface StoreBenchRow {
  readonly chars: number;
  readonly bytes: number;
  /**
   * One file of that size into the store, hashed, counted, synced: megabytes a second of time, and
   * of processor time.
   */
  readonly ingestMBps: number;
  readonly ingestMBpsPerCore: number;
  /** 50 KB, stored and synced; one at a time, and each of 16 at the same time. */
  readonly append: Spread;
  readonly appendOf16: Spread;
  /** `read` at random offsets by its length in characters. */
  readonly reads: Readonly<Record<'1000' | '10000' | '100000', Spread>>;
  /** The plain way to the same 10,000 characters, microseconds; only up to 100M characters. */
  readonly wholeFileUs?: number;
  /** Opening the session with its cached block table, and without. */
  readonly openMs: number;
  readonly openUncachedMs: number;
  /**
   * From an opening without the table until it is made anew in the background, the text verified:
   * so long a first search waits.
   */
  readonly rebuildMs: number;
  /** A branch of the whole store, made and opened: the median, and its text on the disk. */
  readonly branchMs: number;
  readonly branchTextBytes: number;
  /** Resident memory of the process after all that, bytes. */
  readonly memoryBytes: number;
}

const runs = 300;
const appendChars = 50_000;
const plainMaxChars = 1e8;
const branches = 7;

/** Measures the store on this machine. Everything is written below `workDir` and removed again. */
export async function benchStore(options: StoreBenchOptions): Promise<readonly StoreBenchRow[]> {
  const rows: StoreBenchRow[] = [];
  for (const chars of options.sizesChars) {
    const folder = mkdtempSync(join(options.workDir, 'rlm-bench-store-'));
    try {
      rows.push(await benchSize(folder, chars, options));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return rows;
}

/** The rows as a table for people. */
export function storeBenchTable(rows: readonly StoreBenchRow[]): string {
  const lines: readonly (readonly [string, (row: StoreBenchRow) => string])[] = [
    ['characters', (row) => `${(row.chars / 1e6).toFixed(0)}M`],
    ['ingest, MB/s', (row) => row.ingestMBps.toFixed(0)],
    ['ingest, MB/s per core', (row) => row.ingestMBpsPerCore.toFixed(0)],
    ['append 50 KB with sync, us', (row) => spreadCell(row.append)],
    ['append 50 KB, 16 at once, us each', (row) => spreadCell(row.appendOf16)],
    ['read 1,000 characters, us', (row) => spreadCell(row.reads['1000'])],
    ['read 10,000 characters, us', (row) => spreadCell(row.reads['10000'])],
    ['read 100,000 characters, us', (row) => spreadCell(row.reads['100000'])],
    ['10,000 by reading the whole file, us', (row) => row.wholeFileUs?.toFixed(0) ?? '-'],
    ['open, ms', (row) => row.openMs.toFixed(0)],
    ['open without cache, ms', (row) => row.openUncachedMs.toFixed(0)],
    ['cache made anew, ms', (row) => row.rebuildMs.toFixed(0)],
    ['branch, ms', (row) => row.branchMs.toFixed(0)],
    ['text copied for a branch, bytes', (row) => row.branchTextBytes.toFixed(0)],
    ['memory of the process, MB', (row) => (row.memoryBytes / 1e6).toFixed(0)],
  ];
  const nameWidth = Math.max(...lines.map(([name]) => name.length));
  return lines
    .map(([name, cell]) => {
      const cells = rows.map((row) => cell(row).padStart(14));
      return `${name.padEnd(nameWidth)}${cells.join('')}\n`;
    })
    .join('');
}

function spreadCell({ medianUs, p99Us }: Spread): string {
  return `${medianUs.toFixed(0)} / ${p99Us.toFixed(0)}`;
}

async function benchSize(
  folder: string,
  chars: number,
  options: StoreBenchOptions,
): Promise<StoreBenchRow> {
  const step = options.onStep ?? (() => undefined);
  const size = `${(chars / 1e6).toFixed(0)}M characters`;
  const random = new Random(options.seed);
  const file = join(folder, 'corpus.txt');
  step(`making ${size}`);
  writeText(file, chars, options.seed);
  step(`storing ${size}`);
  const ingested = await inSession(folder, (session) => ingestFile(session, file, options.signal));
  step(`reading and appending in ${size}`);
  const asked = await inSession(folder, async ({ store }) => ({
    chars: store.totals.chars,
    bytes: store.totals.bytes,
    // Before the appends, so that it is the corpus that is read.
    reads: {
      1000: await spreadOf(runs, () => readRandom(store, random, 1000)),
      10000: await spreadOf(runs, () => readRandom(store, random, 10_000)),
      100000: await spreadOf(runs, () => readRandom(store, random, 100_000)),
    },
    append: await spreadOf(runs, () => appendText(store, random)),
    appendOf16: await spreadOfGroups(runs / 16, () => appendText(store, random)),
  }));
  const { openMs } = await opening(folder);
  await removeCaches(folder);
  const { openMs: openUncachedMs, wholeMs: rebuildMs } = await opening(folder);
  step(`branching ${size}`);
  const branched = await branching(folder);
  const memoryBytes = process.memoryUsage().rss;
  const opened = { openMs, openUncachedMs, rebuildMs };
  const row = { ...ingested, ...asked, ...opened, ...branched, memoryBytes };
  if (chars > plainMaxChars) return row;
  const plain = await spreadOf(5, () => readPlainly(file, chars));
  return { ...row, wholeFileUs: plain.medianUs };
}

/** A file of about `chars` code points. */
function writeText(path: string, chars: number, seed: number): void {
  const source = new CorpusText(seed);
  const descriptor = openSync(path, 'w', 0o600);
  for (let written = 0; written < chars;) {
    const text = source.next();
    writeSync(descriptor, text);
    written += text.length;
  }
  // Else the disk would be busy with it while the store is measured.
  fsyncSync(descriptor);
  closeSync(descriptor);
}

async function removeCaches(folder: string): Promise<void> {
  const indexDir = await inSession(folder, ({ store }) => Promise.resolve(store.indexDir));
  await rm(indexDir, { recursive: true });
}

async function inSession<T>(
  folder: string,
  work: (session: Session, sessions: Sessions) => Promise<T>,
): Promise<T> {
  const dataDir = join(folder, 'data');
  const log = silentLogger();
  await using sessions = await openSessions({ dataDir, clock: systemClock, ids: randomIds, log });
  const session = await sessions.forDirectory('/bench', { create: true });
  if (session === undefined) throw new Error('no session was made');
  return await work(session, sessions);
}

async function ingestFile(
  session: Session,
  file: string,
  signal: AbortSignal,
): Promise<Pick<StoreBenchRow, 'ingestMBps' | 'ingestMBpsPerCore'>> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const { bytes } = await ingestPaths(session, [file], {
    clock: systemClock,
    workingDirectory: '/',
    signal,
  });
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { ingestMBps: bytes / 1e6 / seconds, ingestMBpsPerCore: bytes / (user + system) };
}

async function opening(
  folder: string,
): Promise<{ readonly openMs: number; readonly wholeMs: number }> {
  const startMs = performance.now();
  return inSession(folder, async ({ store }) => {
    const openMs = performance.now() - startMs;
    await store.snapshot();
    return { openMs, wholeMs: performance.now() - startMs };
  });
}

async function branching(
  folder: string,
): Promise<Pick<StoreBenchRow, 'branchMs' | 'branchTextBytes'>> {
  return inSession(folder, async ({ id, store }, sessions) => {
    await store.snapshot();
    let branchTextBytes = 0;
    const { medianUs } = await spreadOf(branches, async () => {
      const branch = await sessions.branch(id);
      branchTextBytes += (await stat(branch.store.textPath)).size;
    });
    return { branchMs: medianUs / 1000, branchTextBytes };
  });
}

async function appendText(store: SessionStore, random: Random): Promise<void> {
  const text = `${random.below(2 ** 31)} ${'one line of a tool result\n'.repeat(appendChars / 26)}`;
  await store.append([{ text, kind: 'tool_result' }]);
}

async function readRandom(store: SessionStore, random: Random, length: number): Promise<void> {
  const { chars } = store.totals;
  const slice = await store.read(random.below(Math.max(1, chars - length)), length);
  if (slice.lengthChars !== Math.min(length, chars)) throw new Error('the slice is too short');
}

async function readPlainly(file: string, chars: number): Promise<void> {
  const text = await readFile(file, 'utf8');
  if (text.slice(chars / 2, chars / 2 + 10_000).length === 0) throw new Error('nothing was read');
}

async function spreadOf(count: number, run: () => Promise<void>): Promise<Spread> {
  const times: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const startMs = performance.now();
    await run();
    times.push(performance.now() - startMs);
  }
  return spreadOfTimes(times);
}

/** Sixteen at the same time; the time of the group for each of them. */
async function spreadOfGroups(count: number, run: () => Promise<void>): Promise<Spread> {
  const group = () => Promise.all(Array.from({ length: 16 }, run)).then(() => undefined);
  const { medianUs, p99Us } = await spreadOf(count, group);
  return { medianUs: medianUs / 16, p99Us: p99Us / 16 };
}

function spreadOfTimes(timesMs: readonly number[]): Spread {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]! * 1000;
  return { medianUs: at(0.5), p99Us: at(0.99) };
}
