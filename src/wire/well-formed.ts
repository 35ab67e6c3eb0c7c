import { isObject } from './json.ts';

/**
 * A surrogate written as an escape: the only way in which JSON that is UTF-8 can hold half a
 * character.
 */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

/**
 * Whether a value parsed from this JSON may hold half a character somewhere. Most texts say at once
 * that it does not.
 */
export function mayHoldHalves(json: string): boolean {
  return json.includes('\\u') && surrogateEscape.test(json);
}

/**
 * The same value with U+FFFD in the place of every half of a character, in texts and in members'
 * names: a client that cuts a text can cut through an emoji, and strict providers refuse all of a
 * request for it, in every later turn again. The very same value where there is none. Recursive: to
 * be used on what is nested within bounds.
 */
export function wellFormed<Value>(value: Value): Value {
  return mended(value) as Value;
}

function mended(value: unknown): unknown {
  if (typeof value === 'string') return value.isWellFormed() ? value : value.toWellFormed();
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    const whole = items.map(mended);
    return whole.every((item, at) => item === items[at]) ? value : whole;
  }
  if (!isObject(value)) return value;
  const members = Object.entries(value);
  const whole = members.map(([name, member]): [string, unknown] => [
    name.toWellFormed(),
    mended(member),
  ]);
  const isSame = whole.every(
    ([name, member], at) => name === members[at]?.[0] && member === members[at][1],
  );
  return isSame ? value : Object.fromEntries(whole);
}
