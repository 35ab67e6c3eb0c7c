import { z } from 'zod';

/**
 * How a tool writes its result: as plain text for a model to read, or with its fields as JSON for
 * programs.
 */
export type ResultForm = 'text' | 'json';

/** The argument by which a caller asks for a form. */
export const formatArg = {
  format: z.enum(['text', 'json']).optional(),
};

/** A fault in a call, for whoever made it. One line. */
export function faultText(fault: string, form: ResultForm): string {
  return form === 'json' ? JSON.stringify({ error: fault }) : `error: ${fault}`;
}

/** Code points of a text at most, on one line; `…` where something is left out. */
export function onOneLine(text: string, maxChars: number): string {
  const line = text
    .slice(0, 8 * maxChars)
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  const chars = Array.from(line);
  const isCut = chars.length > maxChars || text.length > 8 * maxChars;
  return isCut ? `${chars.slice(0, maxChars - 1).join('')}…`.toWellFormed() : line;
}

/** `1 line`, `2 lines`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
