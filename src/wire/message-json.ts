import type { ChatRequest, Message } from './types.ts';

/** The JSON text of messages, for as long as somebody holds them. */
const texts = new WeakMap<Message, string>();

/** Remembers the text that a message was parsed from, so that it goes on as it came, to the byte, and is not written anew. */
export function rememberJson(message: Message, json: string): void {
  texts.set(message, json);
}

/** A message's JSON text: the one it was parsed from, or one written once. The message must not change afterwards. */
export function messageJson(message: Message): string {
  let json = texts.get(message);
  if (json === undefined) {
    json = JSON.stringify(message);
    texts.set(message, json);
  }
  return json;
}

/** A request body's JSON text, its members in their order. */
export function requestJson(
  body: Readonly<Record<string, unknown>> & Pick<ChatRequest, 'messages'>,
): string {
  const members: string[] = [];
  for (const [name, value] of Object.entries(body)) {
    if (value === undefined) continue;
    const json = name === 'messages' ? listJson(body.messages) : JSON.stringify(value);
    members.push(`${JSON.stringify(name)}:${json}`);
  }
  return `{${members.join(',')}}`;
}

function listJson(messages: readonly Message[]): string {
  return `[${messages.map((message) => messageJson(message)).join(',')}]`;
}
