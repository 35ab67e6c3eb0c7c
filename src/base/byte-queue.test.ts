import { expect, test } from 'vitest';
import { ByteQueue } from './byte-queue.ts';

/** A queue of 10 bytes, and what its sender was told. */
function queue() {
  const told: string[] = [];
  const sender = { pause: () => told.push('pause'), resume: () => told.push('resume') };
  return { told, bytes: new ByteQueue(10, sender) };
}

const piece = (text: string): Buffer => Buffer.from(text);

test('pieces come out in their order, one by one or all in one', async () => {
  const { bytes } = queue();
  expect([bytes.take(), bytes.takeAll()]).toEqual([undefined, undefined]);
  for (const text of ['a', 'bc', 'd', 'e']) bytes.push(piece(text));
  expect(await bytes.arrived()).toBe(true);
  expect(String(bytes.take())).toBe('a');
  expect(String(bytes.takeAll())).toBe('bcde');
  const alone = piece('f');
  bytes.push(alone);
  expect(bytes.takeAll()).toBe(alone);
  expect(bytes.take()).toBeUndefined();
});

test('who waits is woken by a piece, and by the end', async () => {
  const { bytes } = queue();
  const first = bytes.arrived();
  bytes.push(piece('a'));
  expect(await first).toBe(true);
  bytes.take();
  const last = bytes.arrived();
  bytes.end();
  expect(await last).toBe(false);
  expect([bytes.isOver, bytes.fault]).toEqual([true, undefined]);
});

test('what came before a fault is read before it is thrown; a fault after the end is none', async () => {
  const broken = queue().bytes;
  broken.push(piece('a'));
  broken.end(new Error('cut'));
  broken.end(new Error('later'));
  expect(await broken.arrived()).toBe(true);
  expect(String(broken.take())).toBe('a');
  await expect(broken.arrived()).rejects.toThrow('cut');
  expect(broken.fault?.message).toBe('cut');
  const whole = queue().bytes;
  whole.end();
  whole.end(new Error('closed'));
  expect(await whole.arrived()).toBe(false);
});

test('the sender is held up once, as long as too much waits', () => {
  const { bytes, told } = queue();
  bytes.push(piece('123456789'));
  expect(told).toEqual([]);
  bytes.push(piece('0'));
  bytes.push(piece('1'));
  expect(told).toEqual(['pause']);
  bytes.take();
  expect(told).toEqual(['pause', 'resume']);
  bytes.push(piece('0123456789'));
  expect(told).toEqual(['pause', 'resume', 'pause']);
  bytes.take();
  expect(told).toEqual(['pause', 'resume', 'pause']);
  bytes.takeAll();
  expect(told).toEqual(['pause', 'resume', 'pause', 'resume']);
});
