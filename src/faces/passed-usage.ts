import { findStringEnd, jsonPieceBytes, loadJsonPiece } from '../kernels/json-strings.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { SseDecoder } from '../wire/sse.ts';
import type { Usage } from '../wire/types.ts';
import { readUsage } from '../wire/usage.ts';

/** Looks at an answer while it is passed on, for what its provider has counted. */
export interface UsageWatch {
  /** Looks at the next bytes and keeps none of them. */
  add(piece: Buffer): void;
  /** After the last piece: what was counted; undefined where the answer does not say. */
  end(): Usage | undefined;
}

/** A watch for an answer of this type, of which nothing is held; absent for sound and pictures. */
export function usageWatchFor(contentType: string): UsageWatch | undefined {
  if (/^text\/event-stream\b/i.test(contentType)) return new EventWatch();
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(contentType) ? new JsonWatch() : undefined;
}

/**
 * Counts as the APIs behind these paths spell them: completions and embeddings as chat completions
 * do, sound and pictures as Responses do, rerankers with one sum.
 */
function countedIn(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const { input_tokens: input, output_tokens: output, total_tokens: total } = value;
  return readUsage({
    ...value,
    prompt_tokens: value['prompt_tokens'] ?? input ?? total,
    completion_tokens: value['completion_tokens'] ?? output,
  });
}

/** Of a stream the last event with a count has them all. */
class EventWatch implements UsageWatch {
  /** Absent once an event was too large to be looked at. */
  #decoder: SseDecoder | undefined = new SseDecoder();
  #usage: Usage | undefined;

  add(piece: Buffer): void {
    this.#look((decoder) => decoder.push(piece));
  }

  end(): Usage | undefined {
    this.#look((decoder) => decoder.end());
    return this.#usage;
  }

  #look(events: (decoder: SseDecoder) => readonly { readonly data: string }[]): void {
    if (this.#decoder === undefined) return;
    try {
      for (const { data } of events(this.#decoder)) {
        if (!data.includes('"usage"')) continue;
        const event = parseJson(data);
        this.#usage = countedIn(isObject(event) ? event['usage'] : undefined) ?? this.#usage;
      }
    } catch {
      // The client gets it all the same.
      this.#decoder = undefined;
    }
  }
}

const quote = 0x22;
const colon = 0x3a;
const comma = 0x2c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Of a longer name no more is looked at, bytes. */
const maxNameBytes = 16;

/** A longer `usage` is none, bytes. */
const maxUsageBytes = 65_536;

/**
 * Finds `usage` of an answer of any size by its braces and strings: pictures and vectors come in
 * megabytes, and neither is held nor parsed.
 */
class JsonWatch implements UsageWatch {
  #depth = 0;
  #inString = false;
  /** The piece before ended in an unfinished escape. */
  #isEscaped = false;
  /** The last string at the top, as far as it can be a name that is looked for. */
  #text = '';
  /** Whether the member that stands at the top just now is the one. */
  #isUsage = false;
  #held: Buffer[] = [];
  #heldBytes = 0;

  add(piece: Buffer): void {
    for (let from = 0; from < piece.length; from += jsonPieceBytes)
      this.#addPart(piece.subarray(from, from + jsonPieceBytes));
  }

  end(): Usage | undefined {
    return countedIn(parseJson(Buffer.concat(this.#held).toString()));
  }

  #addPart(part: Buffer): void {
    loadJsonPiece(part);
    // Where the member's value begins in this part.
    let from = 0;
    for (let at = 0; at < part.length; at += 1) {
      if (this.#inString) {
        at = this.#endOfString(part, at);
        continue;
      }
      switch (part[at] as number) {
        case quote:
          this.#inString = true;
          this.#text = '';
          break;
        case colon:
          if (this.#depth !== 1 || this.#text !== 'usage') break;
          this.#isUsage = true;
          this.#held = [];
          this.#heldBytes = 0;
          from = at + 1;
          break;
        case openBrace:
        case openBracket:
          this.#depth += 1;
          break;
        case closeBrace:
        case closeBracket:
          this.#depth -= 1;
          if (this.#depth === 0) this.#endMember(part.subarray(from, at));
          break;
        case comma:
          if (this.#depth === 1) this.#endMember(part.subarray(from, at));
          break;
        default:
      }
    }
    if (this.#isUsage) this.#hold(part.subarray(from));
  }

  /** @returns The index of the closing quote, or the part's length */
  #endOfString(part: Buffer, at: number): number {
    const start = this.#isEscaped ? at + 1 : at;
    const { index, isCut } = findStringEnd(start, part.length);
    this.#isEscaped = isCut;
    if (this.#depth === 1 && this.#text.length < maxNameBytes)
      this.#text += part.toString('latin1', at, Math.min(index, at + maxNameBytes));
    if (index < part.length) this.#inString = false;
    return index;
  }

  #endMember(rest: Buffer): void {
    if (this.#isUsage) this.#hold(rest);
    this.#isUsage = false;
  }

  /** A copy: what it lies in goes on to the client. */
  #hold(bytes: Buffer): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= maxUsageBytes) this.#held.push(Buffer.from(bytes));
  }
}
