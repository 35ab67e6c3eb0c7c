import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ManualClock } from '../support/manual-clock.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  stall,
  startScriptedUpstream,
  status,
  withHead,
} from '../support/scripted-upstream.ts';

/** Moves the clock on until the promise settles. */
async function passTime<T>(clock: ManualClock, until: Promise<T>): Promise<T> {
  const settled = until.then(
    () => true,
    () => true,
  );
  const tick = async (): Promise<boolean> => {
    clock.advance(250);
    for (let n = 0; n < 5; n += 1) await nextRound();
    return false;
  };
  while (!(await Promise.race([settled, tick()])));
  return until;
}

const body = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] };

it.each([
  [429, 'too_busy'],
  [502, 'upstream_failed'],
])('tells a streaming client a failure that lasts by its status: %i', async (code, name) => {
  const clock = new ManualClock();
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, clock });
  upstream.otherwise(status(code, { error: { message: 'later' } }));
  const response = await passTime(clock, proxy.post(body));
  expect(response.status).toBe(code);
  expect(await response.json()).toMatchObject({ error: { message: 'later', code: name } });
  // One and four more: the waits between them are longer than the silence after which a head goes
  // out.
  expect(upstream.requests).toHaveLength(5);
  expect(clock.elapsedMs()).toBeGreaterThan(10_000);
});

it('sends the head when one attempt alone takes long', async () => {
  const clock = new ManualClock();
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, clock });
  upstream.script(
    status(429, { error: { message: 'later' } }),
    withHead(answer('x'), { before: [stall()] }),
  );
  const response = await passTime(clock, proxy.post(body));
  expect(response.status).toBe(200);
  expect(upstream.requests).toHaveLength(2);
  await response.body?.cancel();
});
