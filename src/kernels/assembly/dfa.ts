// Walking a table of transitions over lines. A cell holds the address of the next state's row, or
// one of these. The class table has 256 u16: four times the class of the byte. A line ends with the
// newline that is fed like any other byte.
import { nextNewline } from './text';

const unknown: i32 = -1;
const match: i32 = -2;
// -3: nothing more can match in this line.

/** Where `scanLines` stopped, in which state, and behind its last hit. */
export let walkAt: usize = 0;
export let walkState: usize = 0;
export let walkHits: usize = 0;

/**
 * Walks [at, end) from `state`. Each matching line gives one u32 at `hits`: the address where the
 * match was known. Returns 1 if it stopped before an unknown transition, 0 at the end. `walkAt` is
 * then past `end` if the rest of a line was skipped that goes on there.
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
  walkAt = at;
  walkState = state;
  walkHits = hits;
  return stopped;
}

/**
 * Walks four ranges of whole lines at once, so that one table look-up need not wait for another. A
 * stream is four u32 at `streams`: where it stands, its end, its state, where its next hit goes.
 * Stops when a range has ended (0), or stands before an unknown transition (1 to 4: which).
 */
export function scanLinesFourfold(streams: usize, classes: usize, start: usize): u32 {
  let stopped: u32 = 0;
  while (!stopped) {
    let a: usize = load<u32>(streams);
    let b: usize = load<u32>(streams, 16);
    let c: usize = load<u32>(streams, 32);
    let d: usize = load<u32>(streams, 48);
    let stateA: usize = load<u32>(streams, 8);
    let stateB: usize = load<u32>(streams, 24);
    let stateC: usize = load<u32>(streams, 40);
    let stateD: usize = load<u32>(streams, 56);
    let nextA: i32 = 0;
    let nextB: i32 = 0;
    let nextC: i32 = 0;
    let nextD: i32 = 0;
    let steps = min(
      min(left(streams), left(streams + 16)),
      min(left(streams + 32), left(streams + 48)),
    );
    for (; steps; steps--) {
      nextA = load<i32>(stateA + load<u16>(classes + ((<usize>load<u8>(a)) << 1)));
      nextB = load<i32>(stateB + load<u16>(classes + ((<usize>load<u8>(b)) << 1)));
      nextC = load<i32>(stateC + load<u16>(classes + ((<usize>load<u8>(c)) << 1)));
      nextD = load<i32>(stateD + load<u16>(classes + ((<usize>load<u8>(d)) << 1)));
      if ((nextA | nextB | nextC | nextD) < 0) break;
      stateA = nextA;
      stateB = nextB;
      stateC = nextC;
      stateD = nextD;
      a++;
      b++;
      c++;
      d++;
    }
    put(streams, a, stateA);
    put(streams + 16, b, stateB);
    put(streams + 32, c, stateC);
    put(streams + 48, d, stateD);
    if (!steps) break;
    if (!advance(streams, nextA, start)) stopped = 1;
    else if (!advance(streams + 16, nextB, start)) stopped = 2;
    else if (!advance(streams + 32, nextC, start)) stopped = 3;
    else if (!advance(streams + 48, nextD, start)) stopped = 4;
  }
  return stopped;
}

function left(stream: usize): u32 {
  const at = load<u32>(stream);
  const end = load<u32>(stream, 4);
  return at < end ? end - at : 0;
}

function put(stream: usize, at: usize, state: usize): void {
  store<u32>(stream, at as u32);
  store<u32>(stream, state as u32, 8);
}

/**
 * One byte on, to a state or, where the line is decided, to the next line. False where nobody
 * knows.
 */
function advance(stream: usize, next: i32, start: usize): bool {
  if (next == unknown) return false;
  const at: usize = load<u32>(stream);
  if (next >= 0) {
    put(stream, at + 1, next);
    return true;
  }
  if (next == match) {
    const hits: usize = load<u32>(stream, 12);
    store<u32>(hits, at as u32);
    store<u32>(stream, (hits + 4) as u32, 12);
  }
  put(stream, nextNewline(at, load<u32>(stream, 4)) + 1, start);
  return true;
}
