import { expect, test } from 'vitest';
import { Semaphore } from './semaphore.ts';

const never = new AbortController().signal;

test('no more run than there is room for, the others in the order they came', async () => {
  const places = new Semaphore(2);
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<undefined>());
  const begun: number[] = [];
  const work = gates.map(async (gate, index) =>
    places.run(never, async () => {
      begun.push(index);
      await gate.promise;
      return index;
    }),
  );
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  gates[1]?.resolve(undefined);
  await work[1];
  await Promise.resolve();
  expect(begun).toEqual([0, 1, 2]);
  for (const gate of gates) gate.resolve(undefined);
  expect(await Promise.all(work)).toEqual([0, 1, 2, 3, 4]);
});

test('work that fails gives its place back; one that is aborted while it waits takes none', async () => {
  const places = new Semaphore(1);
  await expect(
    places.run(never, async () => {
      throw new Error('broken');
    }),
  ).rejects.toThrow('broken');
  const gate = Promise.withResolvers<undefined>();
  const first = places.run(never, async () => gate.promise);
  const controller = new AbortController();
  const waiting = places.run(controller.signal, async () => 'never');
  const last = places.run(never, async () => 'last');
  controller.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  gate.resolve(undefined);
  await first;
  expect(await last).toBe('last');
  await expect(places.run(controller.signal, async () => 'no')).rejects.toThrow('gone');
  expect(await places.run(never, async () => 'free')).toBe('free');
});

test('a place that is given back twice lets one in, and the next in line before anybody else', async () => {
  const semaphore = new Semaphore(1);
  const first = await semaphore.acquire(never);
  const order: string[] = [];
  const enter = async (name: string, signal = never): Promise<() => void> => {
    const release = await semaphore.acquire(signal);
    order.push(name);
    return release;
  };
  const gone = new AbortController();
  const [b, c, d] = [enter('b'), enter('c', gone.signal), enter('d')];
  gone.abort(new Error('gone'));
  await expect(c).rejects.toThrow('gone');
  first();
  first();
  const second = await b;
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(order).toEqual(['b']);
  second();
  (await d)();
  (await enter('e'))();
  expect(order).toEqual(['b', 'd', 'e']);
});
