import { isObject, nonEmptyText, type JsonObject } from './json.ts';

/**
 * Members of a reasoning detail that arrive in pieces. Signatures and encrypted data are never
 * touched.
 */
const growing: ReadonlySet<string> = new Set(['text', 'summary']);

/**
 * Adds one streamed piece of structured reasoning (OpenRouter, MiniMax) to `details`: the texts of
 * one block are joined, everything else of a block keeps its bytes. A block goes on while index and
 * type stay the same and it has not been closed by its signature.
 */
export function mergeReasoningDetails(details: unknown[], piece: unknown): void {
  const at = details.findLastIndex((detail) => isSameBlock(detail, piece));
  const last = details[at];
  if (!isObject(piece) || !isObject(last) || !goesOn(last, piece)) {
    details.push(piece);
    return;
  }
  const merged: Record<string, unknown> = { ...last };
  for (const [member, value] of Object.entries(piece)) {
    const before = merged[member];
    if (growing.has(member) && typeof before === 'string' && typeof value === 'string') {
      merged[member] = before + value;
    } else if (value !== null || before === undefined) {
      merged[member] = value;
    }
  }
  details[at] = merged;
}

function isSameBlock(detail: unknown, piece: unknown): boolean {
  if (!isObject(detail) || !isObject(piece)) return false;
  return detail['type'] === piece['type'] && detail['index'] === piece['index'];
}

function goesOn(last: JsonObject, piece: JsonObject): boolean {
  const isText = typeof last['text'] === 'string' || typeof last['summary'] === 'string';
  const bothData = last['data'] !== undefined && piece['data'] !== undefined;
  const isClosed =
    typeof last['signature'] === 'string' && nonEmptyText(piece['text']) !== undefined;
  return isText && !bothData && !isClosed;
}
