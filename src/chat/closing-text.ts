import type { Message } from '../wire/types.ts';
import { readStub } from '../capture/rehydrate.ts';
import type { Prompt } from '../prompt/prompt-layout.ts';
import type { FinishedTurn } from '../turn/turn-state.ts';

/**
 * The visible turn as later prompts have it: with all that the client was shown, because the user
 * will speak of it. What is longer than `maxChars` becomes an entry, and its stub stands there.
 * @throws ProxyError `store_full`, `store_corrupt`
 */
export async function withClosingText(
  { session, place }: NonNullable<Prompt['own']>,
  { message, closingText }: Pick<FinishedTurn, 'message' | 'closingText'>,
  maxChars: number,
): Promise<Message> {
  const text = closingText.trim();
  if (text === '') return message;
  const said = typeof message.content === 'string' ? message.content.trimEnd() : '';
  const { store } = session;
  if (text.length <= maxChars) return { ...message, content: joined(said, text) };
  const [entry] = await store.append([
    { kind: 'message', tool: 'rlm_exec', chatId: place.chatId, note: shownNote, text },
  ]);
  if (entry === undefined) return message;
  return { ...message, content: joined(said, await readStub(store, entry)) };
}

const shownNote = 'shown to the user in full, at the end of this answer';

function joined(said: string, shown: string): string {
  return said === '' ? shown : `${said}\n\n${shown}`;
}
