import type { Message } from '../wire/types.ts';

/**
 * Progress of the hidden loop, shown to the client as reasoning text. Clients replay reasoning, so
 * each line is marked: U+2063 (invisible separator) twice before and after it. Nothing else writes
 * that pair, so the lines can be taken out again.
 */
const mark = '\u2063\u2063';

const markedLine = /\n?\u2063\u2063[^\u2063]*\u2063\u2063\n?/g;

/** One marked line of reasoning text. `text` is a short sentence of ours. */
export function progressLine(text: string): string {
  return `\n${mark}· ${text.replaceAll('\u2063', '')}${mark}\n`;
}

/** Reasoning as the model wrote it: without our lines. */
export function withoutProgress(reasoning: string): string {
  return reasoning.includes(mark) ? reasoning.replace(markedLine, '') : reasoning;
}

/** Whether a message's reasoning holds such lines. */
export function holdsProgress(message: Message): boolean {
  return reasoningTexts.some((name) => {
    const reasoning = message[name];
    return typeof reasoning === 'string' && reasoning.includes(mark);
  });
}

const reasoningTexts = ['reasoning_content', 'reasoning'];
