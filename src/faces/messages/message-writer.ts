import type { JsonObject } from '../../wire/json.ts';
import type { Chunk, FinishReason, ToolCallDelta, Usage } from '../../wire/types.ts';
import type { AnswerWriter } from '../answer-form.ts';
import { CarriedParts } from '../carried-state.ts';
import { beginsObject, inputOf, isRespelled, isWholeInput } from './tool-input.ts';

/** What an answer is written with. */
export interface MessageWriterOptions {
  /** The message object's `id`. */
  readonly id: string;
  /** The model as the client named it. */
  readonly model: string;
  /** The client's name of a tool, by the name under which the model calls it. */
  readonly nameOf: (upstreamName: string) => string;
  /**
   * Whether the client has asked for thinking. Others do not expect it: many read the text out of
   * the first block.
   */
  readonly showsThinking: boolean;
  /** The sequences at which the answer was to end. */
  readonly stopSequences: readonly string[];
}

/** A block of the answer, and what of it has not been written yet. */
interface Block {
  readonly type: 'text' | 'thinking' | 'tool_use';
  /** Of a call. */
  readonly call?: { readonly id: string; readonly name: string };
  text: string;
  unsent: string;
  isOpen: boolean;
  isClosed: boolean;
  /** Of a call whose first letter has come: whether that begins an object. */
  isObject?: boolean;
  /** Length of the text of a call when it was last found not to be whole. */
  partialLength?: number;
  /** Of thinking that is over: what the provider wants back. */
  signature?: string;
}

/**
 * One answer as the events of the Messages API: a block is opened, filled and closed before the
 * next one begins. What comes for a later block meanwhile waits for its turn. The same blocks make
 * up the message of a whole answer.
 */
export class MessageWriter implements AnswerWriter {
  readonly #options: MessageWriterOptions;
  readonly #blocks: Block[] = [];
  /** Index of the block that is being written. */
  #head = 0;
  #isStarted = false;
  readonly #calls = new Map<number, Block>();
  /** What signatures carry. */
  readonly #carried = new CarriedParts();
  #finish: FinishReason | undefined;
  /** A stop sequence that the provider has named. */
  #matched: string | undefined;
  #usage: Usage | undefined;

  constructor(options: MessageWriterOptions) {
    this.#options = options;
  }

  add(chunks: readonly Chunk[]): string {
    let events = this.#start();
    for (const chunk of chunks) events += this.#addOne(chunk);
    return events;
  }

  end(): string {
    let events = this.#start();
    while (this.#head < this.#blocks.length) events += this.#closeHead();
    if (this.#carried.hasNews && this.#options.showsThinking)
      events += this.#begin('thinking') + this.#closeHead();
    return (
      events +
      event('message_delta', { delta: this.#stop(), usage: usageOf(this.#usage) }) +
      event('message_stop', {})
    );
  }

  response(): JsonObject {
    return {
      ...this.#message(),
      content: this.#blocks.map(contentOf),
      ...this.#stop(),
      usage: usageOf(this.#usage),
    };
  }

  #message(): JsonObject {
    const { id, model } = this.#options;
    return { id, type: 'message', role: 'assistant', model };
  }

  #start(): string {
    if (this.#isStarted) return '';
    this.#isStarted = true;
    // What the prompt came to is not known before the end, and counts from there.
    const message = {
      ...this.#message(),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usageOf(undefined),
    };
    return event('message_start', { message });
  }

  #addOne(chunk: Chunk): string {
    const { content, reasoning, refusal, toolCalls } = chunk;
    let events = '';
    this.#carried.add(chunk);
    if (reasoning !== undefined && reasoning !== '' && this.#options.showsThinking)
      events += this.#say('thinking', reasoning);
    if (content !== undefined && content !== '') events += this.#say('text', content);
    if (refusal !== undefined && refusal !== '') events += this.#say('text', refusal);
    if (toolCalls !== undefined) for (const delta of toolCalls) events += this.#call(delta);
    if (chunk.choice !== undefined) this.#noteMatch(chunk.choice);
    if (chunk.finishReason !== undefined) this.#finish = chunk.finishReason;
    if (chunk.usage !== undefined) this.#usage = chunk.usage;
    return events;
  }

  /** vLLM and SGLang say which sequence it was; others do not. */
  #noteMatch(choice: JsonObject): void {
    const { stop_reason: reason, matched_stop: matched } = choice;
    this.#matched =
      this.#options.stopSequences.find((each) => each === reason || each === matched) ??
      this.#matched;
  }

  #say(type: 'text' | 'thinking', text: string): string {
    const last = this.#blocks.at(-1);
    const events = last?.type === type && !last.isClosed ? '' : this.#begin(type);
    return events + this.#append(this.#blocks.at(-1)!, text);
  }

  #call(delta: ToolCallDelta): string {
    let block = this.#calls.get(delta.index);
    let events = '';
    if (block === undefined) {
      const { id, name, extra } = delta;
      // A call's first piece has both (wire/types.ts).
      if (id === undefined || name === undefined) return '';
      // What the provider wants back with a call goes in front of it: a client runs the call as
      // soon as its block is closed, and nothing follows that must not be lost.
      if (extra !== undefined && this.#blocks.at(-1)?.type !== 'thinking')
        events += this.#begin('thinking');
      events += this.#begin('tool_use', { id, name: this.#options.nameOf(name) });
      block = this.#blocks.at(-1)!;
      this.#calls.set(delta.index, block);
    }
    // Behind what was whole nothing can come but white space.
    return block.isClosed ? events : events + this.#append(block, delta.arguments);
  }

  /** A new block behind all others; closes those before it that are whole. */
  #begin(type: Block['type'], call?: Block['call']): string {
    const block = { type, text: '', unsent: '', isOpen: false, isClosed: false };
    this.#blocks.push(call === undefined ? block : { ...block, call });
    return this.#goOn();
  }

  #append(block: Block, text: string): string {
    block.text += text;
    block.unsent += text;
    if (block === this.#blocks[this.#head]) return this.#flush(block);
    // A call that waits for its turn shows that another one may be over.
    return this.#goOn();
  }

  /** Closes blocks as far as they are whole, and opens the one that is to be written now. */
  #goOn(): string {
    let events = '';
    for (;;) {
      const block = this.#blocks[this.#head]!;
      const isLast = this.#head === this.#blocks.length - 1;
      if (isLast || !isWhole(block)) return events + this.#flush(block);
      events += this.#closeHead();
    }
  }

  /** Writes what of a block has come. */
  #flush(block: Block): string {
    const opened = this.#open(block);
    const { unsent } = block;
    // What is no object is made one when all of it has come.
    if (unsent === '' || (block.type === 'tool_use' && !isObjectInput(block))) return opened;
    block.unsent = '';
    return opened + this.#delta(block.type, unsent);
  }

  #open(block: Block): string {
    if (block.isOpen) return '';
    block.isOpen = true;
    return event('content_block_start', { index: this.#head, content_block: emptyBlock(block) });
  }

  #closeHead(): string {
    const block = this.#blocks[this.#head]!;
    let events = this.#flush(block);
    if (block.type === 'tool_use' && (block.unsent !== '' || block.text === ''))
      events += this.#delta('tool_use', JSON.stringify(inputOf(block.text)));
    if (block.call !== undefined && isRespelled(block.text))
      this.#carried.keepArguments(block.call.id, block.text);
    if (block.type === 'thinking') {
      block.signature = this.#carried.write();
      events += event('content_block_delta', {
        index: this.#head,
        delta: { type: 'signature_delta', signature: block.signature },
      });
    }
    block.unsent = '';
    block.isClosed = true;
    events += event('content_block_stop', { index: this.#head });
    this.#head += 1;
    return events;
  }

  #delta(type: Block['type'], text: string): string {
    return `event: content_block_delta\ndata: {"type":"content_block_delta","index":${this.#head},"delta":{${deltaLeads[type]}${JSON.stringify(text)}}}\n\n`;
  }

  #stop(): JsonObject {
    const reason = this.#reason();
    return {
      stop_reason: reason,
      stop_sequence: reason === 'stop_sequence' ? this.#matched : null,
    };
  }

  #reason(): string {
    if (this.#finish === 'length') return 'max_tokens';
    if (this.#finish === 'content_filter') return 'refusal';
    if (this.#calls.size > 0) return 'tool_use';
    return this.#matched === undefined ? 'end_turn' : 'stop_sequence';
  }
}

const deltaLeads: Readonly<Record<Block['type'], string>> = {
  text: '"type":"text_delta","text":',
  thinking: '"type":"thinking_delta","thinking":',
  tool_use: '"type":"input_json_delta","partial_json":',
};

/** Whether nothing can come for a block once another one has begun. */
function isWhole(block: Block): boolean {
  const { type, text, partialLength } = block;
  if (type !== 'tool_use') return true;
  if (text.length === partialLength) return false;
  if (isWholeInput(text)) return true;
  block.partialLength = text.length;
  return false;
}

/** Asked for each piece of a call: its text is looked at once. */
function isObjectInput(block: Block): boolean {
  if (block.isObject === undefined && block.text.trim() !== '')
    block.isObject = beginsObject(block.text);
  return block.isObject === true;
}

/** One event. @param members Those beside its `type` */
export function event(type: string, members: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
}

/** A block as it is opened. */
function emptyBlock({ type, call }: Block): JsonObject {
  if (type === 'text') return { type, text: '' };
  return type === 'thinking' ? { type, thinking: '', signature: '' } : { type, ...call, input: {} };
}

/** A block as it stands in a whole answer. */
function contentOf({ type, call, text, signature = '' }: Block): JsonObject {
  if (type === 'text') return { type, text };
  if (type === 'thinking') return { type, thinking: text, signature };
  return { type, ...call, input: inputOf(text) };
}

/**
 * Token counts by this protocol's names, in which a prompt is the sum of three; what is ours beside
 * them stays.
 */
function usageOf(usage: Usage | undefined): JsonObject {
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
  const rlm = usage?.['rlm'];
  return {
    input_tokens: Math.max(0, (usage?.prompt_tokens ?? 0) - cached),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: usage?.completion_tokens ?? 0,
    ...(rlm === undefined ? {} : { rlm }),
  };
}
