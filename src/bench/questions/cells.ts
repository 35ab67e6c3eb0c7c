import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { AskResult } from './asking.ts';
import type { BenchKind } from './cases.ts';

/** Who answered: the proxy, or the upstream without it, the whole text in the prompt. */
export type BenchSystem = 'rlm' | 'bare';

/** One question asked once, as it stands in the log. */
export interface BenchCell extends Omit<AskResult, 'text'> {
  readonly kind: BenchKind;
  readonly sizeChars: number;
  readonly seed: number;
  readonly question: string;
  readonly system: BenchSystem;
  readonly model: string;
  /** From 0 to 1. */
  readonly score: number;
  /** The beginning of the answer, for whoever wants to know why. */
  readonly answer: string;
  /** Peak of the server's process so far, bytes. */
  readonly peakMemoryBytes: number;
  /** Of the whole data directory, index included, after the question. */
  readonly diskBytes: number;
  readonly storedChars: number;
  readonly ingestMs: number;
}

/** What makes a cell the same as one of an earlier run. */
export function cellKey(
  cell: Pick<BenchCell, 'kind' | 'sizeChars' | 'seed' | 'question' | 'system' | 'model'>,
): string {
  return [cell.kind, cell.sizeChars, cell.seed, cell.question, cell.system, cell.model].join(' ');
}

/**
 * The log of finished cells: one JSON line each, written as soon as a cell is done, so that an
 * interrupted run goes on where it was.
 */
export class CellLog {
  readonly #path: string;
  readonly #cells: Map<string, BenchCell>;

  private constructor(path: string, cells: readonly BenchCell[]) {
    this.#path = path;
    this.#cells = new Map(cells.map((cell) => [cellKey(cell), cell]));
  }

  /** Reads what an earlier run left; a last line that was cut off is dropped. */
  static async open(path: string): Promise<CellLog> {
    await mkdir(dirname(path), { recursive: true });
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const end = text.lastIndexOf('\n') + 1;
    // What follows the last newline was being written when the run ended: it is asked again.
    const lines = text
      .slice(0, end)
      .split('\n')
      .filter((line) => line !== '');
    const log = new CellLog(
      path,
      lines.map((line) => JSON.parse(line) as BenchCell),
    );
    if (end < text.length) await writeFile(path, text.slice(0, end));
    return log;
  }

  get cells(): readonly BenchCell[] {
    return [...this.#cells.values()];
  }

  /** Whether a question was answered; one that failed is asked again by the next run. */
  has(key: string): boolean {
    const cell = this.#cells.get(key);
    return cell !== undefined && cell.error === undefined;
  }

  async add(cell: BenchCell): Promise<void> {
    await appendFile(this.#path, `${JSON.stringify(cell)}\n`);
    this.#cells.set(cellKey(cell), cell);
  }
}
