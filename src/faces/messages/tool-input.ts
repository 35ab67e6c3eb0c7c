import { parseEnvelopeJson } from '../../wire/envelope-json.ts';
import { isObject, parseJson, type JsonObject } from '../../wire/json.ts';

/**
 * Tool inputs are objects in this protocol, and models write other things at times: nothing, a JSON
 * text in a JSON text, plain words, broken JSON. Nothing is an empty object, and a JSON text with
 * an object in it is that object. All else is one member of this name: no tool has it, so the
 * client refuses the call in its own words, and the model sees what it has written and why that
 * did not do. What begins as an object is streamed as it comes: broken in the middle, it is broken
 * for the client, too, as from its own models.
 */
const rawMember = 'arguments_text';

/** The input of a call out of what a model wrote. */
export function inputOf(args: string): JsonObject {
  if (args.trim() === '') return {};
  const text = beginsObject(args) ? args : parseJson(args);
  return (typeof text === 'string' ? objectIn(text) : undefined) ?? { [rawMember]: args };
}

/** An object whose numbers keep their digits; undefined for any other text. */
function objectIn(text: string): JsonObject | undefined {
  if (!beginsObject(text)) return undefined;
  try {
    // In a list, numbers of the object are inside of what is parsed, where digits are kept.
    const [object, ...others] = parseEnvelopeJson(`[${text}]`) as readonly unknown[];
    return isObject(object) && others.length === 0 ? object : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the text can only be that of an object, so that it can be handed on piece by piece. */
export function beginsObject(args: string): boolean {
  return /^\s*\{/.test(args);
}

/** Whether the text is all of an object: nothing but white space can follow. */
export function isWholeInput(args: string): boolean {
  return args.trimEnd().endsWith('}') && isObject(parseJson(args));
}

/**
 * Whether a client hands the input back in other words than those by which the conversation is
 * known: JavaScript's numbers have no more than 15 digits that are sure, and a text in a text is
 * unpacked.
 */
export function isRespelled(args: string): boolean {
  if (!beginsObject(args))
    return typeof parseJson(args) === 'string' && !(rawMember in inputOf(args));
  if (!/\d{16}/.test(args)) return false;
  return JSON.stringify(parseJson(args)) !== JSON.stringify(objectIn(args));
}

/** In place of an input that it could not read Claude Code sends back what there was of it. */
const unreadMember = '__unparsedToolInput';

/**
 * The arguments with which a call goes upstream, as the model wrote them: what {@link inputOf} or
 * the client made an object is undone.
 */
export function argumentsOf(input: unknown): string {
  if (isObject(input) && Object.keys(input).length === 1) {
    const { [rawMember]: raw, [unreadMember]: unread } = input;
    if (typeof raw === 'string') return raw;
    const text = isObject(unread) ? unread['raw'] : undefined;
    // Of a long one there is only the beginning.
    if (typeof text === 'string' && isObject(unread) && isLengthOf(text, unread['len']))
      return text;
  }
  return JSON.stringify(input ?? {});
}

function isLengthOf(text: string, length: unknown): boolean {
  return length === text.length || length === Buffer.byteLength(text);
}
