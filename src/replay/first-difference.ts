import { isObject, parseJson } from '../wire/json.ts';

/** Characters shown on either side of the place where two texts part. */
const contextChars = 40;

/** Where two requests part, and what stands there. */
export interface Difference {
  /** A path in the JSON, such as `messages[3].content`; `the bytes` where only these differ. */
  readonly where: string;
  /** Code units of that text up to the first that differs; absent where it is no text. */
  readonly atChars?: number;
  /** What was recorded there, and what is now; absent where there is nothing. */
  readonly recorded?: string;
  readonly now?: string;
}

/**
 * Pure. Where two request bodies part for the first time, in the order of the recorded one; nothing
 * where they are the same to the byte.
 */
export function firstDifference(recorded: Uint8Array, now: Uint8Array): Difference | undefined {
  const before = Buffer.from(recorded.buffer, recorded.byteOffset, recorded.byteLength);
  if (before.equals(now)) return undefined;
  const [left, right] = [before.toString(), Buffer.from(now).toString()];
  const values = [parseJson(left), parseJson(right)];
  const found =
    values[0] === undefined || values[1] === undefined
      ? undefined
      : differenceIn('', values[0], values[1]);
  // The same members in another order, or spelled otherwise: a provider's cache looks at bytes.
  return found ?? textDifference('the bytes', left, right);
}

function differenceIn(where: string, before: unknown, now: unknown): Difference | undefined {
  if (Array.isArray(before) && Array.isArray(now)) {
    for (let at = 0; at < Math.max(before.length, now.length); at += 1) {
      const found = memberDifference(`${where}[${at}]`, before[at], now[at]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (isObject(before) && isObject(now)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const path = where === '' ? name : `${where}.${name}`;
      const found = memberDifference(path, before[name], now[name]);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (before === now) return undefined;
  if (typeof before === 'string' && typeof now === 'string')
    return textDifference(where, before, now);
  return { where, ...shown('recorded', before), ...shown('now', now) };
}

function memberDifference(where: string, before: unknown, now: unknown): Difference | undefined {
  if (before !== undefined && now !== undefined) return differenceIn(where, before, now);
  if (before === now) return undefined;
  return { where, ...shown('recorded', before), ...shown('now', now) };
}

function textDifference(where: string, before: string, now: string): Difference {
  let at = 0;
  while (at < before.length && before[at] === now[at]) at += 1;
  const from = Math.max(0, at - contextChars);
  const part = (text: string): string => text.slice(from, at + contextChars).toWellFormed();
  return { where, atChars: at, recorded: part(before), now: part(now) };
}

function shown(name: 'recorded' | 'now', value: unknown): Partial<Difference> {
  if (value === undefined) return {};
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return { [name]: text.slice(0, 2 * contextChars).toWellFormed() };
}
