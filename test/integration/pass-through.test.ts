import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OpenAI, toFile } from 'openai';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startProxy, type TestProxy } from '../support/proxy.ts';

/** What a provider was asked. */
interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

interface Provider extends AsyncDisposable {
  readonly baseURL: string;
  readonly asked: Asked[];
}

/** A provider that answers everything in one way. */
async function startProvider(
  answer: (asked: Asked, response: ServerResponse) => void | Promise<void>,
): Promise<Provider> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat(await Array.fromAsync<Buffer>(request));
      const one = { path: request.url ?? '', headers: request.headers, body };
      asked.push(one);
      await answer(one, response);
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function json(value: unknown): (asked: Asked, response: ServerResponse) => void {
  return (_asked, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'a=b' });
    response.end(JSON.stringify(value));
  };
}

async function startFor(
  { baseURL }: Provider,
  env: Readonly<Record<string, string>> = {},
): Promise<TestProxy> {
  return startProxy({
    env: {
      RLM_UPSTREAM_BASE_URL: baseURL,
      RLM_UPSTREAM_MODEL: 'm',
      RLM_UPSTREAM_API_KEY: 'provider-key-1',
      ...env,
    },
  });
}

function clientOf({ baseURL }: TestProxy): OpenAI {
  return new OpenAI({ baseURL, apiKey: 'client-key', maxRetries: 0 });
}

describe('a request of another kind', () => {
  it('goes to the provider with its key and its name of the model, everything else as it came', async () => {
    await using provider = await startProvider(
      json({ object: 'list', data: [{ object: 'embedding', index: 0, embedding: [1] }] }),
    );
    await using proxy = await startFor(provider);
    const answered = await fetch(`${proxy.origin}/embeddings/`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: 'Bearer client-key',
        cookie: 'secret',
        'x-session-id': 's',
      },
      body: '{"input": ["a", "ä"], "seed": 12345678901234567890, "model": "upstream.emb/x:1"}',
    });
    expect(await answered.json()).toMatchObject({ data: [{ embedding: [1] }] });
    expect(answered.headers.get('set-cookie')).toBeNull();
    const [asked] = provider.asked;
    expect(asked?.path).toBe('/api/v1/embeddings');
    expect(asked?.body.toString()).toBe(
      '{"input":["a","ä"],"seed":12345678901234567890,"model":"emb/x:1"}',
    );
    expect(asked?.headers).toMatchObject({
      authorization: 'Bearer provider-key-1',
      'content-type': 'application/json',
      'user-agent': 'rlm-opencode',
    });
    expect(Object.keys(asked?.headers ?? {})).not.toEqual(
      expect.arrayContaining(['cookie', 'x-session-id']),
    );
  });

  it('of the provider’s own model name goes as the bytes it came in', async () => {
    await using provider = await startProvider(json({}));
    await using proxy = await startFor(provider);
    const body = '{ "model" : "emb", "input":"\\u00e4" }';
    await fetch(`${proxy.baseURL}/moderations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(provider.asked[0]?.body.toString()).toBe(body);
  });

  it('is refused in the shape of all errors, with the provider’s status and words', async () => {
    await using provider = await startProvider((_asked, response) => {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end('{"error":{"message":"Incorrect key provider-key-1"}}');
    });
    await using proxy = await startFor(provider);
    const failed = clientOf(proxy).embeddings.create({ model: 'emb', input: 'a' });
    await expect(failed).rejects.toMatchObject({ status: 401, code: 'unauthorized' });
    await expect(failed).rejects.not.toThrow(/provider-key-1/);
  });

  it('streams, and a break is told in the stream', async () => {
    await using provider = await startProvider((_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"text":"Hel"}]}\n\n', () => response.destroy());
    });
    await using proxy = await startFor(provider);
    const answered = await fetch(`${proxy.baseURL}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"m","prompt":"a","stream":true}',
    });
    expect(answered.headers.get('content-type')).toBe('text/event-stream');
    const text = await answered.text();
    expect(text).toContain('"text":"Hel"');
    expect(text).toContain('"code":"upstream_failed"');
  });

  it('whose body is too large never gets there', async () => {
    await using provider = await startProvider(json({}));
    await using proxy = await startFor(provider, { RLM_BODY_LIMIT_BYTES: '2000' });
    const failed = clientOf(proxy).embeddings.create({ model: 'emb', input: 'a'.repeat(3_000) });
    await expect(failed).rejects.toMatchObject({ status: 413 });
    expect(provider.asked).toEqual([]);
  });

  it('ends at the provider when its client leaves', async () => {
    const left = Promise.withResolvers<void>();
    await using provider = await startProvider((_asked, response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      response.write(Buffer.alloc(1_000));
      response.on('close', left.resolve);
    });
    await using proxy = await startFor(provider);
    const leaving = new AbortController();
    const answered = await fetch(`${proxy.baseURL}/audio/speech`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"tts","input":"a","voice":"v"}',
      signal: leaving.signal,
    });
    await answered.body?.getReader().read();
    leaving.abort();
    await left.promise;
    while ((await proxy.health()).live > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(provider.asked).toHaveLength(1);
  });

  it('of an unknown provider is told which there are; the demo has none of these', async () => {
    await using proxy = await startProxy();
    const failed = clientOf(proxy).embeddings.create({ model: 'emb', input: 'a' });
    await expect(failed).rejects.toMatchObject({ status: 404, code: 'not_found' });
  });
});

describe('a day’s limits', () => {
  const vector = Array.from({ length: 30_000 }, (_, at) => at / 3);
  const tricky = 'It said "usage":{"prompt_tokens":9999} and \\ "usage": {';
  const events = [
    { choices: [{ text: 'Hel' }], usage: { prompt_tokens: 30, completion_tokens: 1 } },
    { choices: [{ text: `lo. ${tricky}` }] },
    { choices: [], usage: { prompt_tokens: 30, completion_tokens: 12, total_tokens: 42 } },
  ];
  const stream = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
  const asJson = 'application/json';

  it.each([
    [
      'embeddings, behind a large vector',
      asJson,
      JSON.stringify({
        data: [{ embedding: vector, usage: { prompt_tokens: 7 } }],
        usage: { prompt_tokens: 42, total_tokens: 42 },
      }),
    ],
    [
      'embeddings, before it',
      asJson,
      JSON.stringify({ usage: { prompt_tokens: 42 }, text: 'usage', data: vector, note: tricky }),
    ],
    [
      'a text that speaks of usage',
      'application/json; charset=utf-8',
      JSON.stringify({
        choices: [{ text: tricky }],
        usage: { prompt_tokens: 40, completion_tokens: 2 },
      }),
    ],
    ['a stream that counts as it goes', 'text/event-stream', `${stream}data: [DONE]\n\n`],
    [
      'a transcription',
      asJson,
      '{"text":"Hello.","usage":{"type":"tokens","input_tokens":40,"output_tokens":2,"total_tokens":42}}',
    ],
    ['a ranking', asJson, '{"results":[],"usage":{"total_tokens":42}}'],
  ])('count what the answer says of tokens: %s', async (_name, type, body) => {
    await using provider = await startProvider((_asked, response) => {
      response.writeHead(200, { 'content-type': type });
      // In pieces, so that names and numbers are cut.
      for (let at = 0; at < body.length; at += 1_009) response.write(body.slice(at, at + 1_009));
      response.end();
    });
    for (const [limit, second] of [
      ['42', 400],
      ['43', 200],
    ] as const) {
      await using proxy = await startFor(provider, { RLM_MAX_DAY_TOKENS: limit });
      const ask = async (): Promise<Response> =>
        fetch(`${proxy.baseURL}/embeddings`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"model":"emb","input":"a"}',
        });
      expect(await (await ask()).text()).toBe(body);
      expect([limit, (await ask()).status]).toEqual([limit, second]);
    }
  });

  it('once used up refuse such a request and a chat alike, whichever has used them, in a new process too', async () => {
    await using provider = await startProvider(({ path }, response) => {
      const usage = { prompt_tokens: 60, completion_tokens: 0, total_tokens: 60 };
      const choices = [{ index: 0, message: { content: 'fine' }, finish_reason: 'stop' }];
      const isChat = path.endsWith('/chat/completions');
      json(isChat ? { choices, usage } : { data: [], usage })({} as Asked, response);
    });
    let proxy = await startFor(provider, { RLM_MAX_DAY_TOKENS: '100' });
    await proxy.ask({ messages: [{ role: 'user', content: 'Hello' }] });
    await clientOf(proxy).embeddings.create({ model: 'emb', input: 'a' });
    proxy = await proxy.restart();
    await using _ = proxy;
    const refused = clientOf(proxy).embeddings.create({ model: 'emb', input: 'a' });
    await expect(refused).rejects.toMatchObject({ status: 400, code: 'limit_reached' });
    await expect(refused).rejects.toThrow('Stopped by the limit day.tokens: 100 tokens a day');
    await expect(proxy.ask({ messages: [{ role: 'user', content: 'Hello' }] })).rejects.toThrow(
      'day.tokens',
    );
    expect(provider.asked).toHaveLength(2);
  });

  it('count no more tokens than a request has bytes', async () => {
    await using provider = await startProvider(json({ data: [], usage: { prompt_tokens: 1e12 } }));
    await using proxy = await startFor(provider, { RLM_MAX_DAY_TOKENS: '20000' });
    const client = clientOf(proxy);
    await client.embeddings.create({ model: 'emb', input: 'a' });
    await client.embeddings.create({ model: 'emb', input: 'a' });
    expect(provider.asked).toHaveLength(2);
  });

  it('count money by the model’s prices', async () => {
    await using provider = await startProvider(json({ data: [], usage: { prompt_tokens: 1_000 } }));
    await using proxy = await startFor(provider, {
      RLM_MAX_DAY_MONEY: '0.001',
      RLM_CONFIG: await settingsWithPrices(provider),
      RLM_UPSTREAM_BASE_URL: '',
    });
    const client = clientOf(proxy);
    await client.embeddings.create({ model: 'priced.emb', input: 'a' });
    const refused = client.embeddings.create({ model: 'priced.emb', input: 'a' });
    await expect(refused).rejects.toThrow('day.money');
  });
});

/** A settings file in which the provider's model costs something. */
async function settingsWithPrices({ baseURL }: Provider): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-prices-'));
  onTestFinished(async () => rm(folder, { recursive: true }));
  const path = join(folder, 'config.jsonc');
  const models = [{ id: 'emb', prices: { input: 1, output: 1 } }];
  await writeFile(path, JSON.stringify({ providers: { priced: { baseURL, models } } }));
  return path;
}

describe('a form', () => {
  const sound = Buffer.from(`RIFF name="model"\r\n\r\n ${'\0\r\n--'.repeat(40_000)}`);

  /** The form's fields as the provider reads them. */
  async function fieldsOf({ headers, body }: Asked): Promise<FormData> {
    const type = headers['content-type'] ?? '';
    return new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
  }

  it.each([
    ['before', ['model', 'file']],
    ['behind', ['file', 'model']],
  ])('goes with its file to the byte, the model %s it', async (_name, order) => {
    await using provider = await startProvider(json({ text: 'Hello.' }));
    await using proxy = await startFor(provider);
    const form = new FormData();
    for (const name of order) {
      if (name === 'model') form.append('model', 'upstream.whisper-1');
      else form.append('file', new Blob([new Uint8Array(sound)]), 'a.wav');
    }
    form.append('language', 'de');
    const answered = await fetch(`${proxy.baseURL}/audio/transcriptions`, {
      method: 'POST',
      body: form,
    });
    expect(await answered.json()).toEqual({ text: 'Hello.' });
    const [asked] = provider.asked;
    const fields = await fieldsOf(asked!);
    expect(fields.get('model')).toBe('whisper-1');
    expect(fields.get('language')).toBe('de');
    const file = fields.get('file') as unknown as Blob;
    expect(Buffer.from(await file.arrayBuffer()).equals(sound)).toBe(true);
    expect(asked?.path).toBe('/api/v1/audio/transcriptions');
  });

  it('of the SDK is answered', async () => {
    await using provider = await startProvider(json({ text: 'Hello.' }));
    await using proxy = await startFor(provider);
    const { text } = await clientOf(proxy).audio.transcriptions.create({
      file: await toFile(sound, 'a.wav'),
      model: 'whisper-1',
    });
    expect(text).toBe('Hello.');
    expect(provider.asked[0]?.headers.authorization).toBe('Bearer provider-key-1');
  });

  it('is none of a chat', async () => {
    await using proxy = await startProxy();
    const answered = await fetch(`${proxy.baseURL}/chat/completions`, {
      method: 'POST',
      body: new FormData(),
    });
    expect(answered.status).toBe(415);
  });
});
