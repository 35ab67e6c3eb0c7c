import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { postChat, rawRequest, startServer } from '../support/http-server.ts';
import { ManualClock } from '../support/manual-clock.ts';

const json = { 'content-type': 'application/json' };

interface ErrorAnswer {
  readonly error: { readonly message: string; readonly code: string };
}

describe('paths', () => {
  test.each([
    '/chat/completions',
    '/v1/chat/completions/',
    '/v1//chat/completions',
    '//v1/chat/completions//',
    '/v1/v1/chat/completions',
    '/chat/completions/?x=1',
  ])('POST %s is the chat', async (path) => {
    await using at = await startServer();
    const reply = await fetch(at.url + path, { method: 'POST', headers: json, body: '{"a":1}' });
    expect([reply.status, await reply.text()]).toEqual([200, '{"a":1}']);
  });

  test.each(['/models', '/v1/models/', '//v1//models', '/models/zai.org/name:tag'])(
    'GET %s is the models',
    async (path) => {
      await using at = await startServer();
      const reply = await fetch(at.url + path);
      expect([reply.status, await reply.text()]).toEqual([200, expect.stringContaining('"model"')]);
    },
  );

  test.each(['/embeddings', '/v1/rerank/', '//v1/audio//speech', '/v1/images/generations?x=1'])(
    'POST %s is passed through',
    async (path) => {
      await using at = await startServer();
      const reply = await fetch(at.url + path, { method: 'POST', headers: json, body: '{"a":1}' });
      expect([reply.status, await reply.text()]).toEqual([200, '{"a":1}']);
      expect(path).toContain(reply.headers.get('x-path')?.split('/').at(-1));
    },
  );

  test('a wrong method is still told with the right ones', async () => {
    await using at = await startServer();
    const reply = await fetch(`${at.url}/chat/completions/`);
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test.each([
    ['POST', '/v1/files', "the provider's own base URL"],
    ['POST', '/api/chat', 'ends in /v1'],
    ['GET', '/', 'POST /v1/chat/completions'],
    ['POST', '/v1/audio/nope', "the provider's own base URL"],
    ['GET', '/v1/nope', 'POST /v1/embeddings, /v1/completions'],
  ])('%s %s is not found, and the answer says where to go', async (method, path, words) => {
    await using at = await startServer();
    const reply = await fetch(at.url + path, { method, headers: json });
    const { error } = (await reply.json()) as ErrorAnswer;
    expect([reply.status, error.code]).toEqual([404, 'not_found']);
    expect(error.message).toContain(words);
    expect(error.message).toContain('POST /v1/chat/completions, ');
  });

  test.each([
    '/health',
    '/v1/models',
    '/models/',
    '/v1/models/zai.org/name:tag',
    '/v1/models/nope',
  ])('HEAD %s has the head that GET has, and no body', async (path) => {
    await using at = await startServer();
    const headOf = ({ status, headers }: Response): unknown => {
      const shown = ['content-type', 'content-length', 'cache-control', 'allow'];
      return [status, shown.map((name) => headers.get(name))];
    };
    const got = await fetch(at.url + path);
    const head = await fetch(at.url + path, { method: 'HEAD' });
    expect(headOf(head)).toEqual(headOf(got));
    expect(await got.text()).not.toBe('');
    expect(await head.text()).toBe('');
  });

  test.each([
    ['HEAD', '/v1/chat/completions', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
  ])('%s %s is told which methods there are', async (method, path, allowed) => {
    await using at = await startServer();
    const reply = await fetch(at.url + path, { method, headers: json });
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, allowed]);
  });

  test('a client that looks whether a server is there finds one, without a token and a word', async () => {
    const lines: string[] = [];
    await using at = await startServer({
      apiToken: 'secret-token-0123456789',
      log: pino({ level: 'debug' }, { write: (line) => lines.push(line) }),
    });
    const head = await fetch(`${at.url}/api/hello`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(lines).toEqual([]);
    for (const [method, path] of [
      ['HEAD', '/api/other'],
      ['GET', '/api/hello'],
    ] as const) {
      const headers = { authorization: 'Bearer secret-token-0123456789' };
      const other = await fetch(at.url + path, { method, headers });
      expect([method, path, other.status]).toEqual([method, path, 404]);
    }
    expect(lines).toHaveLength(2);
  });

  test('a path of nothing but slashes takes no time', async () => {
    await using at = await startServer();
    const reply = await rawRequest(at.url, { path: `${'/'.repeat(8_000)}x${'/'.repeat(7_000)}` });
    expect(reply.status).toBe(404);
  });
});

describe('bodies', () => {
  const body = JSON.stringify({ text: 'ä'.repeat(100_000) });

  test.each([
    ['gzip', gzipSync(body)],
    ['x-gzip', gzipSync(body)],
    ['deflate', deflateSync(body)],
    ['br', brotliCompressSync(body)],
    ['zstd', zstdCompressSync(body)],
  ])('are unpacked: %s', async (encoding, packed) => {
    await using at = await startServer();
    const reply = await postChat(at.url, {
      headers: { 'content-encoding': encoding },
      body: new Uint8Array(packed),
    });
    expect(reply.status).toBe(200);
    expect(await reply.text()).toBe(body);
  });

  test('that unpack to more than the limit are refused', async () => {
    await using at = await startServer({ bodyLimitBytes: 50_000 });
    const reply = await postChat(at.url, {
      headers: { 'content-encoding': 'gzip' },
      body: new Uint8Array(gzipSync(Buffer.alloc(40_000_000))),
    });
    expect(reply.status).toBe(413);
  });

  test.each([
    ['garbage', Buffer.from('no gzip at all')],
    ['cut', gzipSync(body).subarray(0, 50)],
  ])('that cannot be unpacked are a bad request: %s', async (_name, packed) => {
    await using at = await startServer();
    const reply = await postChat(at.url, {
      headers: { 'content-encoding': 'gzip' },
      body: new Uint8Array(packed),
    });
    expect([reply.status, ((await reply.json()) as ErrorAnswer).error.code]).toEqual([
      400,
      'invalid_request',
    ]);
  });

  test('may begin with a byte order mark', async () => {
    await using at = await startServer();
    const reply = await postChat(at.url, { body: '\uFEFF{"a":"\uFEFF"}' });
    expect(await reply.text()).toBe('{"a":"\uFEFF"}');
  });
});

test('headers that are too large are told to be', async () => {
  await using at = await startServer();
  const reply = await rawRequest(at.url, {
    path: '/health',
    headers: { cookie: 'x'.repeat(20_000) },
  });
  expect(reply.status).toBe(431);
  expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'invalid_request' } });
});

test('a name that ends in a dot is the same name', async () => {
  await using at = await startServer();
  const get = async (host: string): Promise<number> =>
    (await rawRequest(at.url, { path: '/health', headers: { host } })).status;
  expect(await get('localhost.:80')).toBe(200);
  expect(await get('evil.example.')).toBe(403);
});

describe('bodies that never end', () => {
  const unfinished = (url: string): Socket => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    const head =
      'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
    socket.write(`${head}content-length: 100\r\n\r\n{"a":`);
    return socket.on('error', () => undefined);
  };

  const settled = async (at: { server: { liveCount: number } }, count: number): Promise<void> => {
    while (at.server.liveCount !== count) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  test('keep nobody out, however many there are', async () => {
    const clock = new ManualClock();
    await using at = await startServer({ maxLiveTurns: 2, clock });
    const sockets: Socket[] = [];
    for (let n = 0; n < 10; n += 1) {
      sockets.push(unfinished(at.url));
      // From the fifth on each one puts out the first that is left.
      if (n < 4) await settled(at, n + 1);
      else await once(sockets[n - 4] as Socket, 'data');
      clock.advance(1_000);
    }
    const reply = await postChat(at.url, { body: '{"a":1}' });
    expect([reply.status, await reply.text()]).toEqual([200, '{"a":1}']);
    for (const socket of sockets) socket.destroy();
  });

  test('are given up after a while, with an answer that says so', async () => {
    const clock = new ManualClock();
    await using at = await startServer({ bodyIdleMs: 5_000, clock });
    const socket = unfinished(at.url);
    await settled(at, 1);
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(5_000);
    const text = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString();
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(text).toContain('RLM_BODY_IDLE_TIMEOUT_MS');
  });
});
