import type { ProxyError } from '../../errors.ts';
import { isObject, parseJson, type JsonObject } from '../../wire/json.ts';
import type { Chunk, FinishReason, ToolCallDelta, Usage } from '../../wire/types.ts';
import type { AnswerWriter } from '../answer-form.ts';
import { CarriedParts } from '../carried-state.ts';
import { itemId, type ItemKind } from './item-ids.ts';
import { customInput, type ToolNames } from './tool-names.ts';

/** What an answer is written with. */
export interface WriterOptions {
  readonly requestId: string;
  /** The response object's members that are known from the start. */
  readonly base: JsonObject;
  readonly tools: ToolNames;
  /** Whether a refusal is written as text, for a client that shows nothing else. */
  readonly refusesInText: boolean;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** A part of a message. */
type Part =
  | { readonly type: 'output_text'; annotations: JsonObject[]; logprobs: []; text: string }
  | { readonly type: 'refusal'; refusal: string };

/** An item as snapshots show it at the moment. */
type Item =
  | {
      readonly type: 'message';
      readonly id: string;
      status: string;
      readonly role: 'assistant';
      readonly content: Part[];
    }
  | {
      readonly type: 'reasoning';
      readonly id: string;
      readonly summary: { readonly type: 'summary_text'; text: string }[];
      encrypted_content: string | null;
    }
  | {
      readonly type: 'function_call';
      readonly id: string;
      readonly call_id: string;
      readonly name: string;
      arguments: string;
      status: string;
    }
  | {
      readonly type: 'custom_tool_call';
      readonly id: string;
      readonly call_id: string;
      readonly name: string;
      input: string;
      status: string;
    };

type ItemOf<Type extends Item['type']> = Extract<Item, { readonly type: Type }>;

/** An item that is being written. */
interface OpenItem<Kind extends Item = Item> {
  readonly item: Kind;
  /** `"item_id":…,"output_index":…`, as its events have it. */
  readonly place: string;
  readonly index: number;
}

/** A call that is being written, and its arguments so far. */
interface OpenCall extends OpenItem<ItemOf<'function_call'> | ItemOf<'custom_tool_call'>> {
  args: string;
}

/**
 * One answer as the events of the Responses API, in their order and numbered: each item is opened,
 * filled and closed before the next one begins; only calls whose pieces come mixed are open side by
 * side. Every event is ready to be written. The same items make up the response object of a whole
 * answer.
 */
export class ResponseWriter implements AnswerWriter {
  readonly #options: WriterOptions;
  readonly #items: Item[] = [];
  #number = 0;
  #isOpen = false;
  /** The text or the reasoning that is being written. */
  #said: OpenItem<ItemOf<'message'>> | undefined;
  #thought: OpenItem<ItemOf<'reasoning'>> | undefined;
  readonly #calls = new Map<number, OpenCall>();
  /** What reasoning items carry. */
  readonly #carried = new CarriedParts();
  #finish: FinishReason | undefined;
  #usage: Usage | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** The events for these chunks; empty while they hold nothing for a client. */
  add(chunks: readonly Chunk[]): string {
    let events = this.#open();
    for (const chunk of chunks) events += this.#addOne(chunk);
    return events;
  }

  /** An event for a silence. Comments do not count for Codex, which gives a silent answer up. */
  heartbeat(): string {
    return this.#open() + this.#lifecycle('in_progress', 'in_progress');
  }

  /** The last events. To be called once, after the last chunk. */
  end(): string {
    const isWhole = this.#incomplete === undefined;
    const events = this.#open() + this.#closeAll(isWhole ? 'completed' : 'incomplete');
    const status = isWhole ? 'completed' : 'incomplete';
    return events + this.#state() + this.#lifecycle(status, status);
  }

  /** The last event of an answer that failed. */
  fail(error: ProxyError, shown: { readonly message: string; readonly code: string }): string {
    return (
      this.#open() +
      this.#event('response.failed', {
        response: { ...this.#response('failed'), error: failureOf(error, shown) },
      })
    );
  }

  /** The response object of a whole answer, after {@link end}. */
  response(): JsonObject {
    return this.#response(this.#incomplete === undefined ? 'completed' : 'incomplete');
  }

  get #incomplete(): string | undefined {
    if (this.#finish === 'length') return 'max_output_tokens';
    return this.#finish === 'content_filter' ? 'content_filter' : undefined;
  }

  #open(): string {
    if (this.#isOpen) return '';
    this.#isOpen = true;
    return (
      this.#lifecycle('created', 'in_progress') + this.#lifecycle('in_progress', 'in_progress')
    );
  }

  #addOne(chunk: Chunk): string {
    const { content, reasoning, refusal, toolCalls } = chunk;
    let events = '';
    this.#carried.add(chunk);
    if (reasoning !== undefined && reasoning !== '') events += this.#think(reasoning);
    if (content !== undefined && content !== '') events += this.#say(content);
    if (refusal !== undefined && refusal !== '')
      events += this.#options.refusesInText ? this.#say(refusal) : this.#refuse(refusal);
    if (chunk.extra !== undefined) events += this.#annotate(chunk.extra['annotations']);
    if (toolCalls !== undefined) for (const delta of toolCalls) events += this.#call(delta);
    if (chunk.finishReason !== undefined) this.#finish = chunk.finishReason;
    if (chunk.usage !== undefined) this.#usage = chunk.usage;
    return events;
  }

  #think(text: string): string {
    let events = '';
    if (this.#thought === undefined) {
      events += this.#closeTexts('completed') + this.#closeWholeCalls();
      const item: ItemOf<'reasoning'> = {
        type: 'reasoning',
        id: this.#nextId('rs'),
        summary: [],
        encrypted_content: null,
      };
      this.#thought = this.#begin(item);
      events += this.#added(this.#thought);
      const part = { type: 'summary_text', text: '' } as const;
      events += this.#at('response.reasoning_summary_part.added', this.#thought, {
        summary_index: 0,
        part,
      });
      item.summary.push({ ...part });
    }
    const { item, place } = this.#thought;
    item.summary[0]!.text += text;
    return `${events}${this.#delta('response.reasoning_summary_text.delta', place, '"summary_index":0,', text)}`;
  }

  #say(text: string): string {
    const [opened, part, at] = this.#part('output_text');
    if (part.type === 'output_text') part.text += text;
    const place = this.#said!.place;
    const more = `"content_index":${at},"logprobs":[],`;
    return opened + this.#delta('response.output_text.delta', place, more, text);
  }

  #refuse(text: string): string {
    const [opened, part, at] = this.#part('refusal');
    if (part.type === 'refusal') part.refusal += text;
    const place = this.#said!.place;
    return opened + this.#delta('response.refusal.delta', place, `"content_index":${at},`, text);
  }

  /** What the text quotes, as far as this protocol has a word for it. */
  #annotate(annotations: unknown): string {
    const said = this.#said;
    const part = said?.item.content.at(-1);
    if (said === undefined || part?.type !== 'output_text' || !Array.isArray(annotations))
      return '';
    let events = '';
    for (const one of annotations as readonly unknown[]) {
      const citation = isObject(one) ? one['url_citation'] : undefined;
      if (!isObject(citation)) continue;
      const { url, title, start_index: from, end_index: to } = citation;
      const annotation = {
        type: 'url_citation',
        url: url ?? '',
        title: title ?? '',
        start_index: from ?? 0,
        end_index: to ?? 0,
      };
      events += this.#at('response.output_text.annotation.added', said, {
        content_index: said.item.content.length - 1,
        annotation_index: part.annotations.length,
        annotation,
      });
      part.annotations.push(annotation);
    }
    return events;
  }

  /** The part that is being written, what opens it, and its index. */
  #part(type: Part['type']): [string, Part, number] {
    let events = '';
    if (this.#said === undefined) {
      events += this.#closeTexts('completed') + this.#closeWholeCalls();
      this.#said = this.#begin({
        type: 'message',
        id: this.#nextId('msg'),
        status: 'in_progress',
        role: 'assistant',
        content: [],
      });
      events += this.#added(this.#said);
    }
    const { content } = this.#said.item;
    const last = content.at(-1);
    if (last?.type === type) return [events, last, content.length - 1];
    if (last !== undefined) events += this.#closePart(this.#said);
    const part: Part =
      type === 'refusal'
        ? { type, refusal: '' }
        : { type, annotations: [], logprobs: [], text: '' };
    events += this.#at('response.content_part.added', this.#said, {
      content_index: content.length,
      part,
    });
    content.push(part);
    return [events, part, content.length - 1];
  }

  #call(delta: ToolCallDelta): string {
    let call = this.#calls.get(delta.index);
    let events = '';
    if (call === undefined) {
      // A call's first piece has both (wire/types.ts).
      if (delta.id === undefined || delta.name === undefined) return '';
      events += this.#closeTexts('completed') + this.#closeWholeCalls();
      call = { ...this.#begin(this.#newCall(delta.id, delta.name)), args: '' };
      this.#calls.set(delta.index, call);
      events += this.#added(call);
    }
    if (delta.arguments === '' || isClosed(call.item)) return events;
    call.args += delta.arguments;
    const { item } = call;
    // A custom call's text shows when its JSON is whole.
    if (item.type === 'custom_tool_call') return events;
    item.arguments += delta.arguments;
    const type = 'response.function_call_arguments.delta';
    return events + this.#delta(type, call.place, '', delta.arguments);
  }

  #newCall(
    callId: string,
    upstreamName: string,
  ): ItemOf<'function_call'> | ItemOf<'custom_tool_call'> {
    const { name, namespace, isCustom } = this.#options.tools.toolOf(upstreamName);
    const own = {
      call_id: callId,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      status: 'in_progress',
    };
    return isCustom
      ? { type: 'custom_tool_call', id: this.#nextId('ctc'), ...own, input: '' }
      : { type: 'function_call', id: this.#nextId('fc'), ...own, arguments: '' };
  }

  /** A whole object is closed when something else begins; anything else may still go on. */
  #closeWholeCalls(): string {
    let events = '';
    for (const call of this.#calls.values())
      if (!isClosed(call.item) && isObject(parseJson(call.args)))
        events += this.#closeCall(call, 'completed');
    return events;
  }

  #closeAll(status: string): string {
    let events = this.#closeTexts(status);
    for (const call of this.#calls.values())
      if (!isClosed(call.item)) events += this.#closeCall(call, status);
    return events;
  }

  #closeCall(call: OpenCall, status: string): string {
    const { item } = call;
    let events = '';
    if (item.type === 'custom_tool_call') {
      item.input = customInput(call.args);
      const { input } = item;
      if (input !== '')
        events += this.#delta('response.custom_tool_call_input.delta', call.place, '', input);
      events += this.#at('response.custom_tool_call_input.done', call, { input });
    } else {
      const { name, arguments: args } = item;
      events += this.#at('response.function_call_arguments.done', call, { name, arguments: args });
    }
    item.status = status;
    return events + this.#done(call);
  }

  #closeTexts(status: string): string {
    let events = '';
    const thought = this.#thought;
    if (thought !== undefined) {
      this.#thought = undefined;
      const [part] = thought.item.summary;
      const at = { summary_index: 0 };
      events += this.#at('response.reasoning_summary_text.done', thought, {
        ...at,
        text: part?.text ?? '',
      });
      events += this.#at('response.reasoning_summary_part.done', thought, { ...at, part });
      thought.item.encrypted_content = this.#carried.write();
      events += this.#done(thought);
    }
    const said = this.#said;
    if (said !== undefined) {
      this.#said = undefined;
      events += this.#closePart(said);
      said.item.status = status;
      events += this.#done(said);
    }
    return events;
  }

  #closePart(said: OpenItem<ItemOf<'message'>>): string {
    const { content } = said.item;
    const at = { content_index: content.length - 1 };
    const part = content.at(-1)!;
    const done =
      part.type === 'refusal'
        ? this.#at('response.refusal.done', said, { ...at, refusal: part.refusal })
        : this.#at('response.output_text.done', said, { ...at, text: part.text, logprobs: [] });
    return done + this.#at('response.content_part.done', said, { ...at, part });
  }

  /** What the provider wants back and no item shows: in a reasoning item of its own. */
  #state(): string {
    if (!this.#carried.hasNews) return '';
    const opened = this.#begin({
      type: 'reasoning',
      id: this.#nextId('rs'),
      summary: [],
      encrypted_content: this.#carried.write(),
    });
    return this.#added(opened) + this.#done(opened);
  }

  #nextId(kind: ItemKind): string {
    return itemId(kind, this.#options.requestId, this.#items.length);
  }

  #begin<Kind extends Item>(item: Kind): OpenItem<Kind> {
    const index = this.#items.push(item) - 1;
    const place = `"item_id":${JSON.stringify(item.id)},"output_index":${index}`;
    return { item, index, place };
  }

  #added({ item, index }: OpenItem): string {
    return this.#event('response.output_item.added', { output_index: index, item });
  }

  #done({ item, index }: OpenItem): string {
    return this.#event('response.output_item.done', { output_index: index, item });
  }

  #lifecycle(event: string, status: string): string {
    return this.#event(`response.${event}`, { response: this.#response(status) });
  }

  #response(status: string): JsonObject {
    const isOver = status !== 'in_progress';
    const incomplete = status === 'incomplete' ? this.#incomplete : undefined;
    return {
      ...this.#options.base,
      status,
      ...(status === 'completed' ? { completed_at: this.#options.now() } : {}),
      error: null,
      incomplete_details: incomplete === undefined ? null : { reason: incomplete },
      output: this.#items,
      usage: isOver && this.#usage !== undefined ? usageOf(this.#usage) : null,
    };
  }

  #at(type: string, { place }: OpenItem, members: JsonObject): string {
    return this.#frame(type, `${place},${JSON.stringify(members).slice(1, -1)}`);
  }

  #delta(type: string, place: string, more: string, delta: string): string {
    return this.#frame(type, `${place},${more}"delta":${JSON.stringify(delta)}`);
  }

  #event(type: string, members: JsonObject): string {
    return this.#frame(type, JSON.stringify(members).slice(1, -1));
  }

  #frame(type: string, membersJson: string): string {
    const number = this.#number;
    this.#number += 1;
    return `event: ${type}\ndata: {"type":"${type}","sequence_number":${number},${membersJson}}\n\n`;
  }
}

function isClosed({ status }: { readonly status: string }): boolean {
  return status !== 'in_progress';
}

/** Token counts by this protocol's names; what is ours beside them stays. */
function usageOf(usage: Usage): JsonObject {
  const { prompt_tokens_details: input, completion_tokens_details: output, rlm } = usage;
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: input?.cached_tokens ?? 0, cache_write_tokens: 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: output?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
    ...(rlm === undefined ? {} : { rlm }),
  };
}

/**
 * A failure by the codes that this protocol's clients know: by some of them they decide whether to
 * ask again.
 */
function failureOf(
  { code, status, retryable }: ProxyError,
  { message, code: wireCode }: { readonly message: string; readonly code: string },
): JsonObject {
  if (code === 'context_length_exceeded') return { code, message };
  if (code === 'quota_exhausted') return { code: 'insufficient_quota', message };
  if (status === 429) return { code: 'rate_limit_exceeded', message };
  if (retryable || status >= 500) return { code: 'server_error', message };
  return { code: 'invalid_prompt', message: `${message} (${wireCode})` };
}
