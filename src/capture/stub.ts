import { isCutNote } from '../clients/cut-output.ts';
import { goneSentence, maskedSentence } from '../store/text/gone-text.ts';
import type { Entry, EntryOutline, Forgetting } from '../store/types.ts';
import { earlierOutlineOf } from './earlier-outline.ts';

/** What a stub is made of besides its entry: the text's two ends. */
export interface StubEnds {
  /** The first {@link stubHeadChars} characters, or all of a shorter text. */
  readonly head: string;
  /** The last {@link stubTailChars} characters, or all of a shorter text. */
  readonly tail: string;
}

/**
 * So much of a text's beginning is read for its preview, and for the outline of an entry that has
 * none of its own, in characters.
 */
export const stubHeadChars = 100_000;
/** So much of its end, in characters. */
export const stubTailChars = 4_000;

/**
 * How much of each end is shown. A question sits at one end of a pasted text, mostly the last; so
 * that the newest question stays readable, user texts show far more.
 */
const previews = {
  tool_result: { headChars: 700, tailChars: 500 },
  file: { headChars: 700, tailChars: 500 },
  message: { headChars: 400, tailChars: 400 },
  attachment: { headChars: 700, tailChars: 500 },
  user_text: { headChars: 2_000, tailChars: 4_000 },
} as const;

/**
 * The text that stands in a prompt for a stored one: what it is, where it lies, what it looks like,
 * how to read it. A pure function of its arguments, which are themselves functions of the entry, so
 * it is the same in every turn and after every restart; it never names the chat or the time.
 * `isAgain`: the text had come before, and this is not where it came first.
 */
export function stubOf(entry: Entry, ends: StubEnds, isAgain = false): string {
  const title = titleOf(entry);
  // One that says "The output of bash" of what another command has printed would mislead.
  const what = isAgain
    ? `This is the same text, byte for byte, as one that came before, ${title.charAt(0).toLowerCase()}${title.slice(1)}. It`
    : title;
  const head = `[rlm] ${what} is kept in the context store instead of here, ${stateOf(entry)}`;
  return entry.outline === undefined
    ? earlierStubOf(entry, head, ends)
    : outlinedStubOf(entry, entry.outline, head, ends);
}

/**
 * What stands in a prompt for a text that came while the shared store could not be reached, and for
 * ever: `name` leads to it when it can. It says nothing of where it lies, which nobody knew then.
 */
export function standInStub(entry: Entry, ends: StubEnds, name: string): string {
  const kept = isCutNote(entry.note)
    ? `as it came and NOT complete: the client had cut it before, and only these ${entry.lengthChars} characters came`
    : 'complete and unchanged';
  const lines = [
    `[rlm] ${titleOf(entry)} is kept in the context store instead of here, ${kept}. That store could not be reached when it came: it is stored here, and can be opened and searched when the shared store is back.`,
    `entry ${name}: ${entry.lengthChars} characters, ${entry.lineCount} lines.`,
  ];
  const howTo = `Then read it with rlm_get_context {"entry":"${name}"} (a part: add "line" and "lines"), search it with rlm_search or rlm_find and "entry":"${name}".`;
  const shown = previewOf(entry, [...lines, howTo].join('\n').length);
  return [...lines, ...previewLines(entry, ends, shown), howTo].join('\n');
}

/** What stands in a prompt for a text that was forgotten. */
export function goneStub(entry: Entry, forgotten: Forgetting): string {
  const size = `${entry.lengthChars} characters, ${entry.lineCount} lines`;
  return `[rlm] ${goneSentence(entry, forgotten)} It had ${size}.`;
}

/** A stub is at most so long, characters, but for what a user wrote. */
const maxStubChars = 2_000;
/** However much else a stub says, so much of each end is shown, characters. */
const minPreviewChars = 200;

function outlinedStubOf(entry: Entry, outline: EntryOutline, head: string, ends: StubEnds): string {
  const lines = [
    head,
    `entry ${entry.id}: ${entry.lengthChars} characters, ${entry.lineCount} lines, ${outline.kind}, offset ${entry.offsetChars}.`,
  ];
  if (entry.note !== undefined) lines.push(`note: ${shownName(entry.note)}`);
  if (outline.items.length > 0)
    lines.push(
      'outline (lines count from 1 in this entry):',
      ...outline.items.map((item) => `- ${shownName(item)}`),
    );
  const howTo = `Read it with rlm_get_context {"entry":"${entry.id}"} (a part: add "line" and "lines"), search it with rlm_search or rlm_find and "entry":"${entry.id}".`;
  const { headChars, tailChars } = previewOf(entry, [...lines, howTo].join('\n').length);
  lines.push(...previewLines(entry, ends, { headChars, tailChars }), howTo);
  return lines.join('\n');
}

/** How much of the text there is. */
function stateOf(entry: Entry): string {
  const { note, lengthChars, masked } = entry;
  if (masked !== undefined) return `but not all of it. ${maskedSentence(entry, masked)}`;
  if (!isCutNote(note)) return 'complete and unchanged.';
  return `as it came and NOT complete: the client had cut it before, and only these ${lengthChars} characters came. What it left out is not in the store, and a search cannot find it.`;
}

/** As much of each end as there is room for beside what else a stub says. */
function previewOf(
  { kind }: Entry,
  takenChars: number,
): { readonly headChars: number; readonly tailChars: number } {
  const { headChars, tailChars } = previews[kind];
  if (kind === 'user_text') return { headChars, tailChars };
  // The frame around the two ends takes about a hundred.
  const room = Math.max(2 * minPreviewChars, maxStubChars - 100 - takenChars);
  const share = Math.min(1, room / (headChars + tailChars));
  return { headChars: Math.floor(headChars * share), tailChars: Math.floor(tailChars * share) };
}

/** As stubs were before entries had outlines: of such entries the same bytes for ever. */
function earlierStubOf(entry: Entry, head: string, ends: StubEnds): string {
  const outline = earlierOutlineOf(ends.head);
  const lines = [
    head,
    `entry ${entry.id}: ${entry.lengthChars} characters, ${entry.lineCount} lines, ${outline.type}, offset ${entry.offsetChars}, from line ${entry.lineNumber}.`,
  ];
  if (entry.note !== undefined) lines.push(`note: ${shownName(entry.note)}`);
  if (outline.items.length > 0)
    lines.push('outline:', ...outline.items.map((item) => `- ${shownName(item)}`));
  lines.push(
    ...previewLines(entry, ends, previews[entry.kind]),
    `Read it with rlm_get_context {"entry":"${entry.id}"} (further in: add "offset"), search it with rlm_search or rlm_find and "entry":"${entry.id}".`,
  );
  return lines.join('\n');
}

/** The two ends of a text in their frame. */
function previewLines(
  { lengthChars }: Entry,
  ends: StubEnds,
  { headChars, tailChars }: { readonly headChars: number; readonly tailChars: number },
): readonly string[] {
  return [
    '--- beginning ---',
    shownText(firstChars(ends.head, headChars)),
    `--- … ${Math.max(0, lengthChars - headChars - tailChars)} characters left out … ---`,
    shownText(lastChars(ends.tail, tailChars)),
    '--- end ---',
  ];
}

/**
 * Stored text as a stub shows it: line feeds and tabs stay, of other control characters, colour
 * codes and marks that turn the direction of writing only a picture or nothing. What is stored
 * stays as it is.
 */
function shownText(text: string): string {
  return (
    text
      .replaceAll(colourCodes, '')
      .replaceAll('\r\n', '\n')
      .replaceAll(controls, pictureOf)
      .replaceAll(/[\x80-\x9f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
      // A line of a stub's own frame, or a note in our name, in the stored text would be taken for
      // one.
      .replaceAll(/^(?=(?:\[rlm\]|--- (?:beginning|end|… \d+ characters left out …) ---))/gm, '| ')
  );
}

/** The same on one line, for names and arguments. */
function shownName(name: string): string {
  return shownText(name).replaceAll(/[\n\t\u2028\u2029]/g, ' ');
}

// oxlint-disable-next-line no-control-regex
const controls = /[\0-\x08\x0b-\x1f\x7f]/g;

/** Terminal sequences: colours, cursor, titles. */
const colourCodes =
  // oxlint-disable-next-line no-control-regex
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)|[PX^_][^\x1b]{0,1000}\x1b\\|[@-Z\\-_])/g;

/** The sign that stands for a control character. */
function pictureOf(char: string): string {
  const code = char.charCodeAt(0);
  return String.fromCharCode(code === 0x7f ? 0x2421 : 0x2400 + code);
}

function titleOf(entry: Entry): string {
  const subject = entry.path === undefined ? '' : ` of ${shownName(entry.path)}`;
  switch (entry.kind) {
    case 'tool_result':
      return `The output of ${shownName(entry.tool ?? 'a tool')}${entry.args === undefined ? subject : ` ${shownName(clipArgs(entry.args))}`}`;
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
