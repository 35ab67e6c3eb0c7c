import { signsOf } from '../../../src/clients/known-clients.ts';
import type { PlainRequest } from '../../../src/wire/types.ts';
import {
  answer,
  type RecordedRequest,
  type Reply,
  type ScriptedUpstream,
} from '../../support/scripted-upstream.ts';
import { answerBy, textOf, type Played, type Script, type View } from '../model.ts';

/** The answer to what is no turn of a chat: titles, memories. */
const helperAnswer = 'A title';

/**
 * Makes the upstream play a script whichever client asks: a turn begins at the last user message
 * that holds one of the cues, as clients put messages of their own behind it. What it cannot answer
 * becomes an error, and a line in `faults`.
 */
export function playForClient(upstream: ScriptedUpstream, script: Script): Played {
  return answerBy(upstream, async (request) => reply(request, script));
}

async function reply(request: RecordedRequest, script: Script): Promise<Reply> {
  const { messages } = request.body;
  if (!isTurn(request.body)) return answer(helperAnswer);
  const cues = Object.keys(script);
  const cueIn = (text: string): string | undefined => cues.find((cue) => text.includes(cue));
  const askedAt = messages.findLastIndex(
    (message) => message.role === 'user' && cueIn(textOf(message)) !== undefined,
  );
  if (askedAt < 0) return answer(helperAnswer);
  const asked = textOf(messages[askedAt]);
  const lastTurnAt = messages.findLastIndex(({ role }) => role === 'assistant');
  const view: View = {
    request,
    messages,
    offeredTools: (request.body.tools ?? []).map((tool) => tool.function?.name ?? ''),
    asked,
    step: messages.slice(askedAt).filter(({ role }) => role === 'assistant').length,
    results: messages
      .slice(lastTurnAt + 1)
      .filter(({ role }) => role === 'tool')
      .map(textOf),
  };
  const cue = cueIn(asked) as string;
  const move = script[cue]?.[view.step];
  if (move === undefined) throw new Error(`turn ${cue} has no step ${view.step}`);
  return move(view);
}

/** Whether a request is one of a chat: it has tools, and no words of a client's helper requests. */
export function isTurn({ tools = [], messages }: PlainRequest): boolean {
  return (
    tools.length > 0 &&
    [messages[0], messages.at(-1)].every(
      (message) => message === undefined || signsOf(message)?.helpers === undefined,
    )
  );
}
