import type { Message } from '../wire/types.ts';

/**
 * Progress of the hidden loop, shown to the client as reasoning text: a bold line with a blank line
 * around it, which is the form of a title. OpenCode shows the first one also while the reasoning is
 * folded up (`+ Thought: searching …`), and others as a heading.
 *
 * Clients replay reasoning, so each line ends in U+034F, a combining character without a shape,
 * which takes no cell in a terminal. Nothing else ends a line with it, so that the lines can be
 * taken out again.
 */
const mark = '\u034f';

/**
 * What earlier versions wrote stays in the replays of their chats: a line between two pairs of
 * U+2063.
 */
const earlierMark = '\u2063\u2063';

/** Lines of ours with the line feeds that {@link progressLine} puts around them. */
const markedLines = /\n{0,2}^[^\n]*\u034f(?:\*\*)?(?:\n{1,2}|$(?![^]))/gm;
const earlierLine = /\n?\u2063\u2063[^\u2063]*\u2063\u2063\n?/g;

const anyMark = /[\u034f\u2063]/g;

/**
 * One marked line of reasoning text; of a text of several lines each one is marked, and none is
 * bold. `text` is a short sentence of ours, or what is shown in the place of an answer.
 */
export function progressLine(text: string): string {
  const lines = text.replaceAll(anyMark, '').split('\n');
  // An asterisk would end the bold words.
  const [line] = lines;
  const marked =
    lines.length === 1
      ? `**${line?.trim().replaceAll('*', '∗')}${mark}**`
      : lines.map((one) => `${one}${mark}`).join('\n');
  return `\n\n${marked}\n\n`;
}

/** Reasoning as the model wrote it: without our lines. */
export function withoutProgress(reasoning: string): string {
  const present = reasoning.includes(mark) ? reasoning.replace(markedLines, '') : reasoning;
  return present.includes(earlierMark) ? present.replace(earlierLine, '') : present;
}

/** Whether a message's reasoning holds such lines. */
export function holdsProgress(message: Message): boolean {
  return reasoningTexts.some((name) => {
    const reasoning = message[name];
    return (
      typeof reasoning === 'string' && (reasoning.includes(mark) || reasoning.includes(earlierMark))
    );
  });
}

const reasoningTexts = ['reasoning_content', 'reasoning'];
