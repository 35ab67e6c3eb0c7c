import { ChunkReader, type ChunkReaderOptions } from './chunk.ts';
import { isObject } from './json.ts';
import type { Chunk } from './types.ts';

/**
 * Reads a completion with several answers: each as if it were the only one, its chunks marked with
 * its index.
 */
export class ChoicesReader extends ChunkReader {
  readonly #readers: readonly ChunkReader[];

  /** @param count Answers asked for, at least 1 */
  constructor(count: number, options: ChunkReaderOptions) {
    super(options);
    this.#readers = Array.from({ length: count }, () => new ChunkReader(options));
  }

  override get id(): string | undefined {
    return this.#readers[0]?.id;
  }

  override get isFinished(): boolean {
    return this.#readers.every((reader) => reader.isFinished);
  }

  override readValue(value: unknown, chunks: Chunk[]): void {
    const choices: unknown = isObject(value) ? value['choices'] : undefined;
    if (!isObject(value) || !Array.isArray(choices) || choices.length === 0) {
      // Usage and failures are everybody's; the first answer carries them.
      this.#readers[0]?.readValue(value, chunks);
      return;
    }
    for (const choice of choices as readonly unknown[]) {
      const index = isObject(choice) ? (choice['index'] ?? 0) : 0;
      const reader = this.#readers[index as number];
      if (reader === undefined || !isObject(choice)) continue;
      const own: Chunk[] = [];
      reader.readValue({ ...value, choices: [{ ...choice, index: 0 }] }, own);
      for (const chunk of own) chunks.push(marked(chunk, index as number));
    }
  }

  override finish(chunks: Chunk[]): void {
    // The first one last: its usage is that of all, and ends the stream.
    for (const [index, reader] of [...this.#readers.entries()].reverse()) {
      const { usage, ...end } = reader.end();
      chunks.push(marked(usage === undefined || index > 0 ? end : { ...end, usage }, index));
    }
  }
}

function marked(chunk: Chunk, index: number): Chunk {
  return index === 0 ? chunk : { ...chunk, choiceIndex: index };
}
