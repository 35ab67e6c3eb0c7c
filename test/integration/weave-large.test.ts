import { expect, it } from 'vitest';
import { clientTools, longText, systemFor, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { bytesOf, expectPrefix } from '../property/weave-checks.ts';

it('a prompt of megabytes is stored byte for byte, its end stays readable, and the next turn repeats its stub', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('It is about foxes.'));
  await using proxy = await startProxy({ upstream });
  const text = `${longText(3_000_000, 'zeile "π"\t🙂')}\n\nWhat is all this about?`;
  const messages = [systemFor('/work/large'), user(text)];
  const { message } = await proxy.ask({ messages, tools: clientTools });
  await proxy.ask({ messages: [...messages, message, user('Really?')], tools: clientTools });
  const [first, second] = upstream.requests.map(({ body }) => body.messages);
  expect(String(first?.at(-1)?.content)).toContain('What is all this about?');
  expect(upstream.requests[0]?.rawBody.length).toBeLessThan(40_000);
  expectPrefix(second ?? [], bytesOf(first ?? []));
  const session = await proxy.app.sessions.forDirectory('/work/large', { create: false });
  const [entry] = session?.store.entries ?? [];
  expect(entry?.kind).toBe('user_text');
  expect(entry === undefined ? '' : await session?.store.readEntry(entry)).toBe(text);
});
