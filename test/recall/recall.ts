import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { outlineOf, type Outline } from '../../src/outline/outline.ts';
import type { RecallCase } from './cases.ts';

/** What came of one case. */
export interface Recall {
  readonly name: string;
  readonly outline: Outline;
  readonly isKindRight: boolean;
  readonly isUsable: boolean;
  readonly text: string;
}

/** The outline of an output, and whether it shows what it must. */
export async function recall({ name, kind, lines = [], says = [] }: RecallCase): Promise<Recall> {
  const text = readFileSync(join(import.meta.dirname, 'outputs', `${name}.txt`), 'utf8');
  const quick = outlineOf(text);
  const outline = (await quick.parse?.()) ?? quick.outline;
  const named = outline.items.flatMap((item) => {
    const line = /^line (\d+): /.exec(item)?.[1];
    return line === undefined ? [] : [text.split('\n')[Number(line) - 1] ?? ''];
  });
  const isUsable =
    lines.every((pattern) => named.some((line) => pattern.test(line))) &&
    says.every((pattern) => outline.items.some((item) => pattern.test(item))) &&
    (outline.items.length > 0 || (lines.length === 0 && says.length === 0));
  return { name, text, outline, isKindRight: outline.kind === kind, isUsable };
}
