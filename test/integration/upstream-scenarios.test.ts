import { callName, callText } from '../../src/wire/calls.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { plainProfile, profiles } from '../../src/upstream/profiles.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { PlainRequest, Chunk } from '../../src/wire/types.ts';
import { type ExpectedAnswer, type Scenario, scenarios } from '../support/scenarios.ts';
import {
  type ScriptedUpstream,
  splitEvery,
  startScriptedUpstream,
} from '../support/scripted-upstream.ts';
import { openTestUpstream } from '../support/test-upstream.ts';

const request: PlainRequest = {
  model: 'm',
  messages: [{ role: 'user', content: 'Where?' }],
  tools: [{ type: 'function', function: { name: 'lookup', parameters: { type: 'object' } } }],
};

let scripted: ScriptedUpstream;
beforeAll(async () => {
  scripted = await startScriptedUpstream();
});
afterAll(async () => {
  await scripted[Symbol.asyncDispose]();
});

interface Outcome {
  readonly chunks: Chunk[];
  readonly error?: unknown;
  /** Whether `complete` itself failed, so that nothing has been shown. */
  readonly isEarly?: boolean;
}

/**
 * The last reply in pieces of seven bytes, each in a socket write of its own: no piece is a whole
 * frame.
 */
function inPieces(scenario: Scenario): Scenario {
  const last = scenario.replies.at(-1)!;
  if (typeof last === 'function' || last.status !== 200) return scenario;
  return { ...scenario, replies: [...scenario.replies.slice(0, -1), splitEvery(7, last)] };
}

/** Megabytes in pieces of seven bytes take longer than they teach. */
function isSmall({ replies }: Scenario): boolean {
  return JSON.stringify(replies).length < 10_000;
}

async function play({ profile, replies }: Scenario): Promise<Outcome> {
  const used = profiles.find((one) => one.name === profile) ?? plainProfile;
  await using upstream = openTestUpstream(scripted.baseURL, { profile: used });
  scripted.requests.length = 0;
  scripted.script(...replies.slice(0, -1));
  scripted.otherwise(replies.at(-1)!);
  const chunks: Chunk[] = [];
  let stream;
  try {
    stream = await upstream.complete(request, { signal: new AbortController().signal });
  } catch (error) {
    return { chunks, error, isEarly: true };
  }
  try {
    for await (const batch of stream.batches) {
      expect(batch.length).toBeGreaterThan(0);
      chunks.push(...batch);
    }
    return { chunks };
  } catch (error) {
    return { chunks, error };
  }
}

function summary(chunks: readonly Chunk[]): ExpectedAnswer {
  const { message, finishReason, usage } = foldChunks(chunks);
  const reasoning = message['reasoning_content'] ?? message['reasoning'];
  const calls = message.tool_calls?.map((call) => ({
    name: callName(call),
    arguments: callText(call),
    id: call.id,
  }));
  return {
    ...(message.content ? { text: message.content as string } : {}),
    ...(typeof reasoning === 'string' ? { reasoning } : {}),
    ...(message['refusal'] === undefined ? {} : { refusal: message['refusal'] as string }),
    ...(calls === undefined ? {} : { calls }),
    finish: finishReason,
    ...(usage === undefined ? {} : { promptTokens: usage.prompt_tokens }),
  };
}

describe.each(scenarios.filter((one) => one.answer !== undefined))('$name', (scenario) => {
  it('becomes a clean answer', async () => {
    const { chunks, error } = await play(scenario);
    expect(error).toBeUndefined();
    const wanted = scenario.answer!;
    const calls = wanted.calls?.map((call) => ({ id: expect.any(String) as string, ...call }));
    expect(summary(chunks)).toEqual({ ...wanted, ...(calls === undefined ? {} : { calls }) });
    expect(chunks.filter((chunk) => chunk.finishReason !== undefined)).toEqual([chunks.at(-1)]);
    expect(new Set(foldChunks(chunks).message.tool_calls?.map((call) => call.id)).size).toBe(
      wanted.calls?.length ?? 0,
    );
    expect(scripted.requests.length).toBe(scenario.attempts ?? 1);
  });

  it.runIf(isSmall(scenario))('becomes the same answer in small pieces', async () => {
    const { chunks, error } = await play(inPieces(scenario));
    expect(error).toBeUndefined();
    const { calls, ...rest } = summary(chunks);
    const { calls: wanted, ...others } = scenario.answer!;
    expect(rest).toEqual(others);
    expect(calls?.map((call) => call.arguments)).toEqual(wanted?.map((call) => call.arguments));
  });
});

describe.each(scenarios.filter((one) => one.failure !== undefined))('$name', (scenario) => {
  it('becomes a failure with a name', async () => {
    const { chunks, error, isEarly } = await play(scenario);
    const { code, status, words, afterText } = scenario.failure!;
    expect(error).toBeInstanceOf(ProxyError);
    const failure = error as ProxyError;
    expect([failure.code, failure.status]).toEqual([code, status]);
    expect(failure.message).toContain(words ?? '');
    expect(isEarly ?? false).toBe(afterText === undefined);
    expect(foldChunks(chunks).message.content).toBe(afterText ?? '');
    expect(scripted.requests.length).toBe(scenario.attempts ?? 1);
  });
});

it('are many, each with a name of its own and one outcome', () => {
  expect(scenarios.length).toBeGreaterThan(100);
  expect(new Set(scenarios.map((one) => one.name)).size).toBe(scenarios.length);
  for (const one of scenarios)
    expect((one.answer === undefined) !== (one.failure === undefined)).toBe(true);
});
