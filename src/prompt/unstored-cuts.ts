import { hash } from 'node:crypto';
import type { Message, UpstreamMessage } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import { cutTexts, cutUnstoredText, type Cut, type Cuttable } from './cut-text.ts';
import { RequestMessage } from '../history/request-message.ts';
import { LruMap } from '../base/lru-map.ts';
import { withTexts } from '../history/message-texts.ts';
import type { Scales } from './prompt-cost.ts';
import type { Room } from './fit-window.ts';

/** Cuts that are remembered, of all chats together: some hundred bytes each. */
const maxKeptCuts = 10_000;

/** A message that weighs less has no text that could be cut, bytes. */
const minMessageBytes = 2_000;

/** With less room than this for all texts that are new, the earlier ones make way, bytes. */
const minFreeBytes = 3_000;

/** An estimate of what is cut away may be wrong; so often it is corrected. */
const maxRounds = 4;

/** The messages of a prompt that fits as far as cutting goes. */
export interface CutList {
  readonly messages: readonly UpstreamMessage[];
  /** Messages of which only the ends stand. */
  readonly count: number;
}

/**
 * Keeps a chat inside the window while nothing can be stored: of the longest texts only the two
 * ends stand. What was cut once is remembered for as long as the process lives and cut in the same
 * way in later requests of the chat, so that they begin with the same bytes.
 */
export class UnstoredCuts {
  readonly #kept = new LruMap<string, Cut>(maxKeptCuts);

  /**
   * Cuts only if the list is above the high mark: down to halfway between the marks, or so that the
   * texts keep half of what is free, and the next turns, which add to it, need not cut again. New
   * results go first, then a new message of the user; if that is not enough, all texts.
   */
  fit(
    messages: readonly UpstreamMessage[],
    {
      chatId,
      room,
      weigh,
    }: { readonly chatId: string; readonly room: Room } & Pick<Scales, 'weigh'>,
  ): CutList {
    const sizeOf = (list: readonly UpstreamMessage[]): number =>
      list.reduce((total, message) => total + weigh(message) + 1, 0);
    const texts = messages.flatMap((message, index) => cuttablesOf(message, index, weigh));
    const keys = new Map<number, string>();
    for (const { index } of texts) keys.set(index, keyOf(chatId, messages[index]!));
    const cuts = new Map<number, Cut>();
    for (const [index, key] of keys) {
      const cut = this.#kept.get(key);
      if (cut !== undefined) cuts.set(index, cut);
    }
    let laid = layOut(messages, cuts);
    const newest = messages.findLastIndex(({ role }) => role === 'user');
    const answered = messages.findLastIndex(({ role }) => role === 'assistant');
    const fresh = texts.filter(({ index }) => index > answered && !cuts.has(index));
    const passes = [
      { chosen: fresh.filter(({ index }) => index !== newest), from: laid },
      { chosen: fresh, from: laid },
      { chosen: texts, from: messages },
    ];
    for (const { chosen, from } of passes) {
      const fromBytes = sizeOf(from);
      const freeBytes =
        room.highBytes - chosen.reduce((rest, { sizeBytes }) => rest - sizeBytes, fromBytes);
      // What the model has seen changes only where the others would be left with nothing.
      if (chosen !== texts && freeBytes < minFreeBytes) continue;
      const targetBytes = Math.max(
        (room.highBytes + room.lowBytes) / 2,
        room.highBytes - freeBytes / 2,
      );
      let wantedBytes = fromBytes - targetBytes;
      for (let round = 0; round < maxRounds && sizeOf(laid) > room.highBytes; round += 1) {
        for (const [index, cut] of cutTexts(chosen, wantedBytes)) cuts.set(index, cut);
        laid = layOut(messages, cuts);
        wantedBytes += Math.max(0, sizeOf(laid) - targetBytes);
      }
    }
    for (const [index, cut] of cuts) this.#kept.set(keys.get(index)!, cut);
    return { messages: laid, count: cuts.size };
  }
}

function layOut(
  messages: readonly UpstreamMessage[],
  cuts: ReadonlyMap<number, Cut>,
): readonly UpstreamMessage[] {
  const laid = [...messages];
  for (const [index, cut] of cuts) {
    const message = parsed(laid[index]!);
    const texts = new Map(
      cut.map(([part, head, tail]) => [part, cutUnstoredText(textOf(message, part), head, tail)]),
    );
    laid[index] = withTexts(message, texts);
  }
  return laid;
}

/** The client's texts in a message; none in those that a model wrote, and none in rules. */
function cuttablesOf(
  message: UpstreamMessage,
  index: number,
  weigh: Scales['weigh'],
): readonly Cuttable[] {
  const { role } = message;
  const messageBytes = weigh(message);
  if ((role !== 'tool' && role !== 'user') || messageBytes < minMessageBytes) return [];
  const { content } = parsed(message);
  const texts: [part: number, length: number][] = [];
  if (typeof content === 'string') texts.push([-1, content.length]);
  else
    for (const [part, { type, text }] of (content ?? []).entries())
      if (type === 'text' && typeof text === 'string') texts.push([part, text.length]);
  const allLength = texts.reduce((total, [, length]) => total + length, 0);
  return texts
    .filter(([, length]) => length > 0)
    .map(([part, length]) => ({
      index,
      part,
      lengthChars: length,
      sizeBytes: (messageBytes * length) / allLength,
    }));
}

function textOf({ content }: Message, part: number): string {
  if (typeof content === 'string') return content;
  const text = content?.[part]?.text;
  return typeof text === 'string' ? text : '';
}

function keyOf(chatId: string, message: UpstreamMessage): string {
  const own =
    message instanceof RequestMessage
      ? message.hash
      : hash('sha256', JSON.stringify(parsed(message)), 'base64url');
  return `${chatId} ${own}`;
}
