/**
 * One request with a prompt of 60 million characters from the official client: `node
 * test/long/niah-prompt.ts [characters]`. The needles must be found, and the server must stay under
 * 600 MB.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { generateNiah } from '../../src/bench/questions/generators/niah.ts';
import { startBenchServer } from '../../src/cli/bench/world.ts';

/** The contract's bound for this request. */
const maxServerBytes = 600e6;

const sizeChars = Number(process.argv[2] ?? 60_000_000);
const dataDir = await mkdtemp(join(tmpdir(), 'rlm-prompt-'));
try {
  await using child = await startBenchServer(dataDir);
  const { documents, questions } = generateNiah(1, sizeChars);
  const text = documents.map((document) => [...document.chunks()].join('')).join('');
  const client = new OpenAI({
    baseURL: `${child.server.address}/v1`,
    apiKey: 'none',
    maxRetries: 0,
    timeout: 600_000,
  });
  for (const stream of [false, true]) {
    for (const question of questions.filter(({ scriptable }) => scriptable)) {
      const startedMs = performance.now();
      const asked = {
        model: 'rlm-internal.rlm-core-v1',
        messages: [{ role: 'user' as const, content: `${text}\n\n${question.question}` }],
      };
      let answer = '';
      if (stream)
        for await (const chunk of await client.chat.completions.create({ ...asked, stream }))
          answer += chunk.choices[0]?.delta.content ?? '';
      else answer = (await client.chat.completions.create(asked)).choices[0]?.message.content ?? '';
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      const peakBytes = await child.peakMemoryBytes();
      console.log(
        `${text.length} characters, ${stream ? 'streamed' : 'whole'}, ${question.id}: ${seconds} s, server at most ${Math.round(peakBytes / 1e6)} MB`,
      );
      assert.equal(question.score(answer), 1, answer);
      assert.ok(peakBytes < maxServerBytes, `the server took ${peakBytes} bytes`);
    }
  }
} finally {
  await rm(dataDir, { recursive: true });
}
