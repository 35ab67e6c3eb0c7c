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
  const parsed = parseJson(args);
  if (isObject(parsed)) return parsed;
  const inner = typeof parsed === 'string' ? parseJson(parsed) : undefined;
  return isObject(inner) ? inner : { [rawMember]: args };
}

/** Whether the text can only be that of an object, so that it can be handed on piece by piece. */
export function beginsObject(args: string): boolean {
  return /^\s*\{/.test(args);
}

/** Whether the text is whole. What has come of it may be whole JSON before all of it has come. */
export function isWholeInput(args: string): boolean {
  return args.trimEnd().endsWith('}') && isObject(parseJson(args));
}

/** The arguments with which a call goes upstream: what {@link inputOf} made an object is undone. */
export function argumentsOf(input: unknown): string {
  const raw = isObject(input) ? input[rawMember] : undefined;
  if (isObject(input) && typeof raw === 'string' && Object.keys(input).length === 1) return raw;
  return JSON.stringify(input ?? {});
}
