import { describe, expect, test } from 'vitest';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  done,
  finish,
  reply,
  role,
  startScriptedUpstream,
  text,
  toolCall,
  type Reply,
} from '../support/scripted-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

const request = {
  model: 'm',
  tools: clientTools,
  messages: [
    systemFor('/work/text-calls'),
    user('what is there?'),
    calling('call_1', 'bash', { command: 'cat log' }),
    resultOf('call_1', `${longText(20_000)}\nthe zebra stripes\n`),
  ],
};

/** What the client gets, and what went upstream behind its own messages. */
async function play(...replies: readonly Reply[]) {
  await using upstream = await startScriptedUpstream();
  upstream.script(...replies);
  await using proxy = await startProxy({ upstream });
  const { message } = await proxy.ask(request);
  const sent = upstream.requests.at(-1)?.body.messages ?? [];
  const from = sent.findLastIndex((one) => one.role === 'assistant');
  return {
    message,
    steps: upstream.requests.length,
    turn: sent[from],
    results: sent.slice(from + 1),
  };
}

const args = '{"text":"zebra"}';

const forms: readonly (readonly [string, string])[] = [
  ['JSON', `<tool_call>\n{"name":"rlm_find","arguments":${args}}\n</tool_call>`],
  [
    'XML',
    '<tool_call>rlm_find\n<arg_key>text</arg_key>\n<arg_value>zebra</arg_value>\n<arg_key>max_results</arg_key>\n<arg_value>5</arg_value>\n</tool_call>',
  ],
  [
    'a section',
    `<|tool_calls_section_begin|><|tool_call_begin|>functions.rlm_find:0<|tool_call_argument_begin|>${args}<|tool_call_end|><|tool_calls_section_end|>`,
  ],
  [
    'a section with fences',
    `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>rlm_find\n\`\`\`json\n${args}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
  ],
  [
    'a section without fences',
    `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>rlm_find<｜tool▁sep｜>${args}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
  ],
];

describe('a call of ours that is written as text', () => {
  test.each(forms)('%s: is run and not shown', async (_, written) => {
    const { message, turn, results } = await play(
      answer(`\n\n${written}\n`),
      answer('It stripes.'),
    );
    expect(message.content).toBe('It stripes.');
    expect(message.tool_calls).toBeUndefined();
    expect(turn?.content).toBe('\n\n');
    const calls = turn?.tool_calls ?? [];
    expect(calls.map((call) => call.function?.name)).toEqual(['rlm_find']);
    expect(JSON.parse(calls[0]?.function?.arguments ?? '')).toMatchObject({ text: 'zebra' });
    expect(results.map((result) => result.tool_call_id)).toEqual([calls[0]?.id]);
    expect(toolResult(results[0]?.content)).toMatchObject({ total: 1 });
  });

  test('stays text, byte for byte, where the answer is about it', async () => {
    const said = forms
      .map(([name, written]) => `Write ${name}:\n${written}\nand it is run.`)
      .join('\n');
    const { message, steps } = await play(answer(said, 1));
    expect(message.content).toBe(said);
    expect(steps).toBe(1);
  });
});

test('text before the call is shown, and arguments that do not fit are answered', async () => {
  const written = '<tool_call>{"name":"rlm_nothing","arguments":{}}</tool_call>';
  const { message, turn, results } = await play(answer(`Let me see.\n${written}`), answer('Done.'));
  expect(message.content).toBe('Let me see.\nDone.');
  expect(turn?.content).toBe('Let me see.\n');
  expect(toolResult(results[0]?.content)['error']).toContain('There is no tool');
});

test('beside real calls it is one call more', async () => {
  const [, written] = forms[0]!;
  const { message, turn, results } = await play(
    reply(role(), text(`${written}\n`), toolCall('rlm_stats', {}), finish('tool_calls'), done()),
    answer('Done.'),
  );
  expect(message.content).toBe('Done.');
  const calls = turn?.tool_calls ?? [];
  expect(calls.map((call) => call.function?.name)).toEqual(['rlm_stats', 'rlm_find']);
  expect(results.map((result) => result.tool_call_id)).toEqual(calls.map(({ id }) => id));
});
