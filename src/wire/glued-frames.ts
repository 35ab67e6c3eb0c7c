import { ProxyError } from '../errors.ts';
import { parseJson } from './json.ts';

/** What may stand between two frames that a provider has glued together. */
const between = /\s*(?:data:\s*)?/y;
const endMark = '[DONE]';

/**
 * The frames in an event whose data is not JSON: several glued together, with or without a `data:`
 * between, or the end mark. A frame that was cut has lost a piece of the answer and cannot be
 * repaired.
 * @throws ProxyError `upstream_failed`
 */
export function splitGlued(data: string): string[] {
  const parts: string[] = [];
  for (let at = 0; ;) {
    between.lastIndex = at;
    at += between.exec(data)?.[0].length ?? 0;
    if (at === data.length) return parts;
    const end = data.startsWith(endMark, at) ? at + endMark.length : objectEnd(data, at);
    const part = data.slice(at, end);
    if (part !== endMark && parseJson(part) === undefined) {
      throw new ProxyError('upstream_failed', 'The upstream sent a frame that is not JSON.');
    }
    parts.push(part);
    at = end;
  }
}

/** Where the object that begins at `start` ends, by its braces outside of texts. */
function objectEnd(data: string, start: number): number {
  let depth = 0;
  let isInText = false;
  for (let at = start; at < data.length; at += 1) {
    const character = data[at];
    if (isInText) {
      if (character === '\\') at += 1;
      else if (character === '"') isInText = false;
    } else if (character === '"') isInText = true;
    else if (character === '{') depth += 1;
    else if (character === '}' && --depth === 0) return at + 1;
  }
  return data.length;
}
