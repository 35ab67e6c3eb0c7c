import { ProxyError } from '../errors.ts';
import type { Upstream, UpstreamCall } from '../upstream/upstream.ts';
import { TurnFold } from '../wire/fold.ts';
import { requestBytes } from '../wire/message-json.ts';
import type { Chunk, ChatRequest } from '../wire/types.ts';
import type { FinishedTurn } from '../turn/turn-state.ts';
import type { TurnWatch } from '../turn/turn-watch.ts';

/**
 * Several answers to one request, passed on as they come: one completion and no loop. Returns the
 * first one, as a turn. @throws ProxyError `upstream_*`
 */
export async function* answersTo(
  request: ChatRequest,
  upstream: Upstream,
  call: UpstreamCall,
  watch: TurnWatch | undefined,
): AsyncGenerator<readonly Chunk[], FinishedTurn, void> {
  const fold = new TurnFold();
  const sentBytes = requestBytes(request);
  watch?.stepBegins(sentBytes);
  const { batches } = await upstream.complete(request, call);
  let answers = false;
  for await (const batch of batches) {
    if (!answers) watch?.stepAnswers();
    answers = true;
    for (const chunk of batch) if (chunk.choiceIndex === undefined) fold.add(chunk);
    yield batch;
  }
  const { message, usage } = fold.turn();
  watch?.stepEnds(usage);
  return {
    before: [],
    message,
    results: {},
    shownText: typeof message.content === 'string' ? message.content : '',
    closingText: '',
    steps: 1,
    ownCalls: 0,
    sentBytes,
    usages: usage === undefined ? [] : [usage],
  };
}

/** For a request that wants several answers where there can be one. */
export function manyAnswers(): ProxyError {
  return new ProxyError(
    'invalid_request',
    '`n` must be 1 in this conversation: the model may look things up on the way to its answer.',
    {
      param: 'n',
      hint: 'Several answers are possible where nothing is stored (RLM_INJECT=never).',
    },
  );
}
