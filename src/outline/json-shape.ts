import { countOf } from '../base/numbers.ts';
import { addTo, clip, tally, type Landmark, type TextView } from './text-view.ts';
import { grouped } from '../base/numbers.ts';

/** Larger texts are not parsed, only looked at; characters. */
const parseChars = 8_000_000;
const maxKeys = 12;

/** A text that is one JSON value: its value. */
export function parsedJson(view: TextView): { readonly value: unknown } | undefined {
  const { text } = view;
  if (
    text.length > parseChars ||
    !/^\s*[[{]/.test(text.slice(0, 100)) ||
    !/[\]}]\s*$/.test(text.slice(-100))
  )
    return undefined;
  return parsed(text);
}

/** Whether it begins as JSON does, though it cannot be parsed: it was cut, or is too large. */
export function looksLikeJson(view: TextView): boolean {
  return (
    /^\s*(?:\{\s*"[^"\n]{1,200}"\s*:|\[\s*(?:\{\s*"|\[|"|-?\d+(?:\.\d+)?\s*[,\n]))/.test(
      view.text.slice(0, 1_000),
    ) &&
    view.share(/^\s*(?:"(?:[^"\\]|\\.)*"\s*:|[\]}{[],?$|"(?:[^"\\]|\\.)*",?$|[[{].*[,\]}]$)/) > 0.6
  );
}

/** The share of sampled lines that are JSON objects, each on its own. */
export function jsonLinesShare(view: TextView): number {
  const { sample } = view;
  if (sample.length < 2 || view.share(/^\s*\{.*/) < 0.5) return 0;
  // A sampled line may be cut: then its beginning must do.
  const rows = sample.filter((line) =>
    line.length < 400
      ? /^\s*\{/.test(line) && parsed(line) !== undefined
      : /^\s*\{\s*"[^"]*"\s*:/.test(line),
  );
  return rows.length / sample.length;
}

/** The shape of a JSON value: lengths, and keys at two levels. */
export function jsonLandmarks(view: TextView, value: unknown): Landmark[] {
  const items: Landmark[] = [{ text: clip(shapeOf(value, 2), 150) }];
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return items;
  // In a text with a line for each key, the line is named.
  const rows = Object.entries(value)
    .filter(([, inner]) => inner !== null && typeof inner === 'object')
    .slice(0, maxKeys);
  for (const [key, inner] of rows) {
    const line = view.lines.findIndex(
      (text) =>
        /^(?: {1,4}|\t)"/.test(text) && text.trimStart().startsWith(`${JSON.stringify(key)}:`),
    );
    items.push({
      ...(line < 0 ? {} : { line: line + 1 }),
      text: `${JSON.stringify(key)}: ${clip(shapeOf(inner, 2), 90)}`,
    });
  }
  return items;
}

/** The keys that can be seen without parsing. */
export function looseJsonLandmarks(view: TextView): Landmark[] {
  const keys = new Map<string, number>();
  for (const found of view.text.slice(0, 200_000).matchAll(/"((?:[^"\\\n]|\\.){1,60})"\s*:/g))
    addTo(keys, found[1] ?? '');
  return keys.size === 0
    ? []
    : [{ text: `cut or too long to be parsed; keys: ${tally(keys, maxKeys)}` }];
}

/** How many records, of which keys; what a short repeated member says, counted. */
export function jsonLinesLandmarks(view: TextView): Landmark[] {
  const keys = new Map<string, number>();
  const values = new Map<string, Map<string, number>>();
  let records = 0;
  for (const line of view.lines.slice(0, 20_000)) {
    const row = line.length > 100_000 ? undefined : parsed(line)?.value;
    if (row === undefined || row === null || typeof row !== 'object') continue;
    records += 1;
    for (const [key, value] of Object.entries(row)) {
      addTo(keys, key);
      if (typeof value !== 'string' || value.length > 40) continue;
      const seen = values.get(key) ?? new Map<string, number>();
      values.set(key, seen);
      if (seen.size < 50 || seen.has(value)) addTo(seen, value);
    }
  }
  const items: Landmark[] = [
    {
      text: `${countOf(records, 'record')}${view.lines.length > 20_000 ? ' in the first 20,000 lines' : ''}, keys: ${tally(keys, maxKeys)}`,
    },
  ];
  const repeated = [...values].filter(([, seen]) => seen.size > 1 && seen.size <= 12);
  for (const [key, seen] of repeated.slice(0, 3)) items.push({ text: `${key}: ${tally(seen, 6)}` });
  return items;
}

function shapeOf(value: unknown, depth: number): string {
  if (value === null || typeof value !== 'object')
    return typeof value === 'string' ? countOf(value.length, 'character') : String(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return 'empty array';
    const first = value[0] as unknown;
    const each =
      depth > 0 && first !== null && typeof first === 'object'
        ? `, the first: ${shapeOf(first, depth - 1)}`
        : '';
    return `array of ${grouped(value.length)}${each}`;
  }
  const keys = Object.keys(value);
  const shown = keys
    .slice(0, maxKeys)
    .map((key) => (key === '' ? '""' : key))
    .join(', ');
  const more = keys.length > maxKeys ? ` and ${keys.length - maxKeys} more` : '';
  return depth > 0
    ? `object of ${countOf(keys.length, 'key')}: ${shown}${more}`
    : `object of ${countOf(keys.length, 'key')}`;
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    // Not JSON: then it is something else.
    return undefined;
  }
}
