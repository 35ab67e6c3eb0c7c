import { isObject, parseJson } from '../wire/json.ts';
import { holdsGivenNames, isNameOfSomebody } from './given-names.ts';
import { type Difference, firstDifference } from './first-difference.ts';

/**
 * Pure. What a request to a provider looks like without its words, as a text: its members, of each
 * message the role and how long its texts are, and which of our tools are called. Requests that are
 * no JSON have their length for a shape.
 */
export function shapeOf(body: Uint8Array): string {
  const value = parseJson(Buffer.from(body).toString());
  return JSON.stringify(value === undefined ? body.length : shapeIn('', value));
}

/** Pure. Where the shapes of two requests part for the first time; nothing where they do not. */
export function shapeDifference(recorded: Uint8Array, now: Uint8Array): Difference | undefined {
  return firstDifference(Buffer.from(shapeOf(recorded)), Buffer.from(shapeOf(now)));
}

/** Texts as their lengths, but those that are words of the protocol or names of ours. */
function shapeIn(member: string, value: unknown, hasGivenNames = false): unknown {
  const isGiven = hasGivenNames || holdsGivenNames.has(member);
  if (Array.isArray(value)) return value.map((item) => shapeIn(member, item, isGiven));
  if (isObject(value)) {
    const members = Object.entries(value);
    if (!isGiven && !members.some(([name]) => isNameOfSomebody(name)))
      return Object.fromEntries(members.map(([name, held]) => [name, shapeIn(name, held)]));
    return members.map(([name, held]) => [lengthOf(name), shapeIn(name, held, isGiven)]);
  }
  if (typeof value !== 'string') return value;
  const isWord = member === 'role' || member === 'type' || value.startsWith('rlm_');
  return isWord && !hasGivenNames ? value : lengthOf(value);
}

function lengthOf(text: string): string {
  return `${text.length} characters`;
}
