import { expect, test } from 'vitest';
import {
  clientTools,
  calling,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

const output = `${longText(20_000)}\nthe zebra stripes\n`;

const request = {
  model: 'm',
  tools: clientTools,
  messages: [
    systemFor('/work/calls'),
    user('what is there?'),
    calling('call_1', 'bash', { command: 'cat log' }),
    resultOf('call_1', output),
  ],
};

/** The calls of a step, their results, and the calls as they went back upstream. */
async function play(calls: readonly { readonly name: string; readonly args: unknown }[]) {
  await using upstream = await startScriptedUpstream();
  upstream.script(callTools(...calls), answer('done'));
  await using proxy = await startProxy({ upstream });
  const { message } = await proxy.ask(request);
  const sent = upstream.requests[1]?.body.messages ?? [];
  const turn = sent.findLast((one) => one.role === 'assistant');
  const results = sent.slice(sent.indexOf(turn!) + 1).map((one) => toolResult(one.content));
  return {
    message,
    results,
    sentBack: (turn?.tool_calls ?? []).flatMap((call) => call.function ?? []),
  };
}

test('a name that stands for one of our tools is ours, whatever decorates it', async () => {
  const names = [
    'functions.rlm_find',
    'RLM_Find',
    'rlm-find',
    'default_api:rlm_find',
    'mcp__x__rlm_find',
    ' rlm_find',
  ];
  const { message, results, sentBack } = await play(
    names.map((name) => ({ name, args: { text: 'zebra' } })),
  );
  expect(message).toMatchObject({ content: 'done' });
  expect(message.tool_calls).toBeUndefined();
  expect(results.map((result) => result['total'])).toEqual(names.map(() => 1));
  // What the protocol does not allow in a name could be refused when it comes back.
  expect(sentBack.map(({ name }) => name)).toEqual([
    'rlm_find',
    'RLM_Find',
    'rlm-find',
    'rlm_find',
    'mcp__x__rlm_find',
    'rlm_find',
  ]);
});

test('arguments are taken as they are meant and go back as they were written', async () => {
  const texts = [
    '{"pattern":"zebra","entry":null,"path":"","max_results":"10"}',
    String.raw`{"pattern":"zebra\s\w+"}`,
    '{"query":"zebra","limit":9999}',
  ];
  const { results, sentBack } = await play(texts.map((args) => ({ name: 'rlm_search', args })));
  expect(results.map((result) => result['total'])).toEqual([1, 1, 1]);
  expect(results[2]?.['note']).toContain('1000');
  expect(sentBack.map((call) => call.arguments)).toEqual(texts);
});

test('arguments that say nothing go back empty, and their result says what was wrong', async () => {
  const { results, sentBack } = await play([
    { name: 'rlm_search', args: '{"pattern":"zeb' },
    { name: 'rlm_stats', args: '' },
  ]);
  expect(results[0]?.['error']).toContain('no end');
  expect(results[1]).toMatchObject({ entries: 1 });
  expect(sentBack.map((call) => call.arguments)).toEqual(['{}', '{}']);
});
