import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { blocksPerSegment, SegmentFile, segmentPath, tailPath } from './index-file.ts';
import { TextFile } from '../text/text-file.ts';
import type { Corpus } from '../types.ts';

/** What a look at every row of an index has shown. */
export interface IndexCheck {
  /** Files that are there and whole. */
  readonly files: number;
  /**
   * Files that were damaged. They are deleted: an index is a cache, and what is missing is made
   * anew.
   */
  readonly damaged: readonly string[];
}

/**
 * Compares every row of a text's index with its checksum. 6.5 MB a file; other work gets its turn
 * between two.
 */
export async function checkIndex({ spans, indexDir, blocks }: Corpus): Promise<IndexCheck> {
  const damaged: string[] = [];
  let files = 0;
  using text = new TextFile(spans);
  const segments = Math.ceil(blocks.count / blocksPerSegment);
  for (let segment = 0; segment <= segments; segment++) {
    const isTail = segment === segments;
    const path = isTail ? tailPath(indexDir) : segmentPath(indexDir, segment);
    if (!existsSync(path)) continue;
    using file = isTail
      ? SegmentFile.openTail(path, blocks, text)
      : SegmentFile.open(path, segment, blocks, text);
    if (file?.readAll() !== undefined) files++;
    else if (!existsSync(path)) damaged.push(path);
    await setImmediate();
  }
  return { files, damaged };
}
