import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { DigestAnswer, DigestBegin, DigestOrder } from './text-digest.ts';

/** The thread's entry: hashes what lies in shared memory, one port for each text. */

if (parentPort === null) throw new Error('digest-thread.ts runs only as a worker');

parentPort.on('message', ({ port, memory, slotBytes }: DigestBegin) => {
  const digest = createHash('sha256');
  const answer = (message: DigestAnswer): void => port.postMessage(message);
  port.on('message', (order: DigestOrder) => {
    if (order.kind === 'piece') {
      digest.update(new Uint8Array(memory, order.slot * slotBytes, order.lengthBytes));
      answer({ kind: 'free', slot: order.slot });
    } else answer({ kind: 'digest', sha256: digest.digest('hex') });
  });
});
