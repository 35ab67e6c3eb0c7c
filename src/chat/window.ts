import type { ChatRequest, Message } from '../wire/types.ts';
import type { HistoryItem } from './history.ts';
import type { WovenMessage } from './weave.ts';

/** How much of the upstream's window a prompt may fill, in tokens. */
export interface WindowMarks {
  /** Above this, older material is demoted. */
  readonly highTokens: number;
  /** Down to this, in one step. */
  readonly lowTokens: number;
}

/**
 * The marks of a request. What the answer needs is kept free above the high one, up to a quarter of the window; shares as in
 * DESIGN 4.4 (0.70 and 0.35 of the window).
 */
export function windowMarks(
  windowTokens: number,
  answerTokens: number,
  shares: { readonly highWater: number; readonly lowWater: number },
): WindowMarks {
  const reserved = Math.min(answerTokens, windowTokens / 4);
  const highTokens = Math.max(shares.highWater * windowTokens - reserved, 0.3 * windowTokens);
  return { highTokens, lowTokens: Math.min(shares.lowWater * windowTokens, highTokens * 0.75) };
}

/** The bytes of prompt JSON in a token where nothing has been measured. English text, code and JSON lie between 3.2 and 4.2. */
const defaultBytesPerToken = 3.6;

/** Learns from the upstream's own counts how many bytes of prompt make a token, per model. */
export class TokenGauge {
  readonly #bytesPerToken = new Map<string, number>();

  /** Bytes in a token of this model's prompts, as far as is known. */
  bytesPerToken(model: string): number {
    return this.#bytesPerToken.get(model) ?? defaultBytesPerToken;
  }

  /** Takes in what the upstream counted for a prompt of this size. Small prompts say more about templates than about text. */
  learn(model: string, sizeBytes: number, promptTokens: number): void {
    if (promptTokens < 1_000 || sizeBytes < 4_000) return;
    const measured = Math.min(8, Math.max(1, sizeBytes / promptTokens));
    const before = this.#bytesPerToken.get(model);
    // The first count is taken whole, later ones by half: a prompt changes slowly, its mix of languages too.
    this.#bytesPerToken.set(model, before === undefined ? measured : (before + measured) / 2);
  }
}

/** Size of a message as JSON, bytes. Remembered per object, since the same stubs and hidden turns go up again and again. */
export function messageBytes(message: Message): number {
  let sizeBytes = sizes.get(message);
  if (sizeBytes === undefined) {
    sizeBytes = Buffer.byteLength(JSON.stringify(message));
    sizes.set(message, sizeBytes);
  }
  return sizeBytes;
}

const sizes = new WeakMap<Message, number>();

/** Size of a request's JSON, bytes. */
export function requestBytes(request: ChatRequest): number {
  const { messages, ...envelope } = request;
  return messages.reduce(
    (total, message) => total + messageBytes(message) + 1,
    Buffer.byteLength(JSON.stringify(envelope)),
  );
}

/** What stands in the place of one of our results that had to go. The store still holds what it showed. */
export const droppedResult =
  '[rlm] This result was taken out of the conversation to save space. What it showed is still in the context store: make the call again if you need it.';

/** One of our results, shortened; every other message as it is. */
export function withoutResult(woven: WovenMessage): WovenMessage {
  const { message } = woven;
  if (
    !woven.hidden ||
    message.role !== 'tool' ||
    messageBytes(message) <= droppedResult.length + 200
  )
    return woven;
  return { ...woven, message: { ...message, content: droppedResult } };
}

/**
 * The first message that is never demoted: the newest user message, or the last turn with its results where a long turn of tool calls
 * follows it. Half a call and result pair is never left.
 */
export function protectedFrom(items: readonly HistoryItem[]): number {
  for (let index = items.length - 1; index >= 0; index -= 1) {
    const { role } = (items[index] as HistoryItem).identity;
    if (role === 'assistant' || role === 'user') return index;
  }
  return 0;
}

/** Index of the newest user message; -1 where there is none. */
export function newestUserIndex(items: readonly HistoryItem[]): number {
  return items.findLastIndex((item) => item.identity.role === 'user');
}

/** Where the group that begins at `index` ends: a turn and the results that follow it, or one other message. */
export function groupEnd(items: readonly HistoryItem[], index: number): number {
  let end = index + 1;
  if (items[index]?.identity.role === 'assistant')
    while (items[end]?.identity.role === 'tool') end += 1;
  return end;
}

/** Messages as a text to store and to search: who said what, calls with their arguments, results. */
export function transcriptOf(messages: readonly Message[]): string {
  return messages.map(transcriptPart).join('\n\n');
}

function transcriptPart(message: Message): string {
  const lines = [
    message.role === 'tool'
      ? `## result of ${message.tool_call_id ?? 'a call'}`
      : `## ${message.role}`,
  ];
  const { content } = message;
  if (typeof content === 'string') lines.push(content);
  else
    for (const part of content ?? [])
      lines.push(part.type === 'text' ? (part.text ?? '') : `[${part.type}]`);
  for (const call of message.tool_calls ?? [])
    lines.push(`call ${call.id}: ${call.function.name} ${call.function.arguments}`);
  return lines.join('\n');
}
