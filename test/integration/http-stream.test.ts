import { connect } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { postChat, startServer, streams } from '../support/http-server.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Gate } from '../support/scripted-upstream.ts';

/** Reads until `text` has come. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string) {
  let seen = '';
  while (!seen.includes(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`ended after ${JSON.stringify(seen)}`);
    seen += Buffer.from(value).toString();
  }
  return seen;
}

/** Lets sockets and promises do what they have to do until `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextRound();
}

test('frames arrive as they come, with the headers of a stream', async () => {
  const gate = new Gate();
  await using at = await startServer({
    chat: streams(async function* () {
      yield 'data: 1\n\n';
      await gate.opened;
      yield 'data: [DONE]\n\n';
    }),
  });
  const reply = await postChat(at.url);
  expect(reply.status).toBe(200);
  expect(reply.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(reply.headers.get('cache-control')).toBe('no-cache');
  expect(reply.headers.get('content-encoding')).toBeNull();
  expect(reply.headers.get('x-request-id')).toMatch(/^req_/);
  const reader = reply.body!.getReader();
  expect(await readUntil(reader, '1')).toBe('data: 1\n\n');
  gate.open();
  expect(await readUntil(reader, 'DONE')).toBe('data: [DONE]\n\n');
});

test('frames that are ready together leave in one piece', async () => {
  await using at = await startServer({
    chat: streams(async function* () {
      for (let index = 0; index < 50; index += 1) yield `data: ${index}\n\n`;
    }),
  });
  const socket = connect(Number(new URL(at.url).port), '127.0.0.1');
  socket.write(
    'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}',
  );
  const wire = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString();
  const chunkLengths = wire.split('\r\n\r\n')[1]?.match(/^[0-9a-f]+\r$/gm) ?? [];
  expect(wire).toContain('data: 49\n\n');
  expect(chunkLengths.length).toBeLessThanOrEqual(3);
});

describe('heartbeat', () => {
  test('headers after the first wait, then a comment per interval of silence and none in between', async () => {
    const clock = new ManualClock();
    const gates = [new Gate(), new Gate()];
    await using at = await startServer({
      clock,
      heartbeatMs: 10_000,
      chat: streams(async function* () {
        await gates[0]!.opened;
        yield 'data: 1\n\n';
        await gates[1]!.opened;
        yield 'data: 2\n\n';
      }),
    });
    const pending = postChat(at.url);
    await until(() => clock.waiting === 1);
    clock.advance(9_999);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    const reader = (await pending).body!.getReader();
    expect(await readUntil(reader, 'waiting')).toBe(': waiting\n\n');
    clock.advance(4_000);
    gates[0]!.open();
    expect(await readUntil(reader, '1')).toBe('data: 1\n\n');
    clock.advance(9_000); // 13 s after the comment, but 9 s after the frame
    clock.advance(1_000);
    expect(await readUntil(reader, 'waiting')).toBe(': waiting\n\n');
    clock.advance(20_000);
    expect(await readUntil(reader, 'waiting\n\n: waiting')).toBe(': waiting\n\n: waiting\n\n');
    gates[1]!.open();
    expect(await readUntil(reader, '2')).toBe('data: 2\n\n');
    expect((await reader.read()).done).toBe(true);
    expect(clock.waiting).toBe(0);
  });
});

/** Fails at the first pull. */
function failed(): AsyncIterable<string> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.reject(new ProxyError('invalid_request', 'Broken.')),
    }),
  };
}

/** Frames, then a failure. */
function failing(before: readonly string[], error: Error) {
  return streams(async function* () {
    yield* before;
    throw error;
  });
}

describe('failures', () => {
  test('before the first frame: a status', async () => {
    const chat = failing([], new ProxyError('upstream_rejected', 'No.', { status: 422 }));
    await using at = await startServer({ chat });
    const reply = await postChat(at.url);
    expect(reply.status).toBe(422);
    expect(await reply.json()).toMatchObject({ error: { message: 'No.' } });
  });

  test('after it: an error frame, then the end, and no [DONE]', async () => {
    const chat = failing(['data: 1\n\n'], new ProxyError('upstream_cut', 'It broke.'));
    await using at = await startServer({ chat });
    const [first, last, rest] = (await (await postChat(at.url)).text()).split('\n\n');
    expect(first).toBe('data: 1');
    expect(JSON.parse(last!.slice('data: '.length))).toMatchObject({
      error: { message: 'It broke.', code: 'upstream_cut' },
    });
    expect(rest).toBe('');
  });

  test('after a heartbeat: an error frame in the form that OpenCode understands', async () => {
    const clock = new ManualClock();
    const gate = new Gate();
    await using at = await startServer({
      clock,
      chat: streams(async function* () {
        await gate.opened;
        yield* failed();
      }),
    });
    const pending = postChat(at.url, { headers: { 'user-agent': 'opencode/1.18.33' } });
    await until(() => clock.waiting === 1);
    clock.advance(10_000);
    const reply = await pending;
    gate.open();
    const frame = (await reply.text()).split('\n\n')[1] ?? '';
    const { error } = JSON.parse(frame.slice('data: '.length)) as { error: { message: string } };
    expect(JSON.parse(error.message)).toMatchObject({
      type: 'error',
      error: { code: 'invalid_prompt', message: 'Broken.' },
    });
  });
});

describe('the client leaves', () => {
  test.each(['before the first frame', 'in the middle', 'while it does not read'])(
    '%s: the signal aborts and the frames are closed',
    async (when) => {
      const seen = {
        aborted: Promise.withResolvers<string>(),
        closed: new Gate(),
        entered: new Gate(),
      };
      await using at = await startServer({
        chat: streams(async function* ({ signal }) {
          signal.addEventListener('abort', () => {
            seen.aborted.resolve((signal.reason as ProxyError).code);
          });
          try {
            seen.entered.open();
            if (when === 'while it does not read') {
              for (;;) yield 'x'.repeat(1_000_000);
            }
            if (when === 'in the middle') yield 'data: 1\n\n';
            await new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason as Error));
            });
          } finally {
            seen.closed.open();
          }
        }),
      });
      const leave = new AbortController();
      const pending = postChat(at.url, { signal: leave.signal });
      await seen.entered.opened;
      if (when !== 'before the first frame') await (await pending).body!.getReader().read();
      leave.abort();
      await pending.catch(() => undefined);
      expect(await seen.aborted.promise).toBe('cancelled');
      await seen.closed.opened;
      await until(() => at.server.liveCount === 0);
    },
  );

  test('a whole answer does not abort the signal', async () => {
    const signals: AbortSignal[] = [];
    await using at = await startServer({
      chat: streams(async function* ({ signal, body }) {
        signals.push(signal);
        await Array.fromAsync(body);
        yield 'data: 1\n\n';
      }),
    });
    await (await postChat(at.url)).text();
    await until(() => at.server.liveCount === 0);
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
  });

  test('a client that reads slowly holds the frames back', async () => {
    let yielded = 0;
    await using at = await startServer({
      chat: streams(async function* () {
        for (; yielded < 1000; yielded += 1) yield 'x'.repeat(100_000);
      }),
    });
    const reply = await postChat(at.url);
    const reader = reply.body!.getReader();
    await reader.read();
    let last = -1;
    while (last !== yielded) {
      last = yielded;
      for (let round = 0; round < 50; round += 1) await nextRound();
    }
    expect(yielded).toBeLessThan(500);
    await reader.cancel();
  });
});

describe('close', () => {
  test('lets a live answer finish, and takes no new one', async () => {
    const gate = new Gate();
    const at = await startServer({
      drainMs: 60_000,
      chat: streams(async function* ({ signal }) {
        yield 'data: 1\n\n';
        await gate.opened;
        signal.throwIfAborted();
        yield 'data: 2\n\n';
      }),
    });
    const reply = await postChat(at.url);
    const closed = at.server.close();
    await expect(fetch(`${at.url}/health`)).rejects.toThrow('fetch failed');
    gate.open();
    expect(await reply.text()).toBe('data: 1\n\ndata: 2\n\n');
    await closed;
  });

  test('ends what is still live after the drain time with an error frame or a 503', async () => {
    const clock = new ManualClock();
    let entered = 0;
    const at = await startServer({
      clock,
      drainMs: 5_000,
      chat: {
        handle: async ({ headers, signal }) => {
          const ended = new Promise<never>((_, reject) => {
            signal.addEventListener('abort', () => reject(new Error('aborted')));
          });
          entered += 1;
          if (headers['x-mode'] === 'json') return ended;
          return {
            kind: 'stream',
            frames: (async function* () {
              yield 'data: 1\n\n';
              await ended;
            })(),
          };
        },
      },
    });
    const streamed = await postChat(at.url);
    const whole = postChat(at.url, { headers: { 'x-mode': 'json' } });
    await until(() => entered === 2);
    const closed = at.server.close();
    await nextRound();
    clock.advance(5_000);
    expect(await streamed.text()).toContain('"code":"shutting_down"');
    expect((await whole).status).toBe(503);
    await closed;
  });
});
