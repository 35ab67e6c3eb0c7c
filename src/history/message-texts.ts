import type { ContentPart, Message } from '../wire/types.ts';

/** A message with some of its texts replaced; everything else as it was. Pure. */
export function withTexts(message: Message, texts: ReadonlyMap<number, string>): Message {
  const whole = texts.get(-1);
  if (whole !== undefined) return { ...message, content: whole };
  if (!Array.isArray(message.content)) return message;
  const content = message.content.map((part: ContentPart, index) => {
    const text = texts.get(index);
    return text === undefined ? part : { ...part, text };
  });
  return { ...message, content };
}
