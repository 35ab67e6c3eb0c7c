import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatClients, type ChatClient, type Seen } from '../support/chat-clients.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { type ExpectedAnswer, type Scenario, scenarios } from '../support/scenarios.ts';
import { type ScriptedUpstream, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { hurriedClock } from '../support/test-upstream.ts';

/**
 * Every provider behaviour through the whole proxy, seen by every client. That the clients
 * understand the answer is the one half; that raw frames pass the strictest reader
 * (test/support/openai-schema.ts) is the other.
 */
let scripted: ScriptedUpstream;
let dataDir: string;
let proxy: TestProxy;

beforeAll(async () => {
  scripted = await startScriptedUpstream();
  dataDir = await mkdtemp(join(tmpdir(), 'rlm-test-'));
  // One proxy with a provider for each profile, as a user's configuration would have them.
  const names = new Set(scenarios.map(({ profile }) => profile ?? 'plain'));
  const provider = (name: string) => [name, { baseURL: scripted.baseURL, profile: name }];
  const providers = Object.fromEntries([...names].map((name) => provider(name))) as object;
  const folder = join(dataDir, '.config/rlm-opencode');
  await mkdir(folder, { recursive: true });
  const settings = { providers, patience: { maxRetries: 2 } };
  await writeFile(join(folder, 'config.jsonc'), JSON.stringify(settings));
  proxy = await startProxy({ dataDir, clock: hurriedClock });
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await scripted[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

async function play({ profile, replies }: Scenario, client: ChatClient): Promise<Seen> {
  scripted.requests.length = 0;
  scripted.script(...replies.slice(0, -1));
  scripted.otherwise(replies.at(-1)!);
  return client.ask({ baseURL: proxy.baseURL, model: `${profile ?? 'plain'}.m` });
}

/** What of the answer this client can show. */
function visible(answer: ExpectedAnswer, client: ChatClient, seen: Seen): Seen {
  return {
    text: (answer.text ?? '') + (answer.refusal ?? ''),
    reasoning: client.name === 'openai, stream helper' ? '' : (answer.reasoning ?? ''),
    calls: (answer.calls ?? []).map((call, at) => ({
      id: call.id ?? seen.calls[at]?.id ?? '',
      name: call.name,
      arguments: client.parsesArguments === true ? rewritten(call.arguments) : call.arguments,
    })),
    // The AI SDK calls a refusal a filtered answer.
    finish:
      client.parsesArguments === true && answer.refusal !== undefined
        ? 'content_filter'
        : answer.finish,
    ...(answer.promptTokens === undefined ? {} : { promptTokens: answer.promptTokens }),
  };
}

function rewritten(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json));
  } catch {
    return json;
  }
}

describe.each(scenarios.filter((one) => one.answer !== undefined))('$name', (scenario) => {
  it.each(chatClients)('is understood by $name', async (client) => {
    const seen = await play(scenario, client);
    expect(seen).toEqual(visible(scenario.answer!, client, seen));
    expect(new Set(seen.calls.map((call) => call.id)).size).toBe(seen.calls.length);
    expect(scripted.requests.length).toBe(scenario.attempts ?? 1);
  });
});

describe.each(scenarios.filter((one) => one.failure !== undefined))('$name', (scenario) => {
  it.each(chatClients)('is a failure to $name', async (client) => {
    const { status, words, afterText } = scenario.failure!;
    const seen = await play(scenario, client);
    const isInStream = afterText !== undefined && client.isWhole !== true;
    expect(seen.finish).not.toBe('stop');
    expect(seen.error?.message).toContain(words ?? '');
    expect(seen.error?.status).toBe(isInStream ? undefined : status);
    expect(seen.text).toBe(isInStream ? afterText : '');
    expect(scripted.requests.length).toBe(scenario.attempts ?? 1);
  });
});
