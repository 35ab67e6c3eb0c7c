import type { BenchCell, BenchSystem } from './cells.ts';
import { percentile, wilson } from './scoring.ts';

/** All cells of one size and system, in numbers. */
export interface BenchRow {
  readonly sizeChars: number;
  readonly system: BenchSystem;
  readonly trials: number;
  /**
   * Mean score with Wilson's interval at 95 % (exact for scores of 0 and 1, an approximation
   * between).
   */
  readonly accuracy: { readonly share: number; readonly low: number; readonly high: number };
  /** Mean score by question id. */
  readonly byQuestion: Readonly<Record<string, number>>;
  readonly failures: number;
  /** Means of one question. */
  readonly upstreamCalls: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly peakMemoryBytes: number;
  readonly diskBytesPerChar: number;
  readonly ingestCharsPerSecond: number;
}

/** One row for each size and system, in order of size. */
export function summarize(cells: readonly BenchCell[]): readonly BenchRow[] {
  const groups = Map.groupBy(cells, (cell) => `${cell.sizeChars} ${cell.system}`);
  const rows = [...groups.values()].map(rowOf);
  return rows.sort((a, b) => a.sizeChars - b.sizeChars || b.system.localeCompare(a.system));
}

function rowOf(cells: readonly BenchCell[]): BenchRow {
  const [first] = cells as [BenchCell, ...BenchCell[]];
  const total = (pick: (cell: BenchCell) => number): number =>
    cells.reduce((sum, cell) => sum + pick(cell), 0);
  const mean = (pick: (cell: BenchCell) => number): number => total(pick) / cells.length;
  const times = cells.map((cell) => cell.elapsedMs);
  const byQuestion = Map.groupBy(cells, (cell) => cell.question);
  return {
    sizeChars: first.sizeChars,
    system: first.system,
    trials: cells.length,
    accuracy: wilson(
      total((cell) => cell.score),
      cells.length,
    ),
    byQuestion: Object.fromEntries(
      [...byQuestion].map(([id, own]) => [
        id,
        own.reduce((sum, cell) => sum + cell.score, 0) / own.length,
      ]),
    ),
    failures: cells.filter((cell) => cell.error !== undefined).length,
    upstreamCalls: mean((cell) => cell.upstreamCalls),
    promptTokens: mean((cell) => cell.promptTokens),
    cachedTokens: mean((cell) => cell.cachedTokens),
    completionTokens: mean((cell) => cell.completionTokens),
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    peakMemoryBytes: Math.max(...cells.map((cell) => cell.peakMemoryBytes)),
    diskBytesPerChar: mean((cell) => cell.diskBytes / Math.max(1, cell.storedChars)),
    ingestCharsPerSecond: mean((cell) => (cell.storedChars / Math.max(1, cell.ingestMs)) * 1000),
  };
}

/** `10M`, `300K`, `1.5G`: decimal, at most three digits. */
export function shortSize(chars: number): string {
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['K', 1e3],
  ] as const)
    if (chars >= size) return `${Number((chars / size).toPrecision(3))}${unit}`;
  return String(chars);
}

const columns: readonly (readonly [string, (row: BenchRow) => string])[] = [
  ['chars', (row) => shortSize(row.sizeChars)],
  ['system', (row) => row.system],
  ['score %', (row) => (row.accuracy.share * 100).toFixed(1)],
  [
    '95 %',
    (row) => `${(row.accuracy.low * 100).toFixed(0)}-${(row.accuracy.high * 100).toFixed(0)}`,
  ],
  ['n', (row) => String(row.trials)],
  ['calls', (row) => row.upstreamCalls.toFixed(1)],
  ['prompt', (row) => row.promptTokens.toFixed(0)],
  ['cached', (row) => row.cachedTokens.toFixed(0)],
  ['output', (row) => row.completionTokens.toFixed(0)],
  ['s p50', (row) => (row.p50Ms / 1000).toFixed(2)],
  ['s p95', (row) => (row.p95Ms / 1000).toFixed(2)],
  ['peak MB', (row) => (row.peakMemoryBytes / 1e6).toFixed(0)],
  ['disk B/char', (row) => row.diskBytesPerChar.toFixed(2)],
  ['ingest M/s', (row) => (row.ingestCharsPerSecond / 1e6).toFixed(0)],
];

/** The rows as a Markdown table, lined up for a terminal too. */
export function tableOf(rows: readonly BenchRow[]): string {
  const cells = [
    columns.map(([name]) => name),
    ...rows.map((row) => columns.map(([, cell]) => cell(row))),
  ];
  const widths = columns.map((_, index) =>
    Math.max(...cells.map((line) => (line[index] ?? '').length)),
  );
  const lines = cells.map(
    (line) => `| ${line.map((text, index) => text.padStart(widths[index] ?? 0)).join(' | ')} |`,
  );
  const rule = `|${widths.map((width) => '-'.repeat(width + 1) + ':').join('|')}|`;
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}
