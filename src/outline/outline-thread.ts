import { parentPort } from 'node:worker_threads';
import type { OutlineAnswer, OutlineOrder } from './outliner.ts';
import { outlineOf, type Outline } from './outline.ts';
import { differenceFrom } from './compare.ts';

/** The thread's entry: outlines texts one after the other. */

if (parentPort === null) throw new Error('outline-thread.ts runs only as a worker');

const port = parentPort;
const decoder = new TextDecoder();
let working: Promise<void> = Promise.resolve();

/**
 * The engine is slow with what it has never run, three times as slow as later: so the thread runs
 * everything on a text of its own before the first one comes, while the request still arrives.
 */
function warmUp(): void {
  const lines = Array.from({ length: 1_500 }, (_, at) =>
    at % 700 === 500
      ? `2026-01-01T00:00:00Z [ERROR] part ${at} failed\n    at run (/a/b.js:${at}:1)`
      : `2026-01-01T00:00:00Z [INFO] GET /part/${at} 200 in ${at % 90}ms`,
  );
  for (let round = 0; round < 4; round += 1) outlineOf(`${lines.join('\n')}\nround ${round}`);
}

warmUp();

port.on('message', (order: OutlineOrder) => {
  working = answerWith(working, order);
});

/** Outlines a text when those before it are done. */
async function answerWith(previous: Promise<void>, order: OutlineOrder): Promise<void> {
  await previous;
  const { id, path, before } = order;
  try {
    const text = typeof order.text === 'string' ? order.text : decoder.decode(order.text);
    const difference = before === undefined ? [] : [differenceFrom(before, text)];
    const withDifference = ({ kind, items }: Outline): Outline => ({
      kind,
      items: [...difference, ...items],
    });
    const quick = outlineOf(text, path);
    answer({ id, outline: withDifference(quick.outline), isFinal: quick.parse === undefined });
    if (quick.parse !== undefined)
      answer({ id, outline: withDifference(await quick.parse()), isFinal: true });
  } catch (error) {
    answer({ id, outline: undefined, isFinal: true, reason: String(error) });
  }
}

function answer(message: OutlineAnswer): void {
  port.postMessage(message);
}
