import type { Entry } from '../store/types.ts';
import { outlineOf } from './outline.ts';

/** What a stub is made of besides its entry: the text's two ends. */
export interface TextEnds {
  /** The first {@link stubHeadChars} characters, or all of a shorter text. */
  readonly head: string;
  /** The last {@link stubTailChars} characters, or all of a shorter text. */
  readonly tail: string;
}

/** So much of a text's beginning is looked at for type, outline and preview, in characters. */
export const stubHeadChars = 100_000;
/** So much of its end, in characters. */
export const stubTailChars = 4_000;

/** How much of each end is shown. A question sits at one end of a pasted text, mostly the last; so that the newest question stays readable, user texts show far more. */
const previews = {
  tool_result: { headChars: 700, tailChars: 500 },
  file: { headChars: 700, tailChars: 500 },
  message: { headChars: 400, tailChars: 400 },
  attachment: { headChars: 700, tailChars: 500 },
  user_text: { headChars: 2_000, tailChars: 4_000 },
} as const;

/**
 * The text that stands in a prompt for a stored one: what it is, where it lies, what it looks like, how to read it. A pure function
 * of its arguments, which are themselves functions of the entry, so it is the same in every turn and after every restart;
 * it never names the chat or the time.
 */
export function stubOf(entry: Entry, ends: TextEnds): string {
  const outline = outlineOf(ends.head);
  const { headChars, tailChars } = previews[entry.kind];
  const lines = [
    `[rlm] ${titleOf(entry)} is kept in the context store instead of here, complete and unchanged.`,
    `entry ${entry.id}: ${entry.lengthChars} characters, ${entry.lineCount} lines, ${outline.type}, offset ${entry.offsetChars}, from line ${entry.lineNumber}.`,
  ];
  if (entry.note !== undefined) lines.push(`note: ${entry.note}`);
  if (outline.items.length > 0) lines.push('outline:', ...outline.items.map((item) => `- ${item}`));
  lines.push(
    '--- beginning ---',
    firstChars(ends.head, headChars),
    `--- … ${Math.max(0, entry.lengthChars - headChars - tailChars)} characters left out … ---`,
    lastChars(ends.tail, tailChars),
    '--- end ---',
    `Read it with rlm_get_context {"entry":"${entry.id}"} (further in: add "offset"), search it with rlm_search or rlm_find and "entry":"${entry.id}".`,
  );
  return lines.join('\n');
}

function titleOf(entry: Entry): string {
  const subject = entry.path === undefined ? '' : ` of ${entry.path}`;
  switch (entry.kind) {
    case 'tool_result':
      return `The output of ${entry.tool ?? 'a tool'}${entry.args === undefined ? subject : ` ${clipArgs(entry.args)}`}`;
    case 'user_text':
      return `A long text from the user`;
    case 'attachment':
      return `An attached text${subject}`;
    case 'file':
      return `The file${subject}`;
    case 'message':
      return `An earlier part of this conversation`;
  }
}

function clipArgs(args: string): string {
  const chars = Array.from(args.slice(0, 800));
  return chars.length <= 300 ? args : `${chars.slice(0, 300).join('')}…`;
}

/** The first `count` characters, cut back to a line's end where one is near. */
function firstChars(text: string, count: number): string {
  const cut = Array.from(text.slice(0, count * 2))
    .slice(0, count)
    .join('');
  if (cut.length === text.length) return cut;
  const lineEnd = cut.lastIndexOf('\n');
  return lineEnd > cut.length * 0.7 ? cut.slice(0, lineEnd) : cut;
}

/** The last `count` characters, cut forward to a line's start where one is near. */
function lastChars(text: string, count: number): string {
  const cut = Array.from(text.slice(-count * 2))
    .slice(-count)
    .join('');
  if (cut.length === text.length) return cut;
  const lineStart = cut.indexOf('\n');
  return lineStart >= 0 && lineStart < cut.length * 0.3 ? cut.slice(lineStart + 1) : cut;
}
