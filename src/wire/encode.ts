import type { Chunk, FoldedTurn, ToolCallDelta, Usage } from './types.ts';

/** What all chunks of one answer have in common, over all hidden steps. */
export interface CompletionHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** The name the client asked for. */
  readonly model: string;
}

/** What the client wants of its stream. */
export interface StreamEncoding {
  /** `stream_options.include_usage`. */
  readonly includeUsage: boolean;
  /** Index of the answer, where several were asked for. Default: 0. */
  readonly choiceIndex?: number;
}

/**
 * One streamed answer as the strictest client wants it: the role first, one id, calls numbered 0,
 * 1, 2 over all steps, one finish reason with nothing behind it but the usage, `[DONE]` last.
 */
export class StreamEncoder {
  readonly #encoding: StreamEncoding;
  /** Everything up to the delta, and everything after it while nothing is finished. */
  #before: string;
  readonly #after = ',"logprobs":null,"finish_reason":null}]}\n\n';
  readonly #head: Readonly<Record<string, unknown>>;
  /** Simple members of the upstream's frames. */
  readonly #sticky = new Map<string, unknown>();
  #headJson: string;
  /** JSON of the upstream's other members that have gone out, by name. */
  readonly #sent = new Map<string, string>();
  #isOpen = false;
  #isFinished = false;
  #usage: Usage | undefined;
  #callCount = 0;
  /** The client's index of each call of the present step. */
  readonly #callIndexes = new Map<number, number>();

  constructor(head: CompletionHead, encoding: StreamEncoding) {
    this.#encoding = encoding;
    const { id, created, model } = head;
    this.#head = { id, object: 'chat.completion.chunk', created, model };
    this.#headJson = JSON.stringify(this.#head).slice(0, -1);
    this.#before = this.#beforeDelta();
  }

  #beforeDelta(): string {
    return `data: ${this.#headJson},"choices":[{"index":${this.#encoding.choiceIndex ?? 0},"delta":`;
  }

  /** Whether the finish reason has gone out. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** The frames for these chunks, ready to write; empty when they hold nothing for a client. */
  encode(chunks: readonly Chunk[]): string {
    let frames = '';
    for (const chunk of chunks) frames += this.#encodeOne(chunk);
    return frames;
  }

  /** The usage if it is wanted, and the end mark. To be called once, after the finish reason. */
  done(): string {
    if (!this.#isFinished) throw new Error('A stream was ended without a finish reason.');
    return `${this.#usageFrame()}data: [DONE]\n\n`;
  }

  #encodeOne(chunk: Chunk): string {
    if (chunk.usage !== undefined) this.#usage = chunk.usage;
    if (this.#isFinished) return '';
    const frameMembers = chunk.frame === undefined ? '' : this.#frameMembers(chunk.frame);
    const choiceMembers =
      chunk.choice === undefined ? '' : this.#newMembers('choice', chunk.choice);
    const opening = this.#open();
    const delta = this.#deltaJson(chunk);
    const frame = delta === '{}' ? '' : this.#before + delta + this.#afterDelta(chunk);
    const hasOthers = frameMembers !== '' || choiceMembers !== '';
    if (chunk.finishReason === undefined && !hasOthers) return opening + frame;
    const rest = `${choiceMembers}}]${frameMembers}}\n\n`;
    if (chunk.finishReason === undefined) {
      const logprobs = JSON.stringify(chunk.logprobs ?? null);
      return `${opening}${this.#before}${delta},"logprobs":${logprobs},"finish_reason":null${rest}`;
    }
    this.#isFinished = true;
    const reason = JSON.stringify(chunk.finishReason);
    return `${opening}${frame}${this.#before}{},"logprobs":null,"finish_reason":${reason}${rest}`;
  }

  /**
   * The JSON of members of the frame that are not simple; simple ones stand in every frame from now
   * on.
   */
  #frameMembers(members: Readonly<Record<string, unknown>>): string {
    const others: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(members)) {
      if (typeof value === 'object') others[name] = value;
      else if (this.#isNew(`frame ${name}`, value)) this.#sticky.set(name, value);
      else continue;
    }
    const sticky = Object.fromEntries(this.#sticky);
    this.#headJson = JSON.stringify({ ...this.#head, ...sticky }).slice(0, -1);
    this.#before = this.#beforeDelta();
    return this.#newMembers('frame', others);
  }

  #newMembers(of: 'choice' | 'frame', members: Readonly<Record<string, unknown>>): string {
    let json = '';
    for (const [name, value] of Object.entries(members)) {
      if (this.#isNew(`${of} ${name}`, value)) {
        json += `,${JSON.stringify(name)}:${this.#sent.get(`${of} ${name}`) ?? ''}`;
      }
    }
    return json;
  }

  #isNew(key: string, value: unknown): boolean {
    const json = JSON.stringify(value);
    if (this.#sent.get(key) === json) return false;
    this.#sent.set(key, json);
    return true;
  }

  #open(): string {
    if (this.#isOpen) return '';
    this.#isOpen = true;
    return `${this.#before}{"role":"assistant","content":""}${this.#after}`;
  }

  #afterDelta(chunk: Chunk): string {
    if (chunk.logprobs === undefined) return this.#after;
    return `,"logprobs":${JSON.stringify(chunk.logprobs)},"finish_reason":null}]}\n\n`;
  }

  #deltaJson(chunk: Chunk): string {
    if (isPlain(chunk)) {
      const { content, reasoning } = chunk;
      if (content !== undefined && !reasoning) return `{"content":${JSON.stringify(content)}}`;
      if (reasoning && content === undefined) {
        return `{"${reasoningMember(chunk)}":${JSON.stringify(reasoning)}}`;
      }
    }
    return JSON.stringify({
      ...(chunk.reasoning ? { [reasoningMember(chunk)]: chunk.reasoning } : {}),
      ...(chunk.reasoningDetails === undefined
        ? {}
        : { reasoning_details: chunk.reasoningDetails }),
      ...(chunk.content === undefined ? {} : { content: chunk.content }),
      ...(chunk.refusal === undefined ? {} : { refusal: chunk.refusal }),
      ...(chunk.toolCalls === undefined ? {} : { tool_calls: this.#callDeltas(chunk.toolCalls) }),
      ...chunk.extra,
      // A delta of nothing but log probabilities still has to be a frame.
      ...(chunk.logprobs === undefined || chunk.content !== undefined ? {} : { content: '' }),
    });
  }

  #callDeltas(deltas: readonly ToolCallDelta[]): unknown[] {
    return deltas.map((delta) => {
      if (delta.id !== undefined) {
        this.#callIndexes.set(delta.index, this.#callCount);
        this.#callCount += 1;
      }
      return callDelta(delta, this.#callIndexes.get(delta.index) ?? delta.index);
    });
  }

  #usageFrame(): string {
    if (!this.#encoding.includeUsage || this.#usage === undefined) return '';
    return `data: ${this.#headJson},"choices":[],"usage":${JSON.stringify(this.#usage)}}\n\n`;
  }
}

/**
 * The same answer for a client that asked for no stream; with the others behind it, where several
 * were asked for.
 */
export function encodeCompletion(
  head: CompletionHead,
  turn: FoldedTurn,
  others: readonly FoldedTurn[] = [],
): string {
  const choices = [turn, ...others].map((each, index) => choiceOf(each, index));
  return JSON.stringify({
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    choices,
    ...(turn.usage === undefined ? {} : { usage: turn.usage }),
    ...turn.frame,
  });
}

function choiceOf({ message, logprobs, finishReason, choice }: FoldedTurn, index: number): object {
  return {
    index,
    message: { ...message, content: message.content ?? null, refusal: message['refusal'] ?? null },
    logprobs: logprobs ?? null,
    finish_reason: finishReason,
    ...choice,
  };
}

function isPlain(chunk: Chunk): boolean {
  return (
    chunk.toolCalls === undefined &&
    chunk.reasoningDetails === undefined &&
    chunk.refusal === undefined &&
    chunk.extra === undefined &&
    chunk.logprobs === undefined
  );
}

/** Clients read one of these two names. */
function reasoningMember(chunk: Chunk): string {
  return chunk.reasoningField === 'reasoning' ? 'reasoning' : 'reasoning_content';
}

function callDelta(delta: ToolCallDelta, index: number): unknown {
  const isFirst = delta.id !== undefined;
  const kind = delta.type ?? 'function';
  const name = delta.name === undefined ? {} : { name: delta.name };
  return {
    index,
    ...(isFirst ? { id: delta.id, type: kind } : {}),
    [kind]:
      kind === 'custom'
        ? { ...name, input: delta.arguments }
        : { ...name, arguments: delta.arguments },
    ...delta.extra,
  };
}
