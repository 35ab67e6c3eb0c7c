import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { ChatHandler } from '../../src/http/handlers.ts';
import { createServer } from '../../src/http/server.ts';
import { ownerSecret, postChat, rawRequest, startServer } from '../support/http-server.ts';

const routes = [
  { method: 'POST', path: '/v1/chat/completions' },
  { method: 'GET', path: '/v1/models' },
  { method: 'GET', path: '/v1/models/zai.org/name:tag' },
  { method: 'GET', path: '/health' },
  { method: 'POST', path: '/v1/rlm/stats' },
  { method: 'GET', path: '/nowhere' },
];
const json = { 'content-type': 'application/json' };

/** Fails the test when it is called: the guards come first. */
const unreachable: ChatHandler = {
  handle: () => {
    throw new Error('the handler was reached');
  },
};

describe.each(routes)('$method $path', ({ method, path }) => {
  test('refuses a foreign Host header', async () => {
    await using at = await startServer({ chat: unreachable });
    for (const host of ['evil.example', 'evil.example:8768', '127.0.0.1.evil.example', 'a@b']) {
      const reply = await rawRequest(at.url, {
        method,
        path,
        headers: { ...json, host },
        body: '',
      });
      expect([host, reply.status]).toEqual([host, 403]);
      expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'forbidden' } });
    }
  });

  test('refuses a foreign Origin, also with a good token, and sends no CORS header', async () => {
    await using at = await startServer({ chat: unreachable, apiToken: 'good' });
    for (const origin of ['https://evil.example', 'null', at.url]) {
      const headers = { ...json, origin, authorization: 'Bearer good' };
      const reply = await rawRequest(at.url, { method, path, headers });
      expect([origin, reply.status]).toEqual([origin, 403]);
      expect(Object.keys(reply.headers).join()).not.toContain('access-control');
    }
  });

  test('wants the token, except for health', async () => {
    await using at = await startServer({ chat: unreachable, apiToken: 'good' });
    for (const authorization of ['', 'Bearer bad', 'Bearer goodgood', 'Bearer ', 'Basic good']) {
      const reply = await rawRequest(at.url, { method, path, headers: { ...json, authorization } });
      expect(reply.status).toBe(path === '/health' ? 200 : 401);
    }
  });
});

test.each(['127.0.0.1', 'localhost', 'LOCALHOST:1', '[::1]', '[::1]:8768', '127.9.9.9:80'])(
  'answers to Host %s',
  async (host) => {
    await using at = await startServer();
    expect((await rawRequest(at.url, { path: '/health', headers: { host } })).status).toBe(200);
  },
);

test('refuses a request without any Host', async () => {
  await using at = await startServer();
  const socket = connect(Number(new URL(at.url).port), '127.0.0.1');
  socket.write('GET /health HTTP/1.0\r\n\r\n');
  const text = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString();
  expect(text).toMatch(/^HTTP\/1.1 403 /);
});

test('answers to configured hosts', async () => {
  await using at = await startServer({ allowedHosts: ['Proxy.lan'] });
  const reply = await rawRequest(at.url, { path: '/health', headers: { host: 'proxy.LAN:8768' } });
  expect(reply.status).toBe(200);
});

test('listening everywhere needs a token; then addresses are fine as Host, names are not', async () => {
  await expect(startServer({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'config_invalid' });
  await using at = await startServer({ host: '0.0.0.0', apiToken: 'good' });
  const ask = (host: string) => rawRequest(at.url, { path: '/health', headers: { host } });
  expect((await ask('192.168.7.7:8768')).status).toBe(200);
  expect((await ask('rebound.example')).status).toBe(403);
});

test('a body is not read before it is refused', async () => {
  await using at = await startServer({ chat: unreachable, apiToken: 'good' });
  let pulled = 0;
  const body = new ReadableStream({
    pull(controller) {
      pulled += 1;
      controller.enqueue(new Uint8Array(65_536));
    },
  });
  const reply = await postChat(at.url, { body, duplex: 'half' });
  expect(reply.status).toBe(401);
  const refusedAt = pulled;
  expect(refusedAt).toBeLessThan(200);
  await reply.text();
});

function askStats(url: string, token: string) {
  const headers = { ...json, authorization: `Bearer ${token}` };
  return rawRequest(url, { method: 'POST', path: '/v1/rlm/stats', headers, body: '{"a":1}' });
}

test('operations need the owner secret, whether or not clients need a token', async () => {
  await using open = await startServer();
  await using closed = await startServer({ apiToken: 'good' });
  expect((await askStats(open.url, 'x')).status).toBe(401);
  const granted = await askStats(open.url, ownerSecret);
  expect(JSON.parse(granted.body)).toEqual({ result: { operation: 'stats', body: '{"a":1}' } });
  expect((await askStats(closed.url, ownerSecret)).status).toBe(200);
  expect((await askStats(closed.url, 'good')).status).toBe(401);
});

describe('CORS for a configured origin', () => {
  const origin = 'http://localhost:3000';

  test('preflight needs no token and names the origin exactly', async () => {
    await using at = await startServer({ corsOrigins: [origin], apiToken: 'good' });
    const preflight = (from: string) =>
      rawRequest(at.url, {
        method: 'OPTIONS',
        path: '/v1/chat/completions',
        headers: { origin: from, 'access-control-request-method': 'POST' },
      });
    const granted = await preflight(origin);
    expect(granted.status).toBe(204);
    expect(granted.headers['access-control-allow-origin']).toBe(origin);
    expect(granted.headers['access-control-allow-credentials']).toBeUndefined();
    expect((await preflight('http://localhost:3001')).status).toBe(403);
  });

  test('its streams carry the header too', async () => {
    await using at = await startServer({
      corsOrigins: [origin],
      chat: {
        handle: async () => ({
          kind: 'stream',
          frames: (async function* () {
            yield 'data: 1\n\n';
          })(),
        }),
      },
    });
    const reply = await rawRequest(at.url, {
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { ...json, origin },
      body: '{}',
    });
    expect(reply.headers['access-control-allow-origin']).toBe(origin);
    expect(reply.headers['x-request-id']).toMatch(/^req_/);
  });
});

test('a server without a token is not even built for a public address', () => {
  for (const host of ['0.0.0.0', '::', '192.168.1.5', 'example.com', '127.0.0.1.example.com']) {
    expect(() => createServer({ host } as Parameters<typeof createServer>[0])).toThrow(/token/);
  }
});
