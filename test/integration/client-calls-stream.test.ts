import { describe, expect, it } from 'vitest';
import { clientTools, longText, systemFor, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  callTools,
  done,
  finish,
  Gate,
  reply,
  role,
  startScriptedUpstream,
  toolCall,
  toolDelta,
  usage,
  type Step,
} from '../support/scripted-upstream.ts';

const model = 'rlm-internal.rlm-core-v1';
const plain = [systemFor('/work/stream'), user('Write it.')];
const active = [systemFor('/work/stream-active'), user(longText(15_000))];

interface Delta {
  readonly index: number;
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

/**
 * A call in pieces with a gate in the middle: the upstream goes on only when the test has seen the
 * first half.
 */
function inPieces(gate: Gate, index = 0): readonly Step[] {
  return [
    toolDelta({ index, id: 'call_w', type: 'function', function: { name: 'bash', arguments: '' } }),
    toolDelta({ index, function: { arguments: '{"command":' } }),
    gate,
    toolDelta({ index, function: { arguments: '"ls"}' } }),
  ];
}

/**
 * Reads a stream's call deltas; opens the gate when the first half has come, so that a stream that
 * holds it back never ends.
 */
async function deltasOf(response: Response, gate: Gate | undefined): Promise<readonly Delta[]> {
  const deltas: Delta[] = [];
  let rest = '';
  for await (const bytes of response.body ?? []) {
    rest += Buffer.from(bytes).toString();
    const frames = rest.split('\n\n');
    rest = frames.pop() ?? '';
    for (const frame of frames) {
      if (!frame.startsWith('data: {')) continue;
      const { choices } = JSON.parse(frame.slice(6)) as {
        choices: readonly { delta: { tool_calls?: readonly Delta[] } }[];
      };
      deltas.push(...(choices[0]?.delta.tool_calls ?? []));
    }
    if (deltas.some((delta) => delta.function?.arguments?.includes('command') === true))
      gate?.open();
  }
  return deltas;
}

function argumentsOf(deltas: readonly Delta[], index: number): string {
  return deltas
    .filter((delta) => delta.index === index)
    .map((delta) => delta.function?.arguments ?? '')
    .join('');
}

describe("the client's calls", () => {
  it.each([
    ['a chat without our tools', plain],
    ['a chat with our tools', active],
  ])('reach it piece by piece in %s', async (_, messages) => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const gate = new Gate();
    upstream.script(reply(role(), ...inPieces(gate), finish('tool_calls'), usage(), done()));
    const response = await proxy.post({ model, messages, tools: clientTools, stream: true });
    const deltas = await deltasOf(response, gate);
    expect(argumentsOf(deltas, 0)).toBe('{"command":"ls"}');
    expect(deltas.filter((delta) => delta.id !== undefined)).toHaveLength(1);
    expect(upstream.requests).toHaveLength(1);
  });

  it('before one of ours stream, behind it they wait until ours has run; each comes once and whole', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const gate = new Gate();
    upstream.script(
      reply(
        role(),
        ...inPieces(gate),
        toolCall('rlm_stats', {}, { index: 1, id: 'call_own' }),
        toolCall('read', { path: 'a' }, { index: 2, id: 'call_r' }),
        finish('tool_calls'),
        usage(),
        done(),
      ),
    );
    const response = await proxy.post({
      model,
      messages: active,
      tools: clientTools,
      stream: true,
    });
    const deltas = await deltasOf(response, gate);
    expect(deltas.flatMap(({ id }) => id ?? [])).toEqual(['call_w', 'call_r']);
    expect(argumentsOf(deltas, 0)).toBe('{"command":"ls"}');
    expect(argumentsOf(deltas, 1)).toBe('{"path":"a"}');
    expect(JSON.stringify(deltas)).not.toContain('rlm_');
  });

  it('come the same in a whole answer', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.script(
      callTools(
        { name: 'bash', args: { command: 'ls' }, id: 'call_1' },
        { name: 'rlm_stats', args: {}, id: 'call_2' },
        { name: 'read', args: { path: 'a' }, id: 'call_3' },
      ),
    );
    const { message, finishReason } = await proxy.ask({ messages: active, tools: clientTools });
    expect(message.tool_calls?.map(({ id }) => id)).toEqual(['call_1', 'call_3']);
    expect(message.tool_calls?.map((call) => call.function?.arguments)).toEqual([
      '{"command":"ls"}',
      '{"path":"a"}',
    ]);
    expect(finishReason).toBe('tool_calls');
  });
});
