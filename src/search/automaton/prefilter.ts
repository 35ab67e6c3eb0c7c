import { byteRarity } from '../pattern/byte-rarity.ts';
import type { Literal, Literals } from '../pattern/literals.ts';
import type { ProgramSlot, ScanMemory } from '../text/scan-memory.ts';

/** A literal as bytes. */
interface Needle {
  readonly bytes: Buffer;
  readonly anyCase: boolean;
  /** Where its fingerprint lies. */
  readonly offset: number;
}

const bucketCount = 8;
const fingerprintBytes = 4;
const maskBytes = 32 * fingerprintBytes;

/**
 * Lays out what to look for in a slot of the memory, in the form of `assembly/literals.ts`.
 * `confirm` says whether a line with a literal still has to be shown to the automaton. Returns the
 * address of the specification; undefined if there is no room for that many letters.
 */
export function layOutLiterals(
  memory: ScanMemory,
  slot: ProgramSlot,
  literals: Literals,
  confirm: boolean,
): number | undefined {
  const total = literals.reduce((sum, { text }) => sum + 16 + Buffer.byteLength(text), 512);
  if (total > slot.literalBytes) return undefined;
  const layout = new Layout(memory, slot.literalsAt);
  return literals.length === 1
    ? layout.single(literals[0]!, confirm)
    : layout.several(literals, confirm);
}

class Layout {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #spec: number;
  #free: number;

  constructor(memory: ScanMemory, at: number) {
    this.#words = new Uint32Array(memory.kernels.memory.buffer);
    this.#bytes = memory.bytes;
    this.#spec = at;
    this.#free = at + 32;
  }

  single(literal: Literal, confirm: boolean): number {
    const bytes = Buffer.from(literal.text);
    const kind = literal.anyCase ? 1 : 0;
    const [first, second] = rarestTwo(bytes, literal.anyCase);
    this.#write(this.#spec, [kind, confirm ? 1 : 0, this.#put(bytes), bytes.length, first, second]);
    return this.#spec;
  }

  several(literals: Literals, confirm: boolean): number {
    const needles = literals.map(toNeedle);
    needles.sort((a, b) => Buffer.compare(fingerprint(a), fingerprint(b)));
    const masks = this.#reserve(maskBytes + 16);
    const buckets = this.#reserve(8 * bucketCount);
    this.#bytes.fill(0, masks, masks + maskBytes);
    const perBucket = Math.ceil(needles.length / bucketCount);
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const members = needles.slice(bucket * perBucket, (bucket + 1) * perBucket);
      const entries = this.#reserve(16 * members.length);
      this.#write(buckets + 8 * bucket, [entries, members.length]);
      for (const [i, needle] of members.entries()) {
        const { offset, bytes, anyCase } = needle;
        const entry = [offset, bytes.length, this.#put(bytes), anyCase ? 1 : 0];
        this.#write(entries + 16 * i, entry);
        this.#mark(masks, needle, 1 << bucket);
      }
    }
    this.#write(this.#spec, [2, confirm ? 1 : 0, masks, buckets]);
    return this.#spec;
  }

  /** Lets the masks pass the needle's fingerprint; bytes that it does not have pass always. */
  #mark(masks: number, needle: Needle, bit: number): void {
    for (let i = 0; i < fingerprintBytes; i++) {
      const byte = needle.bytes[needle.offset + i];
      const low = masks + 32 * i;
      const high = low + 16;
      if (byte === undefined) {
        for (let at = low; at < low + 32; at++) this.#bytes[at]! |= bit;
        continue;
      }
      const isLetter = needle.anyCase && byte >= 97 && byte <= 122;
      for (const form of isLetter ? [byte, byte - 32] : [byte]) {
        this.#bytes[low + (form & 15)]! |= bit;
        this.#bytes[high + (form >> 4)]! |= bit;
      }
    }
  }

  #put(bytes: Buffer): number {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return at;
  }

  #reserve(bytes: number): number {
    const at = this.#free;
    this.#free += (bytes + 15) & ~15;
    return at;
  }

  #write(at: number, words: readonly number[]): void {
    this.#words.set(words, at / 4);
  }
}

/** Positions of the two rarest bytes, different ones where there are two. */
function rarestTwo(bytes: Buffer, anyCase: boolean): readonly [number, number] {
  const order = [...bytes.keys()].sort(
    (a, b) => byteRarity(bytes[b]!, anyCase) - byteRarity(bytes[a]!, anyCase),
  );
  const first = order[0]!;
  const second = order.find((i) => bytes[i] !== bytes[first]) ?? order[1] ?? first;
  return [first, second];
}

function toNeedle({ text, anyCase }: Literal): Needle {
  const bytes = Buffer.from(text);
  let offset = 0;
  let best = -1;
  for (let at = 0; at + fingerprintBytes <= bytes.length; at++) {
    let rarity = 0;
    for (let i = 0; i < fingerprintBytes; i++) rarity += byteRarity(bytes[at + i]!, anyCase);
    if (rarity > best) {
      best = rarity;
      offset = at;
    }
  }
  return { bytes, anyCase, offset };
}

function fingerprint({ bytes, offset }: Needle): Buffer {
  return bytes.subarray(offset, offset + fingerprintBytes);
}
