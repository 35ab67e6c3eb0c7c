import { callText } from '../wire/calls.ts';
import type { Message, ToolCall } from '../wire/types.ts';
import type { DeliveredAnswer } from '../history/answer-memory.ts';
import { hashText } from '../history/message-texts.ts';
import { hashCall } from '../history/identity.ts';
import type { Prompt } from '../prompt/prompt-layout.ts';
import type { FinishedTurn } from '../turn/turn-state.ts';

/** The answer as the client has it: the text it was shown, and the calls that are its own. */
export function answerOf({ message, results, shownText }: FinishedTurn): DeliveredAnswer {
  const calls = (message.tool_calls ?? []).filter((call) => !Object.hasOwn(results, call.id));
  return {
    callIds: calls.map((call) => call.id),
    callHashes: calls.map(hashCall),
    argsLength: calls.reduce((total, call) => total + callText(call).length, 0),
    textHash: hashText(shownText),
    textLength: shownText.length,
  };
}

/** A result of ours, shortened where the chat has our tools. */
export async function shortenResult(
  { own }: Prompt,
  message: Message,
  call: ToolCall | undefined,
): Promise<Message> {
  if (own === undefined) return message;
  return own.ownResults.shorten(message, { call, chatId: own.place.chatId });
}
