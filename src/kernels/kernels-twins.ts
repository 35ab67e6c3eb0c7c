/**
 * What the kernels mean, in plain TypeScript over the same memory: slow, obvious, and what the
 * tests compare them with. Where a kernel leaves results in variables, its twin returns them.
 */

/** Newlines and code points of bytes[at, end). */
export function countTextTwin(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly newlines: number; readonly chars: number } {
  const text = bytes.subarray(at, end);
  return {
    newlines: text.filter((byte) => byte === 10).length,
    chars: text.filter((byte) => byte >> 6 !== 2).length,
  };
}

/** Where the next newline lies, or `end`. */
export function nextNewlineTwin(bytes: Uint8Array, at: number, end: number): number {
  const found = bytes.subarray(0, end).indexOf(10, at);
  return found < 0 ? end : found;
}

/** Behind the last newline before `at`, or `start`. */
export function lineStartBeforeTwin(bytes: Uint8Array, start: number, at: number): number {
  for (let i = at; i > start; i--) if (bytes[i - 1] === 10) return i;
  return start;
}

/**
 * The hits of `scanLines`, where it stopped, in which state, and whether before an unknown
 * transition.
 */
export function scanLinesTwin(
  bytes: Uint8Array,
  from: number,
  end: number,
  table: { readonly state: number; readonly classes: number; readonly start: number },
): {
  readonly hits: readonly number[];
  readonly at: number;
  readonly state: number;
  readonly unknown: boolean;
} {
  const memory = new DataView(bytes.buffer);
  const hits: number[] = [];
  let { state } = table;
  let at = from;
  while (at < end) {
    const next = memory.getInt32(
      state + memory.getUint16(table.classes + 2 * bytes[at]!, true),
      true,
    );
    if (next === -1) return { hits, at, state, unknown: true };
    if (next >= 0) {
      state = next;
      at++;
      continue;
    }
    if (next === -2) hits.push(at);
    at = nextNewlineTwin(bytes, at, end) + 1;
    state = table.start;
  }
  return { hits, at, state, unknown: false };
}

/** Where each line of bytes[at, end) that has one of the literals starts. */
export function literalLinesTwin(
  bytes: Uint8Array,
  from: number,
  end: number,
  literals: readonly { readonly text: string; readonly anyCase: boolean }[],
): readonly number[] {
  const lines: number[] = [];
  for (let at = from; at < end; at = nextNewlineTwin(bytes, at, end) + 1) {
    const line = bytes.subarray(at, nextNewlineTwin(bytes, at, end));
    const plain = Buffer.from(line).toString('latin1');
    const folded = lowerAscii(plain);
    const has = literals.some(({ text, anyCase }) => {
      const wanted = Buffer.from(text).toString('latin1');
      return (anyCase ? folded : plain).includes(wanted);
    });
    if (has) lines.push(at);
  }
  return lines;
}

/** The bits of `blockGrams` that are set. */
export function blockGramsTwin(text: Uint8Array): ReadonlySet<number> {
  const folded = Buffer.from(lowerAscii(Buffer.from(text).toString('latin1')), 'latin1');
  const bits = new Set<number>();
  for (let at = 0; at + 3 <= folded.length; at++) {
    bits.add(Math.imul(folded.readUIntLE(at, 3), 0x9e37_79b1) >>> 18);
    if (at + 4 > folded.length) continue;
    bits.add(16_384 + (Math.imul(folded.readUInt32LE(at), 0x85eb_ca6b) >>> 17));
  }
  return bits;
}

function lowerAscii(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** `stringEnd`, with `stringCut` beside it. */
export function stringEndTwin(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly index: number; readonly isCut: boolean } {
  let index = at;
  while (index < end && bytes[index] !== 0x22) index += bytes[index] === 0x5c ? 2 : 1;
  return { index: Math.min(index, end), isCut: index > end };
}
