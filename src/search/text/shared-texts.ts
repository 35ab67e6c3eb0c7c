import type { TextSpan } from '../../base/text-spans.ts';
import type { Corpus } from '../types.ts';
import { checksOf, type BlockChecks } from './block-checks.ts';
import { blockAt, type Scope } from './pieces.ts';
import type { Ranges } from './ranges.ts';
import type { SharedBlocks, SharedTable } from './shared-blocks.ts';
import { SharedEntries, type EntryBorders } from './shared-entries.ts';

/** A text as workers see it: what is large of it lies in memory that all threads share. */
export interface SharedText {
  readonly spans: readonly TextSpan[];
  readonly indexDir: string;
  /** The whole table. */
  readonly blocks: SharedTable;
  readonly checks?: BlockChecks;
  /** The entries that it is made of; absent = one text. */
  readonly entries?: EntryBorders;
  /** Places in damaged blocks that are known for certain, see `CorpusChecks`. */
  readonly anchors?: Float64Array;
}

/** What of a text is searched: up to byte `endBytes`, in `ranges`. */
export function scopeOf(
  { blocks, entries, anchors }: SharedText,
  endBytes: number,
  ranges: Ranges,
): Scope {
  const count = endBytes === 0 ? 0 : blockAt(blocks, endBytes - 1) + 1;
  return {
    blocks: { ...blocks, count },
    endBytes,
    ranges,
    ...(entries && { entries }),
    ...(anchors && { anchors }),
  };
}

/** Puts texts where all workers can read them. */
export class SharedTexts {
  readonly #blocks: SharedBlocks;
  readonly #entries = new SharedEntries();
  /** By the memory of their block tables, the texts as they were last. */
  readonly #last = new WeakMap<object, SharedText>();

  constructor(blocks: SharedBlocks) {
    this.#blocks = blocks;
  }

  /** The text of a corpus: the same object as long as nothing about it has changed. */
  share(corpus: Corpus): SharedText {
    const blocks = this.#blocks.share(corpus.blocks, corpus.blocks.count);
    const checks = checksOf(corpus, blocks);
    const entries = this.#entries.share(corpus.entries);
    const anchors = corpus.checks?.anchors;
    const text: SharedText = {
      spans: corpus.spans,
      indexDir: corpus.indexDir,
      blocks,
      ...(checks && { checks }),
      ...(entries && { entries }),
      ...(anchors && { anchors }),
    };
    const last = this.#last.get(corpus.blocks.byteStart.buffer);
    if (last !== undefined && isSame(last, text)) return last;
    this.#last.set(corpus.blocks.byteStart.buffer, text);
    return text;
  }
}

/** What is not compared lies where the rest does. */
function isSame(one: SharedText, other: SharedText): boolean {
  return (
    one.spans === other.spans &&
    one.indexDir === other.indexDir &&
    one.blocks.count === other.blocks.count &&
    one.blocks.byteStart === other.blocks.byteStart &&
    one.blocks.crc === other.blocks.crc &&
    one.checks?.states === other.checks?.states &&
    one.checks?.lastCrc === other.checks?.lastCrc &&
    one.checks?.endBytes === other.checks?.endBytes &&
    one.entries?.bounds === other.entries?.bounds &&
    one.entries?.count === other.entries?.count &&
    one.anchors === other.anchors
  );
}
