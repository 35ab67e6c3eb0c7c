import {
  assignedSecret,
  secretInAddress,
  secretNames,
  type FoundSecret,
} from './assigned-value.ts';
import type { TextRuns } from './text-runs.ts';
import { formChars, tokenShapes, type TokenShape } from './token-shapes.ts';

const shapesOf = Map.groupBy(
  tokenShapes.flatMap((shape) => shape.prefixes.map((prefix) => ({ prefix, shape }))),
  ({ prefix }) => prefix,
);
const keyBegin = '-----BEGIN ';
const slashes = '://';

/**
 * How much of a text from an anchor on decides whether there is a secret, characters: at most that
 * of a private key and its label, or of the longest token.
 */
export const maxReachChars = 24_000;
const maxKeyChars = 20_000;
/** How much before an anchor is looked at, characters. */
export const maxBehindChars = 2;

const literals = [...shapesOf.keys(), keyBegin, slashes].map((literal) => literal.split(''));
const names = secretNames.flatMap((name) => {
  const spellings = name.includes('_')
    ? [name, name.replace('_', '-'), name.replace('_', '')]
    : [name];
  return spellings.map((spelling) => spelling.split('').map((char) => bothCases(char)));
});

function bothCases(char: string): string {
  return /[a-z]/.test(char) ? char + char.toUpperCase() : char;
}

/**
 * All anchors by their first two characters: for each pair of ASCII characters a pattern of those
 * that begin so, longer ones first. One pattern of all of them would be tried at each character.
 */
const anchorsOfPair: readonly (RegExp | undefined)[] = (() => {
  const byPair = new Map<number, string[][]>();
  const anchors = [...literals, ...names].toSorted((a, b) => b.length - a.length);
  for (const anchor of anchors) {
    for (const first of anchor[0]!) {
      for (const second of anchor[1]!) {
        const pair = (first.charCodeAt(0) << 7) | second.charCodeAt(0);
        byPair.set(pair, [...(byPair.get(pair) ?? []), anchor]);
      }
    }
  }
  return Array.from({ length: 1 << 14 }, (_, pair) => {
    const some = byPair.get(pair);
    return some === undefined ? undefined : new RegExp(some.map(patternOf).join('|'), 'y');
  });
})();

/** A pattern of characters, each of which may be one of several. */
function patternOf(anchor: readonly string[]): string {
  return anchor.map((some) => `[${some.replaceAll(/[\\\]^-]/g, '\\$&')}]`).join('');
}

/** The next place from `from` on where a secret may begin, or behind which one may stand. */
export function nextAnchor(
  text: string,
  from: number,
): { readonly index: number; readonly anchor: string } | undefined {
  let before = text.charCodeAt(from);
  for (let at = from + 1; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 128 && before < 128) {
      const pattern = anchorsOfPair[(before << 7) | unit];
      if (pattern !== undefined) {
        pattern.lastIndex = at - 1;
        const anchor = pattern.exec(text)?.[0];
        if (anchor !== undefined) return { index: at - 1, anchor };
      }
    }
    before = unit;
  }
  return undefined;
}

/**
 * The secret that begins with an anchor, or stands behind it. It looks at nothing more than
 * {@link maxBehindChars} before and {@link maxReachChars} from it on.
 */
export function secretAt(runs: TextRuns, index: number, anchor: string): FoundSecret | undefined {
  const { text } = runs;
  const end = index + anchor.length;
  if (anchor === keyBegin) return privateKey(text, end);
  if (anchor === slashes) return named(runs, secretInAddress(text, end));
  const shapes = shapesOf.get(anchor);
  if (shapes === undefined) return named(runs, assignedSecret(runs, anchor, end));
  if (!isBorder(runs, index)) return undefined;
  for (const { shape } of shapes) {
    const tokenEnd = endOfToken(runs, shape, end);
    if (tokenEnd !== undefined) return { kind: shape.kind, start: index, end: tokenEnd };
  }
  return undefined;
}

/** A value that is a token of a form of its own is called that. */
function named(runs: TextRuns, found: FoundSecret | undefined): FoundSecret | undefined {
  if (found === undefined) return undefined;
  const { text } = runs;
  const { start, end } = found;
  const pattern = anchorsOfPair[(text.charCodeAt(start) << 7) | text.charCodeAt(start + 1)];
  if (pattern === undefined) return found;
  pattern.lastIndex = start;
  const anchor = pattern.exec(text)?.[0] ?? '';
  for (const { shape } of shapesOf.get(anchor) ?? []) {
    if (endOfToken(runs, shape, start + anchor.length) === end)
      return { ...found, kind: shape.kind };
  }
  return found;
}

/** Whether a token can begin here: a letter or digit before it is only that of `\n`, `\t`, `\r`. */
function isBorder(runs: TextRuns, index: number): boolean {
  if (!runs.isAt('word', index - 1)) return true;
  return runs.text.charAt(index - 2) === '\\' && /[nrt]/.test(runs.text.charAt(index - 1));
}

function endOfToken(runs: TextRuns, shape: TokenShape, start: number): number | undefined {
  let at = start;
  for (const [slot, part] of shape.parts.entries()) {
    if (typeof part === 'string') {
      if (!runs.text.startsWith(part, at)) return undefined;
      at += part.length;
      continue;
    }
    let end = runs.endOf(part.alphabet, at, slot);
    // At the end of a sentence.
    while (part.alphabet === 'dotted' && end > at && runs.text[end - 1] === '.') end -= 1;
    const chars = end - at;
    if (chars < part.minChars || chars > part.maxChars) return undefined;
    at = end;
  }
  if (runs.isAt('alphanumeric', at)) return undefined;
  const { form } = shape;
  const head = runs.text.slice(start, Math.min(at, start + formChars));
  return form === undefined || form.test(head) ? at : undefined;
}

const keyLabel = /[A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----/y;
/** Of a key that ends nowhere: its headers and lines; in code and JSON these are quoted. */
const keyBody =
  /(?:\s|\\[nr])*(?:[A-Za-z-]{4,24}: [ -~]{0,80}(?:\s|\\[nr])+){0,4}(?:[A-Za-z0-9+/=]{16,}|\s|\\[nr]|["'`]\s{0,20}\+?\s{0,20}["'`])*/y;
/** Lines of keys have 64 characters, or 70; the shortest key has 64 in all. */
const keyLine = /[A-Za-z0-9+/=]{40}/;

/** The body of a private key, also where its end is missing. */
function privateKey(text: string, beginEnd: number): FoundSecret | undefined {
  keyLabel.lastIndex = beginEnd;
  if (!keyLabel.test(text)) return undefined;
  const start = keyLabel.lastIndex;
  const rest = text.slice(start, start + maxKeyChars);
  const dashes = rest.indexOf('-----');
  let end = dashes;
  if (dashes < 0 || !rest.startsWith('-----END', dashes)) {
    keyBody.lastIndex = 0;
    end = keyBody.exec(dashes < 0 ? rest : rest.slice(0, dashes))![0].length;
  }
  const line = keyLine.exec(rest.slice(0, Math.min(end, 2_000)));
  return line === null ? undefined : { kind: 'private key', start, end: start + end };
}
