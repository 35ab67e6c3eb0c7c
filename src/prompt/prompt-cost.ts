import { messageBytes, requestBytes } from '../wire/message-json.ts';
import type { ChatRequest, UpstreamMessage } from '../wire/types.ts';
import { UnparsedMessage } from '../wire/unparsed-message.ts';
import { RequestMessage } from '../history/request-message.ts';
import {
  noParts,
  sizeOfMessage,
  type MessageSize,
  type SizedPart,
} from '../history/message-size.ts';

/**
 * Tokens of one image by the family that a model's name tells; published rules for a picture of a
 * screen's size. A coarse one is a fixed 85 at OpenAI.
 */
const imageTokens: readonly (readonly [family: RegExp, tokens: number, low: number])[] = [
  [/gpt|(?:^|\W)o\d/i, 1_105, 85],
  [/gemini/i, 1_120, 280],
  [/qwen/i, 2_700, 700],
];

/**
 * Of a model of no known family: Anthropic's largest picture, which is more than most others take.
 */
const otherImageTokens = 1_600;

/**
 * A page of a document takes about so many bytes and, as text and picture together, so many tokens.
 */
const pageBytes = 60_000;
const pageTokens = 2_000;
/** Documents are read up to so many pages. */
const maxPages = 100;
/** Compressed sound at 16 KB a second, 32 tokens a second. */
const audioBytesPerToken = 500;
/** A film is looked at picture by picture; nobody says how many. */
const videoTokens = 10_000;

/**
 * What a part costs, in tokens, by its kind and the model that gets it. The one place that says so.
 */
function partTokens(part: SizedPart, model: string): number {
  switch (part.kind) {
    case 'image': {
      const family = imageTokens.find(([pattern]) => pattern.test(model));
      if (family === undefined) return otherImageTokens;
      return part.isLow ? family[2] : family[1];
    }
    case 'file':
      return pageTokens * Math.min(maxPages, Math.max(1, Math.ceil(part.dataBytes / pageBytes)));
    case 'audio':
      return Math.max(100, Math.ceil(part.dataBytes / audioBytesPerToken));
    case 'video':
      return videoTokens;
    case 'dense':
      return part.dataBytes;
  }
}

const sizes = new WeakMap<object, MessageSize>();

/** The same of any message of a prompt. What was never parsed has it from when it was read. */
export function messageSize(message: UpstreamMessage): MessageSize {
  if (message instanceof RequestMessage) return message;
  if (message instanceof UnparsedMessage) return plainSize(message.sizeBytes);
  let size = sizes.get(message);
  if (size === undefined) {
    size = sizeOfMessage(message);
    sizes.set(message, size);
  }
  return size;
}

function plainSize(textBytes: number): MessageSize {
  return { textBytes, parts: noParts };
}

/** A prompt, or a part of it: its text, and what the rest of it is estimated to cost. */
export interface PromptSize {
  readonly textBytes: number;
  readonly partTokens: number;
}

/** Of a whole request, tools and all. */
export function promptSize(request: ChatRequest, model: string): PromptSize {
  let textBytes = requestBytes(request);
  let tokens = 0;
  for (const message of request.messages) {
    const size = messageSize(message);
    textBytes += size.textBytes - messageBytes(message);
    for (const part of size.parts) tokens += partTokens(part, model);
  }
  return { textBytes, partTokens: tokens };
}

/**
 * Weighs messages in bytes of text that would cost as much: what the guard, the decision about
 * stubs and the statistics count in.
 */
export interface Scales {
  readonly bytesPerToken: number;
  readonly weigh: (message: UpstreamMessage) => number;
  /** The whole request. */
  readonly weighRequest: (request: ChatRequest) => number;
}

/**
 * The scales for a model. `partScale` corrects what parts are estimated to cost, as far as counts
 * have shown.
 */
export function scalesFor(
  model: string,
  { bytesPerToken, partScale }: { readonly bytesPerToken: number; readonly partScale: number },
): Scales {
  const weigh = (message: UpstreamMessage): number => {
    const { textBytes, parts } = messageSize(message);
    let tokens = 0;
    for (const part of parts)
      tokens += partTokens(part, model) * (part.kind === 'dense' ? 1 : partScale);
    return textBytes + tokens * bytesPerToken;
  };
  return {
    bytesPerToken,
    weigh,
    weighRequest: (request) =>
      request.messages.reduce(
        (total, message) => total + weigh(message) - messageBytes(message),
        requestBytes(request),
      ),
  };
}
