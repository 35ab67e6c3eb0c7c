import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '../../clock.ts';
import { openSearchEngine } from '../../search/engine.ts';
import type { Corpus, SearchEngine, SearchQuery, SearchResult } from '../../search/types.ts';
import { BlockTable } from '../../store/text/block-table.ts';
import { wholeFile } from '../../base/text-spans.ts';
import { writeCorpus, type CorpusFile } from './corpus-file.ts';
import { hostileCases, searchBenchCases, toRipgrep, type SearchBenchCase } from './search-cases.ts';

/** What to measure. */
interface SearchBenchOptions {
  /** Characters of text, one corpus each. */
  readonly sizesChars: readonly number[];
  /** Needs about 1.4 bytes of room per character. */
  readonly workDir: string;
  readonly seed: number;
  /** Runs of each query and engine, after one to warm up. */
  readonly runs: number;
  readonly signal: AbortSignal;
  /** Told what is being done. */
  readonly onStep?: (step: string) => void;
}

/** One query: medians in milliseconds, end to end from the main thread. */
interface SearchBenchRow extends SearchBenchCase {
  readonly lines: number;
  /** What ripgrep counts; the same, or something is wrong. */
  readonly ripgrepLines: number;
  readonly indexedMs: number;
  readonly scanMs: number;
  /** `rg -c` as a process started from here. */
  readonly ripgrepMs: number;
  /** Share of the text that was read with the index. */
  readonly readShare: number;
}

/** The figures of one size. */
export interface SearchBenchResult {
  readonly chars: number;
  readonly bytes: number;
  readonly indexMBps: number;
  /** Per second of processor time. */
  readonly indexMBpsPerCore: number;
  /** Index size by text size. */
  readonly indexShare: number;
  readonly rows: readonly SearchBenchRow[];
  /** The slowest hostile pattern: the first time it is met. */
  readonly hostileMs: number;
  /** How long past a deadline of 100 ms an answer came at most. */
  readonly overshootMs: number;
  /** Resident memory above that of the idle engine, bytes, at its highest. */
  readonly memoryBytes: number;
  /** How late the event loop was while two searches ran flat out. */
  readonly loopLagMs: { readonly p99: number; readonly max: number };
}

/**
 * Measures the search on this machine, with ripgrep in the same run. Everything is written below
 * `workDir` and removed again.
 */
export async function benchSearch(
  options: SearchBenchOptions,
): Promise<readonly SearchBenchResult[]> {
  const results: SearchBenchResult[] = [];
  for (const chars of options.sizesChars) {
    const folder = mkdtempSync(join(options.workDir, 'rlm-bench-search-'));
    try {
      results.push(await new SizeBench(folder, chars, options).run());
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return results;
}

class SizeBench {
  readonly #options: SearchBenchOptions;
  readonly #chars: number;
  readonly #folder: string;
  #idleBytes = 0;
  #peakBytes = 0;

  constructor(folder: string, chars: number, options: SearchBenchOptions) {
    this.#folder = folder;
    this.#chars = chars;
    this.#options = options;
  }

  async run(): Promise<SearchBenchResult> {
    this.#say('writing the text');
    const corpus = writeCorpus(this.#folder, this.#chars, this.#options.seed);
    const ripgrep = await findRipgrep();
    await using engine = openSearchEngine({ clock: systemClock });
    await engine.search(corpus, ask('warm-up'), this.#limits());
    const index = await this.#index(engine, corpus);
    this.#idleBytes = process.memoryUsage.rss();
    const rows: SearchBenchRow[] = [];
    for (const one of searchBenchCases) {
      this.#say(one.pattern);
      rows.push(await this.#row(engine, corpus, ripgrep, one));
    }
    const loopLagMs = await this.#loopLag(engine, corpus);
    const overshootMs = await this.#overshoot(engine, corpus);
    const memoryBytes = this.#peakBytes - this.#idleBytes;
    const hostileMs = await this.#hostile(engine);
    const { bytes, chars } = corpus.totals;
    return { chars, bytes, ...index, rows, hostileMs, overshootMs, memoryBytes, loopLagMs };
  }

  #say(step: string): void {
    this.#options.onStep?.(`${(this.#chars / 1e6).toFixed(0)}M characters: ${step}`);
  }

  #limits(deadlineMs = 60_000): { signal: AbortSignal; deadlineMs: number } {
    return { signal: this.#options.signal, deadlineMs };
  }

  async #index(
    engine: SearchEngine,
    corpus: Corpus,
  ): Promise<Pick<SearchBenchResult, 'indexMBps' | 'indexMBpsPerCore' | 'indexShare'>> {
    this.#say('building the index');
    const start = performance.now();
    const cpu = process.cpuUsage();
    await engine.index(corpus, this.#options.signal);
    const ms = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    const megabytes = corpus.totals.bytes / 1e6;
    return {
      indexMBps: (1_000 * megabytes) / ms,
      indexMBpsPerCore: (1e6 * megabytes) / (user + system),
      indexShare: folderBytes(corpus.indexDir) / corpus.totals.bytes,
    };
  }

  async #row(
    engine: SearchEngine,
    corpus: CorpusFile,
    ripgrep: string,
    one: SearchBenchCase,
  ): Promise<SearchBenchRow> {
    const unindexed: Corpus = { ...corpus, indexDir: join(this.#folder, 'none') };
    const times = { indexed: [] as number[], scan: [] as number[], ripgrep: [] as number[] };
    let result: SearchResult | undefined;
    let ripgrepLines = 0;
    for (let run = 0; run <= this.#options.runs; run++) {
      const indexed = await timed(() => engine.search(corpus, ask(one.pattern), this.#limits()));
      const scan = await timed(() => engine.search(unindexed, ask(one.pattern), this.#limits()));
      const other = await timed(() => countByRipgrep(ripgrep, one.pattern, corpus.textPath));
      this.#peakBytes = Math.max(this.#peakBytes, process.memoryUsage.rss());
      result = indexed.value;
      ripgrepLines = other.value;
      if (run === 0) continue;
      times.indexed.push(indexed.ms);
      times.scan.push(scan.ms);
      times.ripgrep.push(other.ms);
    }
    return {
      ...one,
      lines: result?.total ?? 0,
      ripgrepLines,
      indexedMs: median(times.indexed),
      scanMs: median(times.scan),
      ripgrepMs: median(times.ripgrep),
      readShare: (result?.work.bytesRead ?? 0) / corpus.totals.bytes,
    };
  }

  async #loopLag(engine: SearchEngine, corpus: Corpus): Promise<SearchBenchResult['loopLagMs']> {
    this.#say('two searches flat out');
    const unindexed: Corpus = { ...corpus, indexDir: join(this.#folder, 'none') };
    const lag = monitorEventLoopDelay({ resolution: 1 });
    lag.enable();
    const until = performance.now() + 3_000;
    const loop = async (pattern: string): Promise<void> => {
      while (performance.now() < until) {
        await engine.search(unindexed, ask(pattern), this.#limits());
      }
    };
    await Promise.all([loop('\\w+\\s+\\w+'), loop('\\d{1,3}(\\.\\d{1,3}){3}')]);
    lag.disable();
    // The monitor's own interval of 1 ms is in its figures.
    return { p99: lag.percentile(99) / 1e6 - 1, max: lag.max / 1e6 - 1 };
  }

  async #overshoot(engine: SearchEngine, corpus: Corpus): Promise<number> {
    let worst = 0;
    for (const pattern of [
      '[a-z]+x[^q]{1,200}(?=zzq)',
      '(\\w)\\1\\1\\1\\1',
      '(?:\\w*a\\w{14})c9',
    ]) {
      const { ms } = await timed(() => engine.search(corpus, ask(pattern), this.#limits(100)));
      worst = Math.max(worst, ms - 100);
    }
    return worst;
  }

  async #hostile(engine: SearchEngine): Promise<number> {
    let worst = 0;
    for (const [i, { pattern, line }] of hostileCases.entries()) {
      const textPath = join(this.#folder, `hostile-${i}.txt`);
      const text = Buffer.from(`${line}\n`);
      writeFileSync(textPath, text);
      const table = new BlockTable();
      table.feed(text);
      table.commit();
      const totals = { bytes: text.length, chars: text.length, lines: 1 };
      const corpus = {
        sessionId: 'sess_bench',
        spans: wholeFile(textPath),
        indexDir: '',
        totals,
        blocks: table.committed,
      };
      const { ms } = await timed(() => engine.search(corpus, ask(pattern), this.#limits()));
      worst = Math.max(worst, ms);
    }
    return worst;
  }
}

/** The results as tables for people. */
export function searchBenchTable(results: readonly SearchBenchResult[]): string {
  return results.map(sizeTable).join('\n\n');
}

function sizeTable(result: SearchBenchResult): string {
  const head = `${(result.chars / 1e6).toFixed(0)}M characters (${(result.bytes / 1e6).toFixed(0)} MB); milliseconds, median; rg/x = how many times as long rg -c takes`;
  const columns = `${'pattern'.padEnd(28)} ${'kind'.padEnd(9)} ${'lines'.padStart(9)} ${'read %'.padStart(7)} ${'indexed'.padStart(9)} ${'scan'.padStart(8)} ${'rg -c'.padStart(8)} ${'rg/indexed'.padStart(10)} ${'rg/scan'.padStart(8)}`;
  const rows = result.rows.map((row) => {
    const lines =
      row.lines === row.ripgrepLines ? String(row.lines) : `${row.lines}!=${row.ripgrepLines}`;
    return [
      row.pattern.slice(0, 28).padEnd(28),
      row.kind.padEnd(9),
      lines.padStart(9),
      (100 * row.readShare).toFixed(2).padStart(7),
      row.indexedMs.toFixed(2).padStart(9),
      row.scanMs.toFixed(1).padStart(8),
      row.ripgrepMs.toFixed(1).padStart(8),
      `x${(row.ripgrepMs / row.indexedMs).toFixed(1)}`.padStart(10),
      `x${(row.ripgrepMs / row.scanMs).toFixed(2)}`.padStart(8),
    ].join(' ');
  });
  return [
    head,
    columns,
    ...rows,
    `index: ${result.indexMBps.toFixed(0)} MB/s, ${result.indexMBpsPerCore.toFixed(0)} MB/s per core, ${(100 * result.indexShare).toFixed(1)} % of the text`,
    `hostile patterns: ${result.hostileMs.toFixed(1)} ms at most; past a deadline: ${result.overshootMs.toFixed(1)} ms at most`,
    `memory over idle: ${(result.memoryBytes / 2 ** 20).toFixed(0)} MiB; event loop late: p99 ${result.loopLagMs.p99.toFixed(1)} ms, max ${result.loopLagMs.max.toFixed(1)} ms`,
  ].join('\n');
}

function ask(pattern: string): SearchQuery {
  return {
    pattern,
    literal: false,
    caseSensitive: true,
    maxResults: 50,
    contextLines: 0,
    order: 'newest',
    maxLineChars: 2_000,
  };
}

/**
 * A development dependency: the published package has no use for it. @throws Error where it is not
 * installed
 */
export async function findRipgrep(): Promise<string> {
  const { rgPath } = await import('@vscode/ripgrep');
  return rgPath;
}

/** Lines that match in a file, as `rg -c` counts them. `pattern` is in our spelling. */
export async function countByRipgrep(
  ripgrep: string,
  pattern: string,
  path: string,
): Promise<number> {
  const args = ['--no-config', '-c', '-e', toRipgrep(pattern), path];
  const child = spawn(ripgrep, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  return Number(output.trim() || 0);
}

async function timed<Value>(
  run: () => Promise<Value>,
): Promise<{ readonly value: Value; readonly ms: number }> {
  const start = performance.now();
  const value = await run();
  return { value, ms: performance.now() - start };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function folderBytes(folder: string): number {
  // A text of a few blocks has no index.
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
