// Walking a table of transitions over lines. A cell holds the address of the next state's row, or one of these. The class table has
// 256 u16: four times the class of the byte. A line ends with the newline that is fed like any other byte.
import { nextNewline } from './text';

const unknown: i32 = -1;
const match: i32 = -2;
// -3: nothing more can match in this line.

/** Where the walk stopped: where each stream is, in which state, and behind its last hit. */
export let at1: usize = 0;
export let at2: usize = 0;
export let state1: usize = 0;
export let state2: usize = 0;
export let hits1: usize = 0;
export let hits2: usize = 0;

/**
 * Walks [at, end) from `state`. Each matching line gives one u32 at `hits`: the address where the match was known. Returns 1 if it
 * stopped before an unknown transition, 0 at the end. `at1` is then past `end` if the rest of a line was skipped that goes on there.
 */
export function scanLines(
  at: usize,
  end: usize,
  state: usize,
  classes: usize,
  start: usize,
  hits: usize,
): u32 {
  let stopped: u32 = 0;
  while (at < end) {
    const next = load<i32>(state + load<u16>(classes + ((<usize>load<u8>(at)) << 1)));
    if (next >= 0) {
      state = next;
      at++;
      continue;
    }
    if (next == unknown) {
      stopped = 1;
      break;
    }
    if (next == match) {
      store<u32>(hits, at as u32);
      hits += 4;
    }
    at = nextNewline(at, end) + 1;
    state = start;
  }
  at1 = at;
  state1 = state;
  hits1 = hits;
  return stopped;
}

/**
 * Walks two ranges of whole lines at once, so that one table lookup need not wait for the other. Stops when either range ends (0) or
 * stands before an unknown transition (1, 2: which).
 */
export function scanLinesTwice(
  at: usize,
  end: usize,
  state: usize,
  hits: usize,
  otherAt: usize,
  otherEnd: usize,
  otherState: usize,
  otherHits: usize,
  classes: usize,
  start: usize,
): u32 {
  let stopped: u32 = 0;
  while (at < end && otherAt < otherEnd) {
    let steps = min(end - at, otherEnd - otherAt);
    let next: i32 = 0;
    let otherNext: i32 = 0;
    do {
      next = load<i32>(state + load<u16>(classes + ((<usize>load<u8>(at)) << 1)));
      otherNext = load<i32>(otherState + load<u16>(classes + ((<usize>load<u8>(otherAt)) << 1)));
      if ((next | otherNext) < 0) break;
      state = next;
      otherState = otherNext;
      at++;
      otherAt++;
    } while (--steps);
    if (!steps) break;
    if (next == unknown) {
      stopped = 1;
      break;
    }
    if (otherNext == unknown) {
      stopped = 2;
      break;
    }
    if (next < 0) {
      if (next == match) {
        store<u32>(hits, at as u32);
        hits += 4;
      }
      at = nextNewline(at, end) + 1;
      state = start;
    } else {
      state = next;
      at++;
    }
    if (otherNext < 0) {
      if (otherNext == match) {
        store<u32>(otherHits, otherAt as u32);
        otherHits += 4;
      }
      otherAt = nextNewline(otherAt, otherEnd) + 1;
      otherState = start;
    } else {
      otherState = otherNext;
      otherAt++;
    }
  }
  at1 = at;
  state1 = state;
  hits1 = hits;
  at2 = otherAt;
  state2 = otherState;
  hits2 = otherHits;
  return stopped;
}
