import { parentPort } from 'node:worker_threads';
import type { OutlineAnswer, OutlineOrder } from './outliner.ts';
import { outlineOf } from './outline.ts';

/** The thread's entry: outlines texts one after the other. */

if (parentPort === null) throw new Error('outline-thread.ts runs only as a worker');

const port = parentPort;
const decoder = new TextDecoder();
let working: Promise<void> = Promise.resolve();

port.on('message', ({ id, text, path }: OutlineOrder) => {
  working = answerWith(working, { id, text, path });
});

/** Outlines a text when those before it are done. */
async function answerWith(before: Promise<void>, { id, text, path }: OutlineOrder): Promise<void> {
  await before;
  try {
    const quick = outlineOf(typeof text === 'string' ? text : decoder.decode(text), path);
    answer({ id, outline: quick.outline, isFinal: quick.parse === undefined });
    if (quick.parse !== undefined) answer({ id, outline: await quick.parse(), isFinal: true });
  } catch (error) {
    answer({ id, outline: undefined, isFinal: true, reason: String(error) });
  }
}

function answer(message: OutlineAnswer): void {
  port.postMessage(message);
}
