import { expect, it } from 'vitest';
import { clientTools, longText, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

/** Quotes of an answer are looked up in the store beside it, and nothing of it is changed. */

const inProject = { 'x-rlm-directory': '/work/quotes', 'x-session-id': 'quotes' };
const paste = user(`${longText(12_000)}\nERROR expected 200, got 503\n`);
const said =
  'From e1:\n> ERROR expected 200, got 503\n\ne1 also says `ERROR expected 200, got 504`.';

it('the usage says which quotes of an answer are in the store', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(answer(said));
  const { message } = await proxy.ask({ messages: [paste], tools: clientTools }, inProject);
  expect(message.content).toBe(said);
  const quotes = async (): Promise<unknown> => {
    const { usage } = await proxy.ask({ messages: [paste], tools: clientTools }, inProject);
    return (usage?.['rlm'] as { readonly quotes?: unknown } | undefined)?.quotes;
  };
  // A machine that is very busy leaves some unchecked, and says so.
  await expect.poll(quotes, { timeout: 60_000 }).toMatchObject({
    found: 1,
    not_found: 1,
    unchecked: 0,
    places: [{ quote: 'ERROR expected 200, got 503', entry: 'e1' }],
    missing: ['ERROR expected 200, got 504'],
  });
});

it('nothing is looked up where the setting says so', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env: { RLM_QUOTES: 'off' } });
  upstream.otherwise(answer(said));
  const { usage } = await proxy.ask({ messages: [paste], tools: clientTools }, inProject);
  expect(usage?.['rlm']).toBeDefined();
  expect(usage?.['rlm']).not.toHaveProperty('quotes');
});
