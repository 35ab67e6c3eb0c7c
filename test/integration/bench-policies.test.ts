import { afterAll, beforeAll, expect, test } from 'vitest';
import { askServer } from '../../src/bench/questions/asking.ts';
import { benchKinds } from '../../src/bench/questions/cases.ts';
import { generators } from '../../src/bench/questions/generators/generators.ts';
import { benchPolicy } from '../../src/bench/questions/policies.ts';
import { storeCase } from '../../src/bench/questions/storing.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';

let proxy: TestProxy;

beforeAll(async () => {
  proxy = await startProxy({ policies: [benchPolicy] });
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
});

/**
 * The whole way: generated text in the store, question over HTTP, loop, tools, programs, answer,
 * score.
 */
// Of real texts, where there are some: see `generators/real/real-case.test.ts`.
const generatedKinds = benchKinds.filter((kind) => kind !== 'real');

test.each(generatedKinds)('the scripted policy answers every %s question exactly', async (kind) => {
  const { documents, questions } = generators[kind](5, 120_000);
  const { sessionId } = await storeCase(proxy.app.sessions, `/bench/${kind}`, documents);
  const target = {
    baseUrl: proxy.baseURL,
    model: 'rlm-internal.rlm-core-v1',
    headers: { 'x-rlm-session': sessionId },
  };
  const failures: string[] = [];
  for (const one of questions.filter(({ scriptable }) => scriptable)) {
    const { text, toolCalls } = await askServer(target, one.question, new AbortController().signal);
    expect(toolCalls).toBe(1);
    if (one.score(text) !== 1) failures.push(`${one.id}: expected ${one.expected}, got ${text}`);
  }
  expect(failures).toEqual([]);
});
