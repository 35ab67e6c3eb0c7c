import { ProxyError } from '../errors.ts';
import { findFault, readFault, type UpstreamFault } from './error-body.ts';
import { readFinishReason } from './finish.ts';
import { splitGlued } from './glued-frames.ts';
import { checkDepth } from './json-depth.ts';
import { isObject, nonEmptyText, parseJson, type JsonObject } from './json.ts';
import type { SseEvent } from './sse.ts';
import { ToolCallTracker } from './tool-call-tracker.ts';
import type { Chunk, FinishReason, ToolCallDelta, Usage } from './types.ts';
import { readUsage } from './usage.ts';

/** What a {@link ChunkReader} must be told. */
export interface ChunkReaderOptions {
  /** Makes an id for a tool call that the upstream gave none. */
  readonly makeId: () => string;
  /** Names a failure that the upstream reports inside the stream. */
  readonly toError: (fault: UpstreamFault) => ProxyError;
  /**
   * The request used the old `functions`: `function_call` is passed on as it is instead of becoming
   * a tool call.
   */
  readonly legacyFunctions?: boolean;
  /**
   * The model's window, tokens: an empty answer to a larger prompt is an overflow (GLM, LM Studio).
   */
  readonly contextWindowTokens?: number | undefined;
}

/** What the last event of a stream says. */
const doneMark = '[DONE]';

const reasoningFields = ['reasoning_content', 'reasoning', 'reasoning_text'] as const;

/** Members of a delta that a {@link Chunk} has a place for, and MiniMax's `name` of the speaker. */
const knownMembers: ReadonlySet<string> = new Set([
  ...reasoningFields,
  'role',
  'name',
  'content',
  'tool_calls',
  'function_call',
  'refusal',
  'reasoning_details',
]);

/**
 * Members of a frame that are read, or ours to give; and the padding with which OpenAI hides the
 * length of what it says.
 */
const knownFrameMembers: ReadonlySet<string> = new Set([
  'id',
  'object',
  'created',
  'model',
  'choices',
  'usage',
  'error',
  'base_resp',
  'obfuscation',
]);

const knownChoiceMembers: ReadonlySet<string> = new Set([
  'index',
  'delta',
  'message',
  'finish_reason',
  'logprobs',
  'usage',
  'error',
]);

/**
 * Turns one completion's events into clean {@link Chunk}s, or throws what the upstream reports as a
 * failure. The finish reason and the usage are held back until {@link end}: providers send text,
 * calls and second finish reasons after the first.
 */
export class ChunkReader {
  readonly #options: ChunkReaderOptions;
  /** Made when the first call comes. */
  #calls: ToolCallTracker | undefined;
  /** Calls have come as `tool_calls`. */
  #usesToolCalls = false;
  #hasText = false;
  #hasReasoning = false;
  #finish: FinishReason | undefined;
  #usage: Usage | undefined;
  /** The member of an empty reasoning, which some providers want back even so. */
  #emptyReasoningField: string | undefined;
  #isDone = false;
  #id: string | undefined;
  #endMembers: Record<string, unknown> | undefined;
  /** What stands around the text in the last frame that brought nothing else. */
  #around: { readonly head: string; readonly tail: string } | undefined;
  readonly #frameMembers = new OtherMembers(knownFrameMembers);
  readonly #choiceMembers = new OtherMembers(knownChoiceMembers);

  constructor(options: ChunkReaderOptions) {
    this.#options = options;
  }

  /** Whether there is a call with a name. */
  get #hasCall(): boolean {
    return this.#calls?.hasNamed === true;
  }

  /** Whether the upstream has said that nothing more comes. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** The upstream's own name for the answer, once it is known. */
  get id(): string | undefined {
    return this.#id;
  }

  /** Whether a finish reason is in: what may still come is the usage. */
  get isFinished(): boolean {
    return this.#finish !== undefined;
  }

  /**
   * Appends what the event brought to `chunks`. @throws ProxyError for a reported failure, or an
   * event that is not JSON
   */
  read(event: SseEvent, chunks: Chunk[]): void {
    if (this.#isDone) return;
    // Not left to the parser, whose refusal is dear.
    if (event.data === doneMark && event.name !== 'error') {
      this.#isDone = true;
      return;
    }
    const text = event.name === '' ? this.#textIn(event.data) : undefined;
    if (text !== undefined) {
      this.#hasText = true;
      chunks.push({ content: text });
      return;
    }
    const value = parseJson(event.data);
    checkDepth(value, event.data.length);
    const before = { count: chunks.length, hasText: this.#hasText };
    this.#around = undefined;
    if (event.name === 'error') throw this.#options.toError(readFault(event.data));
    if (value !== undefined) {
      this.readValue(value, chunks);
      // A first text may have come in a message, which counts only once.
      if (before.hasText && chunks.length === before.count + 1)
        this.#note(event.data, chunks[before.count]!);
    } else for (const part of splitGlued(event.data)) this.#readPart(part, chunks);
  }

  /**
   * The text of a frame that differs from the one noted in nothing else: most frames of an answer
   * do, and to parse them takes most of the time that a chunk takes.
   */
  #textIn(data: string): string | undefined {
    if (this.#around === undefined) return undefined;
    const { head, tail } = this.#around;
    if (data.length <= head.length + tail.length) return undefined;
    if (!data.startsWith(head) || !data.endsWith(tail)) return undefined;
    const text = data.slice(head.length, data.length - tail.length);
    return plainText.test(text) ? text : undefined;
  }

  /** Notes what stands around the text of a frame that brought a text and nothing else. */
  #note(data: string, chunk: Chunk): void {
    const { content } = chunk;
    if (content === undefined || !plainText.test(content)) return;
    for (const member in chunk) if (member !== 'content') return;
    for (const name of ['"content":"', '"content": "']) {
      const at = data.indexOf(`${name}${content}"`);
      if (at === -1) continue;
      const from = at + name.length;
      const to = from + content.length;
      // Another member of that name would make it unclear which of them was read.
      if (data.includes('"content"', to) || data.lastIndexOf('"content"', at - 1) >= 0) return;
      this.#around = { head: data.slice(0, from), tail: data.slice(to) };
    }
  }

  /**
   * The same for a value that is parsed already: a frame's, or a whole completion that came instead
   * of a stream.
   */
  readValue(value: unknown, chunks: Chunk[]): void {
    if (!isObject(value)) {
      const fault = findFault(value);
      if (fault !== undefined) throw this.#options.toError(fault);
      return;
    }
    const { choices } = value;
    const choice = Array.isArray(choices) ? firstChoice(choices) : undefined;
    if (mayBeFault(value, choice)) {
      const fault = findFault(value);
      if (fault !== undefined) throw this.#options.toError(fault);
    }
    this.#usage = readUsage(value['usage'] ?? choice?.['usage'] ?? groqUsage(value)) ?? this.#usage;
    this.#id ??= nonEmptyText(value['id']);
    const frame = this.#frameMembers.take(value);
    const chunk = choice === undefined ? undefined : this.#readChoice(choice);
    if (frame !== undefined) chunks.push({ ...chunk, frame });
    else if (chunk !== undefined) chunks.push(chunk);
    if (choice !== undefined) this.#readFinish(choice['finish_reason']);
  }

  /** Appends what {@link end} gives. @throws ProxyError as it does */
  finish(chunks: Chunk[]): void {
    chunks.push(this.end());
  }

  /**
   * The last chunk, with the finish reason. @throws ProxyError `upstream_cut` when the upstream
   * never gave one
   */
  end(): Chunk {
    if (this.#finish === undefined) {
      throw new ProxyError(
        'upstream_cut',
        'The upstream ended its answer without a finish reason.',
      );
    }
    if (this.#calls !== undefined && this.#calls.unnamed > 0) {
      throw new ProxyError('upstream_failed', 'The upstream sent a tool call without a name.');
    }
    this.#checkOverflow();
    const calls = this.#calls?.end() ?? [];
    return {
      ...(calls.length === 0 ? {} : { toolCalls: calls }),
      ...(this.#endMembers === undefined ? {} : { choice: this.#endMembers }),
      ...(this.#emptyReasoningField === undefined || this.#hasReasoning
        ? {}
        : { reasoning: '', reasoningField: this.#emptyReasoningField }),
      finishReason: this.#finalReason(this.#finish),
      ...(this.#usage === undefined ? {} : { usage: this.#usage }),
    };
  }

  #readPart(part: string, chunks: Chunk[]): void {
    if (part === doneMark) this.#isDone = true;
    else {
      const value = parseJson(part);
      checkDepth(value, part.length);
      this.readValue(value, chunks);
    }
  }

  #readChoice(choice: JsonObject): Chunk | undefined {
    // A whole message counts only where no delta has come before it: some servers end a stream by
    // repeating everything.
    const isFirst = !this.#hasText && !this.#hasCall;
    const delta = choice['delta'] ?? (isFirst ? choice['message'] : undefined);
    const chunk: { -readonly [K in keyof Chunk]: Chunk[K] } = {};
    if (isObject(delta)) this.#readDelta(delta, chunk);
    const logprobs = choice['logprobs'];
    if (isObject(logprobs) && Array.isArray(logprobs['content'])) chunk.logprobs = logprobs;
    const others = this.#choiceMembers.take(choice);
    // What comes with the finish reason belongs to it.
    if (nonEmptyText(choice['finish_reason']) !== undefined) this.#endMembers = others;
    else if (others !== undefined) chunk.choice = others;
    for (const _member in chunk) return chunk;
    return undefined;
  }

  #readDelta(delta: JsonObject, chunk: { -readonly [K in keyof Chunk]: Chunk[K] }): void {
    const content = delta['content'];
    const text = Array.isArray(content) ? partsText(content, 'text') : nonEmptyText(content);
    if (text !== undefined) chunk.content = text;
    this.#readReasoning(delta, chunk);
    const refusal = nonEmptyText(delta['refusal']);
    if (refusal !== undefined) chunk.refusal = refusal;
    const details = delta['reasoning_details'];
    if (Array.isArray(details) && details.length > 0) chunk.reasoningDetails = details;
    const calls = this.#readCalls(delta);
    if (calls.length > 0) chunk.toolCalls = calls;
    const extra = this.#extraMembers(delta);
    if (extra !== undefined) chunk.extra = extra;
    this.#hasReasoning ||= chunk.reasoning !== undefined;
    this.#hasText ||= text !== undefined || chunk.reasoning !== undefined || refusal !== undefined;
  }

  #readReasoning(delta: JsonObject, chunk: { -readonly [K in keyof Chunk]: Chunk[K] }): void {
    for (const field of reasoningFields) {
      const reasoning = delta[field];
      if (typeof reasoning !== 'string') continue;
      if (reasoning === '') {
        this.#emptyReasoningField ??= field;
        continue;
      }
      chunk.reasoning = reasoning;
      chunk.reasoningField = field;
      return;
    }
    // Mistral puts its thinking into a list of content parts.
    if (!Array.isArray(delta['content'])) return;
    const thinking = partsText(delta['content'], 'thinking');
    if (thinking === undefined) return;
    chunk.reasoning = thinking;
    chunk.reasoningField = 'reasoning_content';
  }

  #readCalls(delta: JsonObject): ToolCallDelta[] {
    const entries: unknown[] = Array.isArray(delta['tool_calls']) ? [...delta['tool_calls']] : [];
    const legacy = delta['function_call'];
    // Some servers say the same call in the old and the new words: taken twice, it would be run
    // twice.
    this.#usesToolCalls ||= entries.length > 0;
    if (isObject(legacy) && !this.#usesToolCalls && this.#options.legacyFunctions !== true) {
      entries.push({ index: 0, function: legacy });
    }
    const calls: ToolCallDelta[] = [];
    for (const entry of entries) {
      this.#calls ??= new ToolCallTracker(this.#options.makeId);
      this.#calls.read(entry, calls);
    }
    return calls;
  }

  #extraMembers(delta: JsonObject): Record<string, unknown> | undefined {
    let extra: Record<string, unknown> | undefined;
    for (const member in delta) {
      const value = delta[member];
      const isLegacy = member === 'function_call' && this.#options.legacyFunctions === true;
      if (value === null || value === '' || (knownMembers.has(member) && !isLegacy)) continue;
      if (Array.isArray(value) && value.length === 0) continue;
      extra ??= {};
      extra[member] = value;
    }
    return extra;
  }

  #readFinish(reason: unknown): void {
    if (typeof reason !== 'string' || reason === '' || reason === 'null') return;
    const meaning = readFinishReason(reason);
    if (meaning === 'failed') {
      throw this.#options.toError({ message: `The model stopped with "${reason}".`, code: reason });
    }
    if (meaning === 'overflow') {
      if (!this.#hasText && !this.#hasCall) throw this.#overflow();
      this.#finish = 'length';
      return;
    }
    if (this.#finish === undefined || this.#finish === 'stop') this.#finish = meaning;
  }

  #checkOverflow(): void {
    const limit = this.#options.contextWindowTokens;
    const isEmpty = !this.#hasText && !this.#hasCall;
    if (limit === undefined || !isEmpty || this.#usage === undefined) return;
    if (this.#usage.prompt_tokens > limit) throw this.#overflow();
  }

  #overflow(): ProxyError {
    return this.#options.toError({
      message: "The prompt is larger than the model's context window.",
      code: 'context_length_exceeded',
    });
  }

  /**
   * Gemini and Ollama end a turn with calls by `stop`; others say `tool_calls` without one. A
   * client believes the word.
   */
  #finalReason(reason: FinishReason): FinishReason {
    if (reason === 'function_call' && this.#options.legacyFunctions === true) return reason;
    if (reason === 'length' || reason === 'content_filter') return reason;
    return this.#hasCall ? 'tool_calls' : 'stop';
  }
}

/** Text that JSON spells as it is. */
const plainText = /^[^"\\\p{Cc}]+$/u;

/**
 * Hands out the members of frames that nobody here knows: each when it first comes, and again when
 * it has changed.
 */
class OtherMembers {
  readonly #known: ReadonlySet<string>;
  /** The last value of each that is not an object or list. */
  readonly #last = new Map<string, unknown>();

  constructor(known: ReadonlySet<string>) {
    this.#known = known;
  }

  take(from: JsonObject): Record<string, unknown> | undefined {
    let found: Record<string, unknown> | undefined;
    for (const member in from) {
      if (this.#known.has(member)) continue;
      const value = from[member];
      if (isNothing(value) || (typeof value !== 'object' && this.#last.get(member) === value)) {
        continue;
      }
      if (typeof value !== 'object') this.#last.set(member, value);
      found ??= {};
      found[member] = value;
    }
    return found;
  }
}

/** What servers write where they have nothing to say. */
function isNothing(value: unknown): boolean {
  if (value === null || value === '') return true;
  if (typeof value !== 'object') return false;
  for (const _member in value) return false;
  return true;
}

function mayBeFault(value: JsonObject, choice: JsonObject | undefined): boolean {
  return (
    choice === undefined ||
    (value['error'] !== undefined && value['error'] !== null) ||
    value['base_resp'] !== undefined ||
    choice['error'] !== undefined
  );
}

/** The first of several answers; this program asks for one. */
function firstChoice(choices: readonly unknown[]): JsonObject | undefined {
  for (const choice of choices) {
    if (isObject(choice) && (choice['index'] ?? 0) === 0) return choice;
  }
  return undefined;
}

function groqUsage(value: JsonObject): unknown {
  const own = value['x_groq'];
  return isObject(own) ? own['usage'] : undefined;
}

function partsText(parts: readonly unknown[], kind: 'text' | 'thinking'): string | undefined {
  let joined = '';
  for (const part of parts) {
    if (!isObject(part)) continue;
    const inner = part[kind];
    joined += Array.isArray(inner) ? (partsText(inner, 'text') ?? '') : (nonEmptyText(inner) ?? '');
  }
  return joined === '' ? undefined : joined;
}
