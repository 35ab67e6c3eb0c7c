import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it, vi } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { limitedBody } from './body-stream.ts';

/** Reads a body that comes in these packets: its pieces, and how often one was waited for. */
async function read(packets: readonly string[]): Promise<{ pieces: string[]; waits: number }> {
  const clock = new ManualClock();
  let waits = 0;
  const counting = {
    now: () => clock.now(),
    elapsedMs: () => clock.elapsedMs(),
    after: (ms: number, run: () => void) => {
      waits += 1;
      return clock.after(ms, run);
    },
    sleep: async (ms: number) => clock.sleep(ms),
  };
  const pieces: string[] = [];
  const server = createServer((request, response) => {
    const idle = { clock: counting, ms: 1000, signal: new AbortController().signal };
    void (async () => {
      for await (const piece of limitedBody(request, { limitBytes: 1_000_000, idle }))
        pieces.push(String(piece));
      response.end('read');
    })();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const answered = once(socket, 'data');
  let sentChars = 0;
  for (const [at, packet] of packets.entries()) {
    socket.write(packet);
    sentChars += packet.split('\r\n\r\n').at(-1)!.length;
    // One packet alone: the next one when all of it is read and more is waited for.
    if (at < packets.length - 1)
      await vi.waitUntil(() => pieces.join('').length === sentChars && waits === 1);
  }
  await answered;
  socket.destroy();
  server.close();
  return { pieces, waits };
}

const head = (lengthBytes: number): string =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${lengthBytes}\r\n\r\n`;

it('does not wait for a body that came together with its head', async () => {
  expect(await read([`${head(4)}body`])).toEqual({ pieces: ['body'], waits: 0 });
  expect(await read([head(0)])).toEqual({ pieces: [], waits: 0 });
});

it('waits for what comes later, with one timer', async () => {
  expect(await read([head(4), 'body'])).toEqual({ pieces: ['body'], waits: 1 });
  expect(await read([`${head(9)}body`, ' ', 'more'])).toEqual({
    pieces: ['body', ' ', 'more'],
    waits: 1,
  });
});
