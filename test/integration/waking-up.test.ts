import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { startProxy } from '../support/proxy.ts';

/**
 * A provider in a thread of its own, which goes on while this one stands still: the head after a
 * while, then a word at a time.
 */
const provider = `
const { createServer } = require('node:http');
const { parentPort, workerData } = require('node:worker_threads');
const server = createServer((request, response) => {
  request.resume();
  const frame = (delta, reason = null) =>
    response.write('data: ' + JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] }) + '\\n\\n');
  setTimeout(() => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let left = workerData.words;
    const timer = setInterval(() => {
      if (left-- > 0) return frame({ content: 'word ' });
      clearInterval(timer);
      frame({}, 'stop');
      response.end('data: [DONE]\\n\\n');
    }, 100);
  }, workerData.headAfterMs);
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

/** Stands still, as after Ctrl-Z or in a virtual machine that is paused. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it.each([
  ['the words of an answer', { headAfterMs: 0, words: 30 }],
  ['its first byte', { headAfterMs: 500, words: 3 }],
])(
  'does not take a pause of its own for a silence of the upstream: %s',
  async (what, workerData) => {
    const worker = new Worker(provider, { eval: true, workerData });
    const [port] = (await once(worker, 'message')) as [number];
    await using proxy = await startProxy({
      env: {
        RLM_UPSTREAM_BASE_URL: `http://127.0.0.1:${port}/v1`,
        RLM_UPSTREAM_MODEL: 'm',
        RLM_UPSTREAM_IDLE_TIMEOUT_MS: '2000',
        RLM_UPSTREAM_FIRST_BYTE_TIMEOUT_MS: '2000',
      },
    });
    const asked = proxy.post({
      model: 'm',
      stream: true,
      messages: [{ role: 'user', content: 'hi' }],
    });
    if (what === 'its first byte') {
      await new Promise((resolve) => setTimeout(resolve, 300));
      standStill(2_500);
    }
    const response = await asked;
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value ?? '';
    if (what !== 'its first byte') standStill(2_500);
    for (let piece = await reader.read(); !piece.done; piece = await reader.read())
      text += piece.value;
    expect(text.match(/word /g)).toHaveLength(workerData.words);
    expect(text).toContain('[DONE]');
    await worker.terminate();
  },
);
