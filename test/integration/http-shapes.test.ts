import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { postChat, rawRequest, startServer } from '../support/http-server.ts';

/** Every error has exactly OpenAI's members. */
async function errorOf(reply: Response) {
  const body = (await reply.json()) as { error: Record<string, unknown> };
  expect(Object.keys(body)).toEqual(['error']);
  expect(Object.keys(body.error).toSorted()).toEqual(['code', 'message', 'param', 'type']);
  expect(reply.headers.get('content-type')).toContain('application/json');
  expect(reply.headers.get('x-request-id')).toMatch(/^req_/);
  return { status: reply.status, code: body.error['code'], message: body.error['message'] };
}

describe('refusals in the shape of OpenAI', () => {
  test.each([
    ['GET', '/nope', 404, 'not_found'],
    ['DELETE', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['GET', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['POST', '/v1/models', 405, 'method_not_allowed'],
    ['PUT', '/health', 405, 'method_not_allowed'],
    ['GET', '/v1/models/unknown', 404, 'unknown_model'],
    ['GET', '/%zz', 400, 'invalid_request'],
  ])('%s %s -> %i', async (method, path, status, code) => {
    await using at = await startServer();
    const headers = { 'content-type': 'application/json' };
    const reply = await fetch(at.url + path, { method, headers });
    expect(await errorOf(reply)).toMatchObject({ status, code });
    expect(reply.headers.has('allow')).toBe(status === 405);
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'garbage',
  ])('content type %s -> 415', async (type) => {
    await using at = await startServer();
    const reply = await postChat(at.url, { headers: { 'content-type': type } });
    expect(await errorOf(reply)).toMatchObject({ status: 415, code: 'unsupported_media_type' });
  });

  test('a body compressed in an unknown way -> 415', async () => {
    await using at = await startServer();
    const reply = await postChat(at.url, { headers: { 'content-encoding': 'compress' } });
    expect(await errorOf(reply)).toMatchObject({ status: 415 });
  });

  test('no body -> 400', async () => {
    await using at = await startServer();
    const reply = await fetch(`${at.url}/v1/chat/completions`, { method: 'POST' });
    expect(await errorOf(reply)).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  test('what is no HTTP at all -> 400', async () => {
    await using at = await startServer();
    const socket = connect(Number(new URL(at.url).port), '127.0.0.1');
    socket.write('hello\r\n\r\n');
    const text = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString();
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      error: { code: 'invalid_request' },
    });
  });
});

describe('the body', () => {
  test('reaches the handler byte for byte', async () => {
    await using at = await startServer();
    const body = JSON.stringify({ text: '💚 \u2028 "quoted"' }).padEnd(500_000, ' ');
    const reply = await postChat(at.url, { body });
    expect(await reply.text()).toBe(body);
  });

  test('said to be too large is refused before a piece of it is read', async () => {
    let pieces = 0;
    await using at = await startServer({
      chat: {
        handle: async ({ body }) => {
          for await (const _ of body) pieces += 1;
          return { kind: 'json', status: 200, body: '{}' };
        },
      },
    });
    expect((await postChat(at.url, { body: 'x'.repeat(1_000_001) })).status).toBe(413);
    expect(pieces).toBe(0);
  });

  test('found to be too large is refused while it is still coming', async () => {
    await using at = await startServer();
    const socket = connect(Number(new URL(at.url).port), '127.0.0.1');
    const size = 1_000_001;
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`,
    );
    const [reply] = (await once(socket, 'data')) as [Buffer];
    expect(reply.toString()).toMatch(/^HTTP\/1.1 413 /);
    socket.destroy();
  });

  test('over the limit, said in advance or found out -> 413, and the server lives on', async () => {
    await using at = await startServer();
    const large = 'x'.repeat(1_000_001);
    const declared = await postChat(at.url, { body: large });
    expect(await errorOf(declared)).toMatchObject({ status: 413, code: 'body_too_large' });
    const body = new Blob([large]).stream();
    const chunked = await postChat(at.url, { body, duplex: 'half' });
    expect(await errorOf(chunked)).toMatchObject({ status: 413, code: 'body_too_large' });
    expect((await postChat(at.url)).status).toBe(200);
  });
});

test('models: a list, one by an id with / . and :, escaped or not', async () => {
  await using at = await startServer();
  const list = (await (await fetch(`${at.url}/v1/models`)).json()) as { object: string };
  expect(list).toMatchObject({ object: 'list', data: [{ id: 'a.b', object: 'model' }] });
  for (const path of ['zai.org/name:tag', 'zai.org%2Fname%3Atag']) {
    const reply = await fetch(`${at.url}/v1/models/${path}`);
    expect(await reply.json()).toMatchObject({ id: 'zai.org/name:tag' });
  }
});

test('errors of the handler: status, hint, retry headers; a bug shows nothing of itself', async () => {
  const thrown: { error: Error } = { error: new Error('secret-detail') };
  await using at = await startServer({
    chat: {
      handle: () => {
        throw thrown.error;
      },
    },
  });
  const bug = await errorOf(await postChat(at.url));
  expect(bug).toMatchObject({ status: 500, code: 'internal' });
  expect(JSON.stringify(bug)).not.toContain('secret-detail');

  thrown.error = new ProxyError('too_busy', 'Slow down.', { retryAfterMs: 1500, hint: 'Wait.' });
  const busy = await postChat(at.url);
  expect(busy.headers.get('retry-after')).toBe('2');
  expect(busy.headers.get('retry-after-ms')).toBe('1500');
  expect(await errorOf(busy)).toMatchObject({ status: 429, message: 'Slow down. Wait.' });

  thrown.error = new ProxyError('quota_exhausted', 'No balance.');
  const final = await postChat(at.url);
  expect(final.headers.get('x-should-retry')).toBe('false');
});

test('too many at once -> 429', async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  await using at = await startServer({
    maxLiveTurns: 1,
    chat: {
      handle: async ({ body }) => {
        await Array.fromAsync(body);
        entered.resolve();
        await gate.promise;
        return { kind: 'json', status: 200, body: '{}' };
      },
    },
  });
  const first = postChat(at.url);
  await entered.promise;
  expect(await errorOf(await postChat(at.url))).toMatchObject({ status: 429, code: 'too_busy' });
  gate.resolve();
  expect((await first).status).toBe(200);
  expect((await rawRequest(at.url, { path: '/health' })).status).toBe(200);
});
