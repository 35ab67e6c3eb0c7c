import { contains, sizeOf } from '../pattern/code-points.ts';
import type { ScanMemory } from '../text/scan-memory.ts';
import type { SpanFinder } from './span-finder.ts';
import type { Node, Pattern } from '../pattern/syntax.ts';

/** The byte order mark. */
const mark = Buffer.from('\ufeff');

/** A set with fewer members than this is one that somebody has listed. */
const minBroadSize = 100;

/**
 * Looks once more at lines that a machine over bytes has let pass: where the machine is
 * approximate, at those with characters beyond ASCII; and where a mark begins a line, which such a
 * machine takes for a character of the line.
 */
export class LineCheck {
  readonly #memory: ScanMemory;
  readonly #minds: boolean;

  constructor(pattern: Pattern, memory: ScanMemory) {
    this.#memory = memory;
    this.#minds = mindsMarks(pattern.root);
  }

  /** Whether hits in the text at the addresses [at, end) have to be looked at once more. */
  isNeeded(at: number, end: number, approximate: boolean): boolean {
    return approximate || this.#hasMark(at, end);
  }

  /**
   * Leaves of the hits in the lines at the addresses [at, end) those that are; returns how many.
   * `approximate` says whether the machine that has found them is.
   */
  keep(
    hits: Uint32Array,
    [at, end]: readonly [number, number],
    spans: SpanFinder,
    approximate: boolean,
  ): number {
    const { bytes, kernels } = this.#memory;
    let kept = 0;
    for (const hit of hits) {
      const from = kernels.lineStartBefore(at, hit);
      const to = kernels.nextNewline(hit, end);
      const isSure = approximate ? this.#isAscii(from, to) : !this.#isMarked(from);
      if (isSure || spans.matches(bytes, from, to)) hits[kept++] = hit;
    }
    return kept;
  }

  #hasMark(at: number, end: number): boolean {
    if (!this.#minds) return false;
    const text = Buffer.from(this.#memory.bytes.buffer, at, end - at);
    return text.includes(mark);
  }

  #isMarked(at: number): boolean {
    const { bytes } = this.#memory;
    return bytes[at] === mark[0] && bytes[at + 1] === mark[1] && bytes[at + 2] === mark[2];
  }

  #isAscii(from: number, to: number): boolean {
    const { kernels } = this.#memory;
    kernels.countText(from, to);
    return kernels.countedChars.value === to - from;
  }
}

/** Whether a tree may take a mark at a line's beginning for a character of the line. */
function mindsMarks(node: Node): boolean {
  switch (node.kind) {
    case 'set':
      return sizeOf(node.set) >= minBroadSize && contains(node.set, 0xfeff);
    case 'sequence':
      return node.parts.some(mindsMarks);
    case 'choice':
      return node.options.some(mindsMarks);
    case 'repeat':
    case 'capture':
    case 'look':
    case 'atomic':
      return mindsMarks(node.body);
    case 'assert':
    case 'backreference':
      return false;
  }
}
