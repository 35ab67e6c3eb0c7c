import { expect, it } from 'vitest';
import { startProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

/**
 * Messages as clients in other languages write them: with spaces, escapes, odd numbers, a null that
 * means nothing.
 */
const written = [
  '{"role": "system", "content": "Be brief."}',
  String.raw`{"role": "user", "content": "Wo ist K\u00f6ln?\/", "weight": 1.0}`,
  String.raw`{ "content" : "Am Rhein 🙂.", "role" : "assistant" }`,
  '{"role": "user", "content": "And Rome?", "x": 1e2}',
  '{"role": "assistant", "content": "On the Tiber.", "tool_calls": null}',
  '{"role": "user", "content": "Thanks."}',
];

it('what a client wrote reaches the provider to the byte, in every turn the same', async () => {
  await using scripted = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream: scripted });
  scripted.otherwise(answer('Yes.'));
  const sent = (count: number): string =>
    `{"model": "rlm-internal.rlm-core-v1", "messages": [${written.slice(0, count).join(', ')}]}`;
  for (const count of [2, 4, 6, 6]) expect((await proxy.post(sent(count))).status).toBe(200);
  // The one thing that is taken out: a null that some providers refuse.
  const kept = written.with(4, '{"role":"assistant","content":"On the Tiber."}');
  expect(scripted.requests.map(({ rawBody }) => rawBody.toString())).toEqual(
    [2, 4, 6, 6].map((count) =>
      expect.stringContaining(`"messages":[${kept.slice(0, count).join(',')}]}`),
    ),
  );
});
