import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { wholeFile } from '../../base/text-spans.ts';
import type { Corpus } from '../../search/types.ts';
import { BlockTable } from '../../store/text/block-table.ts';
import { countText } from '../../kernels/text-counts.ts';
import { corpusNeedle, CorpusText } from '../corpus-text.ts';

/** A text in a file of its own. */
export interface CorpusFile extends Corpus {
  readonly textPath: string;
}

/**
 * Writes a seeded text of about `chars` code points into `folder` as one session's text. About 60
 * MB a second; memory stays flat.
 */
export function writeCorpus(folder: string, chars: number, seed: number): CorpusFile {
  mkdirSync(folder, { recursive: true });
  const textPath = join(folder, 'context.txt');
  const table = new BlockTable();
  const source = new CorpusText(seed);
  const totals = { bytes: 0, chars: 0, lines: 0 };
  const fd = openSync(textPath, 'w');
  const write = (text: string): void => {
    const bytes = Buffer.from(text);
    writeSync(fd, bytes);
    table.feed(bytes);
    const counts = countText(bytes);
    totals.bytes += bytes.length;
    totals.chars += counts.chars;
    totals.lines += counts.newlines;
  };
  let hidden = false;
  while (totals.chars < chars) {
    if (!hidden && totals.chars >= 0.73 * chars) {
      write(`the ${corpusNeedle} lies here\n`);
      hidden = true;
    }
    write(source.next());
  }
  closeSync(fd);
  table.commit();
  const { count, byteStart, charStart, lineStart } = table.committed;
  const blocks = { count, byteStart, charStart, lineStart };
  const spans = wholeFile(textPath);
  const indexDir = join(folder, 'index');
  return { sessionId: 'sess_bench', textPath, spans, indexDir, totals, blocks };
}
