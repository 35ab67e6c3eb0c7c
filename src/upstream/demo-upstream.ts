import type { Ids } from '../clock.ts';
import { StreamEncoder } from '../wire/encode.ts';
import { requestBody } from '../wire/message-json.ts';
import type { ChatRequest, Chunk, PlainRequest, Usage } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import { lookUpPolicy, type Policy, type ScriptedTurn } from './demo-policy.ts';
import type { Upstream, UpstreamCall, UpstreamModel, UpstreamStream, WireTap } from './upstream.ts';

/** The built-in upstream's one model; its name says what it is. */
export const demoModel: Required<UpstreamModel> = {
  id: 'demo-script-no-language-model',
  contextWindowTokens: 128_000,
  maxOutputTokens: 4_096,
};

/** So many code units of an answer go out in one chunk. */
const pieceLength = 24;

/**
 * The upstream for when none is configured: scripts that play a model in-process. With it
 * everything else is real: store, tools, loop, streaming. `policies` are asked in order, the
 * look-up script last.
 */
export function createDemoUpstream(options: {
  readonly ids: Ids;
  readonly policies?: readonly Policy[] | undefined;
}): Upstream {
  const policies = [...(options.policies ?? []), lookUpPolicy];
  return {
    id: 'demo',
    models: async () => [demoModel],
    complete: async (sent: ChatRequest, call: UpstreamCall): Promise<UpstreamStream> => {
      call.signal.throwIfAborted();
      const request = { ...sent, messages: sent.messages.map(parsed) };
      const turn = play(policies, request);
      const batches = stream(turn, request, options.ids, call.signal);
      const { tap } = call;
      return {
        model: demoModel.id,
        batches: tap === undefined ? batches : heard(batches, tap, sent),
      };
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

function play(policies: readonly Policy[], request: PlainRequest): ScriptedTurn {
  for (const policy of policies) {
    const turn = policy(request);
    if (turn !== undefined) return turn;
  }
  return { text: '' };
}

async function* stream(
  turn: ScriptedTurn,
  request: PlainRequest,
  ids: Ids,
  signal: AbortSignal,
): AsyncGenerator<readonly Chunk[], void, void> {
  const text = turn.text ?? '';
  for (let at = 0; at < text.length; at += pieceLength) {
    signal.throwIfAborted();
    yield [{ content: text.slice(at, at + pieceLength) }];
  }
  // With `tool_choice: none` a model cannot call, and neither can its script.
  const calls = request.tool_choice === 'none' ? [] : (turn.calls ?? []);
  if (calls.length > 0) {
    yield [
      {
        toolCalls: calls.map((called, index) => ({
          index,
          id: ids.next('call_'),
          name: called.name,
          arguments: JSON.stringify(called.args),
        })),
      },
    ];
  }
  yield [
    {
      finishReason: calls.length > 0 ? 'tool_calls' : 'stop',
      usage: usageOf(request, text.length + JSON.stringify(calls).length),
    },
  ];
}

/** What would have gone over the wire, had there been one. */
async function* heard(
  batches: AsyncIterable<readonly Chunk[]>,
  wire: WireTap,
  request: ChatRequest,
): AsyncGenerator<readonly Chunk[], void, void> {
  const tap = wire.begin({
    upstream: 'demo',
    url: 'demo:',
    headers: {},
    body: requestBody(request),
  });
  const head = { id: 'chatcmpl-demo', created: 0, model: demoModel.id };
  const encoder = new StreamEncoder(head, { includeUsage: true });
  tap.head(200, { 'content-type': 'text/event-stream' });
  try {
    for await (const batch of batches) {
      await tap.piece(Buffer.from(encoder.encode(batch)));
      yield batch;
    }
    await tap.piece(Buffer.from(encoder.done()));
    tap.end();
  } catch (error) {
    tap.end(error);
    throw error;
  } finally {
    tap.end(new Error('The answer is not wanted any more.'));
  }
}

/** There is no tokenizer behind a script: four characters count as a token, as its name warns. */
function usageOf(request: PlainRequest, answerLength: number): Usage {
  const promptTokens = Math.ceil(JSON.stringify(request).length / 4);
  const completionTokens = Math.ceil(answerLength / 4);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
