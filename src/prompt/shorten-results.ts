import { ProxyError } from '../errors.ts';
import type { SessionStore } from '../store/types.ts';
import { plainOwnName } from '../tools/call-door.ts';
import { readingTools } from '../tools/registry.ts';
import { callName, callText } from '../wire/calls.ts';
import type { Message, ToolCall } from '../wire/types.ts';

/** Stands in the place of a result that showed what is in the store anyway. */
export const droppedResult =
  '[rlm] This result was taken out of the conversation to save space. What it showed is still in the context store: make the call again if you need it.';

/** A result shorter than this stays: little would be won, characters. */
const minDroppedLength = droppedResult.length + 200;

const readsOnly: ReadonlySet<string> = new Set(readingTools.map((tool) => tool.name));

/**
 * Takes results of our own tools out of a conversation. What cannot be read again by the same call
 * goes into the store first.
 */
export class ProxyResults {
  readonly #store: SessionStore;
  /** By the original: what goes out once is asked for in every turn from then on. */
  readonly #shortened = new WeakMap<Message, Message>();

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /**
   * The result, shortened; the very same message where it is short already, or where the store
   * cannot take it. The same bytes whenever it is asked, after a restart too.
   */
  async shorten(
    message: Message,
    { call, chatId }: { readonly call: ToolCall | undefined; readonly chatId: string },
  ): Promise<Message> {
    if (!isLongResult(message)) return message;
    const known = this.#shortened.get(message);
    if (known !== undefined) return known;
    const note = await this.#noteFor(message.content, call, chatId);
    if (note === undefined) return message;
    const shortened = { ...message, content: note };
    this.#shortened.set(message, shortened);
    return shortened;
  }

  async #noteFor(
    text: string,
    call: ToolCall | undefined,
    chatId: string,
  ): Promise<string | undefined> {
    if (call === undefined) return droppedResult;
    const name = plainOwnName(callName(call)) ?? callName(call);
    if (readsOnly.has(name)) return droppedResult;
    try {
      const [entry] = await this.#store.append([
        {
          kind: 'message',
          tool: name,
          args: callText(call).slice(0, 2_000).toWellFormed(),
          chatId,
          text,
        },
      ]);
      if (entry === undefined) return undefined;
      return `[rlm] This result of ${name} was moved out of the conversation to save space. It is in the context store, complete: rlm_get_context {"entry":"${entry.id}"} reads its ${entry.lengthChars} characters.`;
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      // A store that cannot take it: then it stays where it is.
      return undefined;
    }
  }
}

/** The same where nothing is kept: a sub-call's own results end with it. */
export function droppedMessage(message: Message): Message {
  return isLongResult(message) ? { ...message, content: droppedResult } : message;
}

function isLongResult(message: Message): message is Message & { readonly content: string } {
  return typeof message.content === 'string' && message.content.length >= minDroppedLength;
}
