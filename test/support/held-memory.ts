import { setImmediate as nextRound } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Asked for once: V8 makes the function only in contexts that begin after the flag is set. */
let collect: (() => void) | undefined;

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/**
 * Bytes of this process's buffers and objects that somebody still holds. V8's own count after a
 * full collection and not what the system has given the process: the same on any machine, to some
 * hundred kilobytes.
 */
export async function heldBytes(): Promise<number> {
  collect ??= collector();
  // Buffers are swept behind a collection, at the latest by the next one; what closes sockets and
  // files runs in rounds between.
  for (let round = 0; round < 3; round += 1) {
    collect();
    await nextRound();
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}
