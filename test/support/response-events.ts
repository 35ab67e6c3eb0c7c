import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';

/** A stream of the Responses API, looked through by {@link readResponseEvents}. */
export interface ReadResponse {
  readonly events: readonly ResponseStreamEvent[];
  /** Of the last event. */
  readonly response: Response;
}

interface OpenItem {
  readonly id: string;
  readonly type: string;
  /** What its deltas have brought, by part. */
  readonly texts: string[];
  openPart?: number | undefined;
}

/**
 * Reads a stream as strictly as any client could: numbers without gaps, `created` first, each item
 * and part opened before it is filled and closed after it, what is whole the sum of its pieces, one
 * terminal event with every item in it, nothing behind.
 * @throws Error that says what is out of order
 */
export function readResponseEvents(body: string): ReadResponse {
  const frames = body.split('\n\n').slice(0, -1);
  const events = frames.map((frame) => {
    const [, name, data = ''] = /^event: (.*)\ndata: (.*)$/s.exec(frame) ?? [];
    const event = JSON.parse(data) as ResponseStreamEvent;
    if (name !== event.type) throw new Error(`${name} holds ${event.type}`);
    return event;
  });
  const reader = new Reader();
  for (const event of events) reader.take(event);
  return { events, response: reader.end() };
}

class Reader {
  #number = 0;
  #last: Response | undefined;
  #isOver = false;
  readonly #open = new Map<number, OpenItem>();
  readonly #done: unknown[] = [];
  #count = 0;

  take(event: ResponseStreamEvent): void {
    const fail = (words: string): never => {
      throw new Error(`${event.type} (${event.sequence_number}): ${words}`);
    };
    if (event.sequence_number !== this.#number) fail(`is not number ${this.#number}`);
    this.#number += 1;
    if (this.#isOver) fail('comes behind the end');
    if ((event.type === 'response.created') !== (event.sequence_number === 0))
      fail('is not in its place');
    // eslint-disable-next-line typescript/switch-exhaustiveness-check -- all others are refused
    switch (event.type) {
      case 'response.created':
      case 'response.in_progress':
        this.#snapshot(event.response, 'in_progress');
        break;
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
        this.#snapshot(event.response, event.type.slice('response.'.length));
        if (event.type !== 'response.failed') {
          if (this.#open.size > 0) fail('leaves items open');
          same(event.response.output, this.#done, 'output');
        }
        this.#isOver = true;
        break;
      case 'response.output_item.added': {
        if (event.output_index !== this.#count) fail('skips an item');
        this.#count += 1;
        const { id = '', type } = event.item as { id?: string; type: string };
        this.#open.set(event.output_index, { id, type, texts: [] });
        break;
      }
      case 'response.output_item.done': {
        const open = this.#at(event.output_index);
        if (open.openPart !== undefined) fail('leaves a part open');
        if ((event.item as { id?: string }).id !== open.id) fail('has another id');
        this.#open.delete(event.output_index);
        this.#done[event.output_index] = event.item;
        break;
      }
      case 'response.content_part.added':
        this.#openPart(event.output_index, event.content_index);
        break;
      case 'response.reasoning_summary_part.added':
        this.#openPart(event.output_index, event.summary_index);
        break;
      case 'response.content_part.done':
        this.#closePart(event.output_index, event.content_index);
        break;
      case 'response.reasoning_summary_part.done':
        this.#closePart(event.output_index, event.summary_index);
        break;
      case 'response.output_text.delta':
      case 'response.refusal.delta':
        this.#fill(event, event.content_index);
        break;
      case 'response.reasoning_summary_text.delta':
        this.#fill(event, event.summary_index);
        break;
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        this.#fill(event, 0, false);
        break;
      case 'response.output_text.annotation.added':
        this.#at(event.output_index);
        break;
      case 'response.output_text.done':
        same(event.text, this.#at(event.output_index).texts[event.content_index], 'text');
        break;
      case 'response.refusal.done':
        same(event.refusal, this.#at(event.output_index).texts[event.content_index], 'refusal');
        break;
      case 'response.reasoning_summary_text.done':
        same(event.text, this.#at(event.output_index).texts[event.summary_index], 'summary');
        break;
      case 'response.function_call_arguments.done':
        same(event.arguments, this.#at(event.output_index).texts[0] ?? '', 'arguments');
        break;
      case 'response.custom_tool_call_input.done':
        same(event.input, this.#at(event.output_index).texts[0] ?? '', 'input');
        break;
      default:
        fail('is not known');
    }
  }

  end(): Response {
    if (!this.#isOver || this.#last === undefined) throw new Error('The stream has no end.');
    return this.#last;
  }

  #snapshot(response: Response, status: string): void {
    if (response.status !== status) throw new Error(`${response.status} in ${status}`);
    if (this.#last !== undefined && this.#last.id !== response.id) throw new Error('another id');
    if (response.output.length !== this.#count) throw new Error('a snapshot lacks items');
    this.#last = response;
  }

  #at(index: number): OpenItem {
    const open = this.#open.get(index);
    if (open === undefined) throw new Error(`item ${index} is not open`);
    return open;
  }

  #openPart(index: number, part: number): void {
    const item = this.#at(index);
    if (item.openPart !== undefined || item.texts.length !== part)
      throw new Error(`part ${part} of item ${index} cannot be opened`);
    item.openPart = part;
    item.texts.push('');
  }

  #closePart(index: number, part: number): void {
    const item = this.#at(index);
    if (item.openPart !== part) throw new Error(`part ${part} of item ${index} is not open`);
    item.openPart = undefined;
  }

  #fill(
    event: { readonly output_index: number; readonly item_id: string; readonly delta: string },
    part: number,
    isInPart = true,
  ): void {
    const item = this.#at(event.output_index);
    if (item.id !== event.item_id) throw new Error(`${event.item_id} is not ${item.id}`);
    if (isInPart && item.openPart !== part) throw new Error(`part ${part} is not open`);
    if (event.delta === '') throw new Error('an empty delta');
    item.texts[part] = (item.texts[part] ?? '') + event.delta;
  }
}

function same(seen: unknown, wanted: unknown, what: string): void {
  if (JSON.stringify(seen) !== JSON.stringify(wanted))
    throw new Error(`${what}: ${JSON.stringify(seen)} is not ${JSON.stringify(wanted)}`);
}
