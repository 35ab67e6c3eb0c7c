// An automaton as a set of positions, all moved at once: slower than a table of states, but it has
// no states to run out of. A specification is a struct of u32:
//   +0 words, the number of u64 of a set        +4 masks: for each byte, the positions that it may
//   be at
//   +8 follow: for each 8 positions and each subset of them, the positions behind it
//   +12 the set at the start of a line          +16 the set that is added at each byte          +20
//   room for two sets
// Positions 0 to 2 are matches: whatever comes next, before a newline, before anything else.
import { nextNewline } from './text';

/** Behind the last hit of `scanBits`. */
export let bitHits: usize = 0;

/** Scans whole lines in [at, end). Each hit gives one u32 at `hits`. */
export function scanBits(at: usize, end: usize, spec: usize, hits: usize): void {
  bitHits =
    load<u32>(spec) == 1 ? scanOneWord(at, end, spec, hits) : scanWords(at, end, spec, hits);
}

function scanOneWord(at: usize, end: usize, spec: usize, hits: usize): usize {
  const masks: usize = load<u32>(spec, 4);
  const follow: usize = load<u32>(spec, 8);
  const atLineStart = load<u64>(load<u32>(spec, 12));
  const always = load<u64>(load<u32>(spec, 16));
  let set = atLineStart;
  while (at < end) {
    const byte: usize = load<u8>(at);
    let hit = set & load<u64>(masks + (byte << 3));
    if (hit & 7) {
      store<u32>(hits, at as u32);
      hits += 4;
      at = nextNewline(at, end) + 1;
      set = atLineStart;
      continue;
    }
    at++;
    if (byte == 10) {
      set = atLineStart;
      continue;
    }
    set = always;
    let group = follow;
    while (hit) {
      set |= load<u64>(group + ((<usize>(hit & 255)) << 3));
      hit >>= 8;
      group += 2048;
    }
  }
  return hits;
}

function scanWords(at: usize, end: usize, spec: usize, hits: usize): usize {
  const bytes: usize = load<u32>(spec) << 3;
  const masks: usize = load<u32>(spec, 4);
  const follow: usize = load<u32>(spec, 8);
  const atLineStart: usize = load<u32>(spec, 12);
  const always: usize = load<u32>(spec, 16);
  let set: usize = load<u32>(spec, 20);
  let next = set + bytes;
  memory.copy(set, atLineStart, bytes);
  while (at < end) {
    const byte: usize = load<u8>(at);
    const mask = masks + byte * bytes;
    if (load<u64>(set) & load<u64>(mask) & 7) {
      store<u32>(hits, at as u32);
      hits += 4;
      at = nextNewline(at, end) + 1;
      memory.copy(set, atLineStart, bytes);
      continue;
    }
    at++;
    if (byte == 10) {
      memory.copy(set, atLineStart, bytes);
      continue;
    }
    memory.copy(next, always, bytes);
    for (let word: usize = 0; word < bytes; word += 8) {
      let hit = load<u64>(set + word) & load<u64>(mask + word);
      while (hit) {
        const shift = ctz(hit) & 56;
        const subset: usize = <usize>((hit >> shift) & 255);
        const row = follow + (((word + (<usize>shift >> 3)) << 8) + subset) * bytes;
        for (let i: usize = 0; i < bytes; i += 8) {
          store<u64>(next + i, load<u64>(next + i) | load<u64>(row + i));
        }
        hit &= ~((<u64>255) << shift);
      }
    }
    const swap = set;
    set = next;
    next = swap;
  }
  return hits;
}
