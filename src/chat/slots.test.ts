import { expect, test } from 'vitest';
import { Slots } from './slots.ts';

const never = new AbortController().signal;

test('no more run than there are slots, the others in the order they came', async () => {
  const slots = new Slots(2);
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<undefined>());
  const begun: number[] = [];
  const work = gates.map(async (gate, index) =>
    slots.run(never, async () => {
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

test('work that fails frees its slot; one that is aborted while it waits takes none', async () => {
  const slots = new Slots(1);
  await expect(
    slots.run(never, async () => {
      throw new Error('broken');
    }),
  ).rejects.toThrow('broken');
  const gate = Promise.withResolvers<undefined>();
  const first = slots.run(never, async () => gate.promise);
  const controller = new AbortController();
  const waiting = slots.run(controller.signal, async () => 'never');
  const last = slots.run(never, async () => 'last');
  controller.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  gate.resolve(undefined);
  await first;
  expect(await last).toBe('last');
  await expect(slots.run(controller.signal, async () => 'no')).rejects.toThrow('gone');
  expect(await slots.run(never, async () => 'free')).toBe('free');
});
