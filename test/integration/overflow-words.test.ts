import { expect, it } from 'vitest';
import { longText, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream, status } from '../support/scripted-upstream.ts';

const error = (message: string): object => ({
  error: { message, type: 'invalid_request_error', code: null },
});

/** A dozen long messages. */
const messages = Array.from({ length: 6 }, (_, n) => [
  user(`question ${n} ${longText(8_000)}`),
  { role: 'assistant' as const, content: `answer ${n} ${longText(8_000)}` },
]).flat();
messages.push(user('and now?'));

it.each([
  'Invalid request: Your request exceeded model token limit: 262144 (requested: 270000)',
  'The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length',
  'Range of input length should be [1, 129024]',
])('makes a prompt smaller and sends it once more after: %s', async (words) => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.script(status(400, error(words)), answer('fits'));
  const turn = await proxy.ask({ messages }, { 'x-rlm-directory': '/work/p' });
  expect(turn.message.content).toBe('fits');
  const [first, second] = upstream.requests;
  expect(upstream.requests).toHaveLength(2);
  expect(second?.rawBody.length).toBeLessThan(first?.rawBody.length ?? 0);
});

it('makes it as small as the window that the refusal states', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.script(status(400, error('Range of input length should be [1, 8192]')), answer('fits'));
  await proxy.ask({ messages }, { 'x-rlm-directory': '/work/p' });
  // 8,192 tokens are some 30,000 characters.
  expect(upstream.requests[1]?.rawBody.length).toBeLessThan(35_000);
});

it('keeps to a window that two refusals have stated in the chats that follow', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  const refusal = status(400, error('Range of input length should be [1, 8192]'));
  upstream.otherwise(({ rawBody }) => (rawBody.length > 35_000 ? refusal : answer('fits')));
  const counts: number[] = [];
  for (const directory of ['/work/a', '/work/b', '/work/c', '/work/d']) {
    const from = upstream.requests.length;
    await proxy.ask({ messages }, { 'x-rlm-directory': directory });
    counts.push(upstream.requests.length - from);
  }
  expect(counts).toEqual([2, 2, 1, 1]);
});

it('passes a refusal of something else that is too long on, and makes nothing smaller', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.script(
    status(400, error('Tool name exceeds the maximum length of 64')),
    answer('again'),
  );
  const response = await proxy.post({ model: 'm', messages }, { 'x-rlm-directory': '/work/p' });
  expect(response.status).toBe(400);
  await proxy.ask({ messages }, { 'x-rlm-directory': '/work/p' });
  const [first, second] = upstream.requests;
  expect(second?.body.messages).toEqual(first?.body.messages);
});
