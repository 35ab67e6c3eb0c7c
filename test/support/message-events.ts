import type {
  ContentBlock,
  Message,
  RawMessageStreamEvent,
} from '@anthropic-ai/sdk/resources/messages';

/** A stream of the Messages API, looked through by {@link readMessageEvents}. */
export interface ReadMessage {
  readonly events: readonly RawMessageStreamEvent[];
  /** As its events make it up. */
  readonly message: Message;
  /** What an `error` event at the end said. */
  readonly error?: { readonly type: string; readonly message: string };
}

type StreamEvent =
  | RawMessageStreamEvent
  | { readonly type: 'ping' }
  | { readonly type: 'error'; readonly error: { readonly type: string; readonly message: string } };

/**
 * Reads a stream as strictly as any client could: the message is started first, blocks come one
 * after the other with indexes without gaps, each is filled with its own kind of deltas and ended,
 * a thinking block's last one is its signature, inputs are JSON objects, the reason to stop comes
 * once and behind all blocks, and nothing follows the end.
 * @throws Error that says what is out of order
 */
export function readMessageEvents(body: string): ReadMessage {
  const frames = body.split('\n\n').slice(0, -1);
  const events = frames.map((frame) => {
    const [, name, data = ''] = /^event: (.*)\ndata: (.*)$/s.exec(frame) ?? [];
    const event = JSON.parse(data) as StreamEvent;
    if (name !== event.type) throw new Error(`${name} holds ${event.type}`);
    return event;
  });
  const reader = new Reader();
  for (const event of events) reader.take(event);
  return reader.end();
}

class Reader {
  readonly #events: RawMessageStreamEvent[] = [];
  #message: Message | undefined;
  #state: 'before' | 'between' | 'in block' | 'stopping' | 'over' = 'before';
  #json = '';
  #isSigned = false;
  #error: ReadMessage['error'];

  take(event: StreamEvent): void {
    if (event.type === 'ping') {
      if (this.#state === 'over') throw new Error('ping comes behind the end');
      return;
    }
    if (event.type === 'error') {
      this.#expect(this.#state !== 'over', event.type);
      this.#state = 'over';
      this.#error = event.error;
      return;
    }
    this.#events.push(event);
    switch (event.type) {
      case 'message_start':
        this.#expect(this.#state === 'before' && event.message.content.length === 0, event.type);
        this.#message = structuredClone(event.message);
        this.#state = 'between';
        break;
      case 'content_block_start':
        this.#expect(
          this.#state === 'between' && event.index === this.#content.length,
          `${event.type} ${event.index}`,
        );
        this.#content.push(structuredClone(event.content_block));
        this.#json = '';
        this.#isSigned = false;
        this.#state = 'in block';
        break;
      case 'content_block_delta':
        this.#expect(this.#isCurrent(event.index) && !this.#isSigned, event.type);
        this.#fill(event.delta);
        break;
      case 'content_block_stop':
        this.#expect(this.#isCurrent(event.index), event.type);
        this.#close();
        this.#state = 'between';
        break;
      case 'message_delta':
        this.#expect(this.#state === 'between', event.type);
        Object.assign(this.#message!, event.delta);
        this.#message!.usage = { ...this.#message!.usage, ...(event.usage as Message['usage']) };
        this.#state = 'stopping';
        break;
      case 'message_stop':
        this.#expect(this.#state === 'stopping', event.type);
        this.#state = 'over';
        break;
      default:
        throw new Error(`${(event as { type: string }).type} is not known`);
    }
  }

  end(): ReadMessage {
    if (this.#state !== 'over') throw new Error('The stream has no end.');
    if (this.#message === undefined && this.#error === undefined)
      throw new Error('The stream has no message.');
    return {
      events: this.#events,
      message: this.#message as Message,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  get #content(): ContentBlock[] {
    return this.#message!.content;
  }

  #isCurrent(index: number): boolean {
    return this.#state === 'in block' && index === this.#content.length - 1;
  }

  #fill(delta: Extract<RawMessageStreamEvent, { type: 'content_block_delta' }>['delta']): void {
    const block = this.#content.at(-1)!;
    if (delta.type === 'text_delta' && block.type === 'text') {
      this.#expect(delta.text !== '', 'an empty delta');
      block.text += delta.text;
    } else if (delta.type === 'thinking_delta' && block.type === 'thinking') {
      this.#expect(delta.thinking !== '', 'an empty delta');
      block.thinking += delta.thinking;
    } else if (delta.type === 'signature_delta' && block.type === 'thinking') {
      block.signature = delta.signature;
      this.#isSigned = true;
    } else if (delta.type === 'input_json_delta' && block.type === 'tool_use') {
      this.#expect(delta.partial_json !== '', 'an empty delta');
      this.#json += delta.partial_json;
    } else throw new Error(`${delta.type} in a block of ${block.type}`);
  }

  #close(): void {
    const block = this.#content.at(-1)!;
    if (block.type === 'thinking') this.#expect(this.#isSigned, 'a thinking block without end');
    if (block.type !== 'tool_use') return;
    // An answer that was cut may end within a call.
    try {
      block.input = JSON.parse(this.#json);
    } catch {
      block.input = this.#json;
    }
  }

  #expect(isSo: boolean, what: string): void {
    if (!isSo) throw new Error(`${what}, ${this.#state}: out of place`);
  }
}
