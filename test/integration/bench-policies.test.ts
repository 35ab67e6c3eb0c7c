import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApp, type App } from '../../src/app.ts';
import { askServer } from '../../src/bench/asking.ts';
import { benchKinds } from '../../src/bench/cases.ts';
import { generators } from '../../src/bench/generators/generators.ts';
import { storeCase } from '../../src/bench/storing.ts';
import { benchPolicy } from '../../src/bench/policies.ts';
import { randomIds, systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { silentLogger } from '../../src/log.ts';

let dataDir: string;
let app: App;
let address: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rlm-bench-'));
  const { config } = loadConfig({
    env: { RLM_DATA_DIR: dataDir, RLM_PORT: '0' },
    homeDir: dataDir,
  });
  app = await openApp({
    config,
    version: '0.0.0',
    log: silentLogger(),
    clock: systemClock,
    ids: randomIds,
    random: () => 0.5,
    policies: [benchPolicy],
    operations: () => ({
      run: () => {
        throw new Error('no operation is asked for');
      },
    }),
  });
  address = await app.server.listen();
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

/** The whole way: generated text in the store, question over HTTP, loop, tools, programs, answer, score. */
test.each(benchKinds)('the scripted policy answers every %s question exactly', async (kind) => {
  const { documents, questions } = generators[kind](5, 120_000);
  const { sessionId } = await storeCase(app.sessions, `/bench/${kind}`, documents);
  const target = {
    baseUrl: `${address}/v1`,
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
