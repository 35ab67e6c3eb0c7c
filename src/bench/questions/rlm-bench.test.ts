import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  answer,
  callTools,
  startScriptedUpstream,
  status,
  type RecordedRequest,
} from '../../../test/support/scripted-upstream.ts';
import { CellLog, type BenchCell } from './cells.ts';
import { runBench, type BenchPlan, type BenchWorld } from './rlm-bench.ts';

const plan: BenchPlan = {
  kind: 'niah',
  sizesChars: [5_000, 50_000],
  seeds: [1],
  questions: ['single', 'paraphrased'],
  scriptedOnly: false,
  model: 'scripted',
};

/**
 * Answers a question from the text in the prompt, as a bare model would, with a regular expression
 * for a mind.
 */
function readPrompt(request: RecordedRequest) {
  const [message] = request.body.messages;
  const text = typeof message?.content === 'string' ? message.content : '';
  const project = /project (\S+)\? End/.exec(text)?.[1];
  const found = new RegExp(`project ${project} is (\\d{6})`).exec(text)?.[1];
  return answer(`ANSWER: ${found ?? 'unknown'}`);
}

test('the proxy and the bare upstream are asked the same; what does not fit is a failure by size; failures are asked again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-bench-test-'));
  await using proxy = await startScriptedUpstream();
  await using upstream = await startScriptedUpstream();
  proxy.script(status(503, { error: { message: 'not yet' } }));
  proxy.otherwise((request) => {
    const [message] = request.body.messages;
    return answer(`It is ${String(message?.content).length}`);
  });
  upstream.otherwise(readPrompt);
  const cells: BenchCell[] = [];
  let opened = 0;
  const world: BenchWorld = {
    openServer: async (documents) => {
      opened += 1;
      return {
        target: { baseUrl: proxy.baseURL, model: 'x', headers: { 'x-rlm-session': 's' } },
        storedChars: documents.flatMap((one) => [...one.chunks()]).join('').length,
        ingestMs: 1,
        diskBytes: async () => 100,
        peakMemoryBytes: async () => 200,
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
    bare: {
      target: { baseUrl: upstream.baseURL, model: 'bare', headers: {} },
      windowChars: 10_000,
    },
    onCell: (cell) => cells.push(cell),
    onStored: () => undefined,
    signal: new AbortController().signal,
  };
  try {
    const path = join(folder, 'cells.jsonl');
    await runBench(plan, await CellLog.open(path), world);
    expect(cells.map((cell) => [cell.sizeChars, cell.question, cell.system, cell.score])).toEqual([
      [5_000, 'single', 'rlm', 0],
      [5_000, 'single', 'bare', 1],
      [5_000, 'paraphrased', 'rlm', 0],
      [5_000, 'paraphrased', 'bare', 0],
      [50_000, 'single', 'rlm', 0],
      [50_000, 'single', 'bare', 0],
      [50_000, 'paraphrased', 'rlm', 0],
      [50_000, 'paraphrased', 'bare', 0],
    ]);
    expect(cells[0]?.error).toContain('503');
    expect(cells[1]).toMatchObject({ upstreamCalls: 1, diskBytes: 100, peakMemoryBytes: 200 });
    expect(cells[5]?.error).toContain('does not fit');
    expect(proxy.requests[0]?.headers['x-rlm-session']).toBe('s');
    expect(upstream.requests.length).toBe(2);

    cells.length = 0;
    await runBench(plan, await CellLog.open(path), world);
    // The one that failed, and those that do not fit, which costs nothing.
    expect(cells.map((cell) => [cell.sizeChars, cell.question, cell.system])).toEqual([
      [5_000, 'single', 'rlm'],
      [50_000, 'single', 'bare'],
      [50_000, 'paraphrased', 'bare'],
    ]);
    expect(cells[0]?.error).toBeUndefined();
    expect(upstream.requests.length).toBe(2);
    expect(opened).toBe(4);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a server that answers with calls or errors in the stream gives a cell, not a crash', async () => {
  await using proxy = await startScriptedUpstream();
  proxy.otherwise(callTools({ name: 'client_tool', args: {} }));
  const folder = await mkdtemp(join(tmpdir(), 'rlm-bench-test-'));
  try {
    const log = await CellLog.open(join(folder, 'cells.jsonl'));
    await runBench({ ...plan, sizesChars: [5_000], questions: ['single'] }, log, {
      openServer: async () => ({
        target: { baseUrl: proxy.baseURL, model: 'x', headers: {} },
        storedChars: 5_000,
        ingestMs: 1,
        diskBytes: async () => 0,
        peakMemoryBytes: async () => 0,
        [Symbol.asyncDispose]: async () => undefined,
      }),
      onCell: () => undefined,
      onStored: () => undefined,
      signal: new AbortController().signal,
    });
    expect(log.cells).toMatchObject([{ score: 0, answer: '' }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
