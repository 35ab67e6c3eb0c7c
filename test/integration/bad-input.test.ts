import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { clientTools, longText, resultOf, user, outputRequest } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  finish,
  reply,
  role,
  startScriptedUpstream,
  toolCall,
  done,
} from '../support/scripted-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

const big = longText(20_000);
const withOutput = outputRequest(big);

it.each([
  ['sess_0123456789abcdef', 404],
  ['../../etc/passwd', 404],
  ['sess_../../x', 404],
  ['nonsense', 404],
])('names a session that does not exist: %s', async (session, wanted) => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  const response = await proxy.post(
    { model: 'm', messages: [user('hi')] },
    { 'x-rlm-session': session },
  );
  expect(response.status).toBe(wanted);
  expect(await response.json()).toMatchObject({
    error: { type: 'invalid_request_error', code: 'unknown_session' },
  });
  expect(upstream.requests).toHaveLength(0);
});

it('takes a directory that is not on this machine, and refuses one that is no path', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
  await using proxy = await startProxy({ upstream });
  const far = await proxy.post(
    { model: 'm', messages: [user('hi')] },
    { 'x-rlm-directory': encodeURIComponent('/nowhere/at all/日本') },
  );
  expect(far.status).toBe(200);
  const relative = await proxy.post(
    { model: 'm', messages: [user('hi')] },
    { 'x-rlm-directory': 'some/folder' },
  );
  expect(relative.status).toBe(400);
  expect(await relative.json()).toMatchObject({ error: { param: 'x-rlm-directory' } });
});

it('names a model that nobody has, when several providers are configured', async () => {
  await using proxy = await startProxy();
  const listed = (await (await fetch(`${proxy.baseURL}/models`)).json()) as {
    data: { id: string }[];
  };
  expect(listed.data.map((model) => model.id)).toContain('rlm-internal.rlm-core-v1');
  const missing = await fetch(`${proxy.baseURL}/models/no-such-model`);
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
});

it.each([
  ['{"pattern": ', /not valid JSON/],
  ['{"pattern": {"a": 7}}', /do not fit/],
  ['{"nonsense": true}', /do not fit.*pattern/],
  ['[]', /do not fit/],
])('tells the model what is wrong with its arguments: %s', async (args, wanted) => {
  await using upstream = await startScriptedUpstream();
  upstream.script(
    reply(role(), toolCall('rlm_search', args), finish('tool_calls'), done()),
    answer('ok'),
  );
  await using proxy = await startProxy({ upstream });
  const { message } = await proxy.ask(withOutput);
  expect(message.content).toBe('ok');
  expect(upstream.requests[1]?.body.messages.at(-1)?.content).toMatch(wanted);
});

it('answers a call of an rlm_ tool that nobody has, under any name', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(
    callTools(
      { name: 'rlm_nothing', args: {}, id: 'constructor' },
      { name: 'rlm_stats', args: {}, id: '__proto__' },
    ),
    answer('ok'),
  );
  await using proxy = await startProxy({ upstream });
  const { message } = await proxy.ask(withOutput);
  expect(message.content).toBe('ok');
  const results = upstream.requests[1]?.body.messages.slice(-2) ?? [];
  expect(results.map((result) => result.tool_call_id)).toEqual(['constructor', '__proto__']);
  expect(toolResult(results[0]?.content)['error']).toContain('There is no tool');
  expect(toolResult(results[1]?.content)).toMatchObject({ entries: 1 });
});

it('leaves a client’s tool of one of our names alone and withdraws ours', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(callTools({ name: 'rlm_stats', args: { theirs: true } }));
  await using proxy = await startProxy({ upstream });
  const own = {
    type: 'function',
    function: { name: 'rlm_stats', description: 'the client’s', parameters: { type: 'object' } },
  };
  const { message, finishReason } = await proxy.ask({
    ...withOutput,
    tools: [...clientTools, own],
  });
  expect(finishReason).toBe('tool_calls');
  expect(message.tool_calls?.[0]?.function?.name).toBe('rlm_stats');
  const names = upstream.requests[0]?.body.tools?.map((tool) => tool.function?.name);
  expect(names?.filter((name) => name === 'rlm_stats')).toHaveLength(1);
  expect(names).toContain('rlm_search');
});

it('goes on without capture when nothing can be stored, and says so', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('still here'));
  await using proxy = await startProxy({ upstream, env: { RLM_STORE_MAX_BYTES: '1048576' } });
  const huge = longText(2_000_000);
  const messages = [...withOutput.messages.slice(0, 3), resultOf('call_tester', huge)];
  const { message } = await proxy.ask({ ...withOutput, messages });
  expect(message.content).toBe('still here');
  // What the window has no room for cannot be kept anywhere: both ends go upstream, and the gap
  // says so.
  const sent = String(upstream.requests[0]?.body.messages.at(-1)?.content);
  expect(sent.length).toBeLessThan(500_000);
  expect(huge.startsWith(sent.slice(0, 10_000)) && huge.endsWith(sent.slice(-10_000))).toBe(true);
  expect(sent).toContain('they are kept nowhere');
  expect(await proxy.health()).toMatchObject({ status: 'degraded', lastStoreFault: 'store_full' });
});

it('keeps keys out of everything it writes, and every file to its owner', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(callTools({ name: 'rlm_stats', args: {} }), answer('ok'));
  await using proxy = await startProxy({ upstream });
  await proxy.ask(withOutput, { authorization: 'Bearer client-secret-key' });
  expect(upstream.requests[0]?.headers['authorization']).toBe('Bearer test-key');
  const written = await readdir(proxy.dataDir, { recursive: true, withFileTypes: true });
  expect(written.length).toBeGreaterThan(5);
  for (const entry of written) {
    const path = join(entry.parentPath, entry.name);
    expect([path, (await stat(path)).mode & 0o077]).toEqual([path, 0]);
    if (!entry.isFile()) continue;
    expect(await readFile(path, 'utf8')).not.toMatch(/client-secret-key|test-key/);
  }
  expect(JSON.stringify(await proxy.health())).not.toMatch(/client-secret-key|test-key/);
});
