import { expect, it } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { clientTools, longText, outputRequest, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  reply,
  role,
  stall,
  startScriptedUpstream,
  status,
  text,
} from '../support/scripted-upstream.ts';

const levels: Readonly<Record<number, string>> = { 30: 'info', 40: 'warn' };

/** A log whose lines can be waited for. */
class LogLines {
  readonly lines: { level: number; msg: string; [member: string]: unknown }[] = [];
  #wake = Promise.withResolvers<void>();

  readonly add = (line: string): void => {
    this.lines.push(JSON.parse(line) as (typeof this.lines)[number]);
    this.#wake.resolve();
  };

  async next(message: string): Promise<{ level: string | undefined; [member: string]: unknown }> {
    for (;;) {
      const found = this.lines.find(({ msg }) => msg.includes(message));
      if (found !== undefined) return { ...found, level: levels[found.level] };
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }
}

const request = { model: 'm', messages: [user('a private question')] };

it('a refused request, a repeated one and an aborted turn have a line each at info, without any text', async () => {
  await using upstream = await startScriptedUpstream();
  const log = new LogLines();
  await using proxy = await startProxy({
    upstream,
    onLog: log.add,
    env: { RLM_UPSTREAM_MAX_RETRY_WAIT_MS: '1000' },
  });

  upstream.script(status(401, { error: { message: 'bad key; you said: a private question' } }));
  const refused = await proxy.post(request);
  expect(refused.status).toBe(401);
  expect(await log.next('request refused')).toMatchObject({
    level: 'info',
    code: 'unauthorized',
    status: 401,
    requestId: refused.headers.get('x-request-id'),
  });

  upstream.script(
    status(429, { error: { message: 'slow: a private question' } }, { 'retry-after-ms': '1' }),
  );
  upstream.otherwise(answer('done'));
  await (await proxy.post(request)).text();
  expect(await log.next('is repeated')).toMatchObject({
    level: 'info',
    attempt: 1,
    code: 'too_busy',
    status: 429,
  });

  for (const stream of [true, false]) {
    const from = upstream.requests.length;
    log.lines.length = 0;
    upstream.script(reply(role(), text('a'), stall()));
    const leaving = new AbortController();
    const asked = proxy.post({ ...request, stream }, {}, leaving.signal);
    await upstream.nthRequest(from + 1);
    if (stream) await asked;
    leaving.abort();
    await asked.catch(() => undefined);
    expect(await log.next('turn aborted')).toMatchObject({ level: 'info' });
    await upstream.requests.at(-1)?.ended;
  }

  await proxy.post('no json').then((response) => response.text());
  expect(await log.next('request refused')).toMatchObject({ level: 'info', status: 400 });
  expect(JSON.stringify(log.lines)).not.toContain('private');
});

it('a repeated call of a sub-model has a line, too, without any text', async () => {
  await using upstream = await startScriptedUpstream();
  const log = new LogLines();
  await using proxy = await startProxy({
    upstream,
    onLog: log.add,
    env: { RLM_INJECT: 'always', RLM_UPSTREAM_MAX_RETRY_WAIT_MS: '1000' },
  });
  const question = { question: 'a private question', offset: 0, length: 500 };
  upstream.script(
    callTools({ name: 'rlm_query', args: question }),
    status(503, { error: { message: 'not now: a private question' } }, { 'retry-after-ms': '1' }),
  );
  upstream.otherwise(answer('done'));
  const messages = [user(longText(2_000, 'private'))];
  await (await proxy.post({ ...request, messages })).text();
  expect(upstream.requests).toHaveLength(4);
  expect(await log.next('sub-model is repeated')).toMatchObject({
    level: 'info',
    code: 'upstream_failed',
    status: 503,
  });
  expect(JSON.stringify(log.lines)).not.toContain('private');
});

it('a model list that cannot be had has one line at info, however often it is asked for', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.models = status(503, { error: { message: 'not now: a private text' } });
  const log = new LogLines();
  await using proxy = await startProxy({ upstream, onLog: log.add });
  for (let at = 0; at < 3; at += 1) await (await fetch(`${proxy.baseURL}/models`)).text();
  expect(await log.next('no model list')).toMatchObject({
    level: 'info',
    upstream: 'upstream',
    code: 'upstream_failed',
    status: 503,
  });
  expect(log.lines.filter(({ msg }) => msg.includes('model list'))).toHaveLength(1);
  expect(JSON.stringify(log.lines)).not.toContain('private');
});

it('neither text nor key is logged, however much is told, while our tools run', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(
    callTools({ name: 'rlm_find', args: { text: 'hush-query' } }),
    answer('hush-answer'),
    status(400, { error: { message: 'hush-refusal' } }),
  );
  using home = new CliHome();
  const { url, child, result } = await home.serve({
    RLM_LOG_LEVEL: 'debug',
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_API_KEY: 'hush-key',
    RLM_STRIP_MIN_CHARS: '10000',
  });
  const ask = async (content: string): Promise<string> => {
    const messages = outputRequest(content).messages;
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer hush-client' },
      body: JSON.stringify({ model: 'm', tools: clientTools, messages }),
    });
    return response.text();
  };
  expect(await ask(longText(20_000, 'hush-text'))).toContain('hush-answer');
  expect(await ask(longText(20_000, 'hush-other'))).toContain('hush-refusal');
  child.kill('SIGTERM');
  const { stderr } = await result;
  expect(stderr).toContain('"steps":2');
  expect(stderr).not.toMatch(/hush-|quick brown fox/);
});
