import { parseJson, type JsonObject } from '../wire/json.ts';
import type { ContentPart, FunctionCall, Message, ToolCall } from '../wire/types.ts';
import type { CarriedState } from './carried-state.ts';

/** A conversation that is being translated: its messages so far, and what is not whole yet. */
export class MessageList {
  readonly #messages: Message[] = [];
  #answer: Answer | undefined;
  /** What the list begins with, if that is a system message. */
  #lead: string | undefined;
  /** Images of tool outputs: they follow the outputs, in a message that may hold images. */
  #images: ContentPart[] = [];

  /** A whole message. */
  add(message: Message): void {
    this.#endAnswer();
    this.#endOutputs();
    this.#messages.push(message);
  }

  /**
   * A system message. Several in a row at the beginning are one, and a later one becomes a reminder
   * of the user's: some models take no more than one, and none behind the beginning.
   */
  system(text: string): void {
    const before = this.#lead === undefined ? 0 : 1;
    if (this.#messages.length > before || this.#answer !== undefined) {
      this.add({ role: 'user', content: reminderOf(text) });
      return;
    }
    this.#lead = this.#lead === undefined ? text : `${this.#lead}\n\n${text}`;
    this.#messages[0] = { role: 'system', content: this.#lead };
  }

  /** The assistant message that the model's next item belongs to. */
  get answer(): Answer {
    this.#endOutputs();
    return (this.#answer ??= new Answer());
  }

  /** What a tool has said to a call. */
  output(callId: string, output: Output): void {
    this.#endAnswer();
    this.#messages.push({ role: 'tool', tool_call_id: callId, content: output.content });
    this.#images.push(...output.images);
  }

  /** All of them. To be called once. */
  end(): readonly Message[] {
    this.#endAnswer();
    this.#endOutputs();
    return this.#messages;
  }

  #endAnswer(): void {
    const message = this.#answer?.message();
    this.#answer = undefined;
    if (message !== undefined) this.#messages.push(message);
  }

  #endOutputs(): void {
    if (this.#images.length === 0) return;
    const images = this.#images;
    this.#images = [];
    this.#messages.push({ role: 'user', content: [{ type: 'text', text: imagesLead }, ...images] });
  }
}

/** What a client tells a model in the middle of a conversation, in a user's message. */
export function reminderOf(text: string): string {
  return `<system-reminder>\n${text}\n</system-reminder>`;
}

/** What a tool has said: its texts, and its images, which no message of a tool may hold. */
interface Output {
  readonly content: string | readonly ContentPart[];
  readonly images: readonly ContentPart[];
}

/** Parts of a tool's output, as a tool's message can hold them. */
export function outputOf(content: string | readonly ContentPart[]): Output {
  if (typeof content === 'string') return { content, images: [] };
  const texts = content.filter((part) => part.type === 'text');
  const images = content.filter((part) => part.type !== 'text');
  const [only] = texts;
  const text = only === undefined ? 'The output is an image. It follows.' : only.text;
  return { content: texts.length > 1 ? texts : (text ?? ''), images };
}

/** A single text is a plain text, as most servers want it. */
export function plainContent(parts: readonly ContentPart[]): string | readonly ContentPart[] {
  const [only] = parts;
  if (parts.length === 0) return '';
  return parts.length === 1 && only?.type === 'text' ? (only.text ?? '') : parts;
}

const imagesLead = 'Images in the outputs of the tools above:';

/** An assistant message that grows with the model's items. */
export class Answer {
  #text = '';
  /** The answer that the text before is a piece of. */
  #source: string | undefined;
  #refusal = '';
  #reasoning = '';
  #field = 'reasoning_content';
  #members: JsonObject = {};
  #callMembers: NonNullable<CarriedState['calls']> = {};
  #args: NonNullable<CarriedState['args']> = {};
  readonly #calls: FunctionCall[] = [];

  /**
   * Text, or what it refuses. `source` names what the text is a piece of: pieces of the same one
   * are one text, others are texts of their own.
   */
  say(text: string, source: string | undefined, refusal = ''): void {
    const isNext = this.#text === '' || (source !== undefined && source === this.#source);
    this.#text += isNext ? text : `\n\n${text}`;
    this.#source = source;
    this.#refusal += refusal;
  }

  /** Reasoning, with what the provider wants back beside it. */
  think(text: string, state: CarriedState): void {
    this.#reasoning += text;
    if (state.field !== undefined) this.#field = state.field;
    this.#members = { ...this.#members, ...state.members };
    this.#callMembers = { ...this.#callMembers, ...state.calls };
    this.#args = { ...this.#args, ...state.args };
  }

  /** A call of a function. @param args JSON text */
  call(id: string, name: string, args: string): void {
    this.#calls.push({ id, type: 'function', function: { name, arguments: args } });
  }

  /** Nothing of one that holds nothing but reasoning: no provider takes it. */
  message(): Message | undefined {
    const { length } = this.#calls;
    if (this.#text === '' && this.#refusal === '' && length === 0) return undefined;
    return {
      role: 'assistant',
      content: this.#text === '' && length > 0 ? null : this.#text,
      ...(this.#reasoning === '' ? {} : { [this.#field]: this.#reasoning }),
      ...this.#members,
      ...(this.#refusal === '' ? {} : { refusal: this.#refusal }),
      ...(length === 0 ? {} : { tool_calls: this.#calls.map((call) => this.#whole(call)) }),
    };
  }

  /** A call with what belongs to it, and its arguments as the model wrote them if that is known. */
  #whole(call: FunctionCall): ToolCall {
    const { [call.id]: known } = this.#args;
    const isKnown = known !== undefined && isRead(known, call.function.arguments);
    const own = isKnown ? { ...call.function, arguments: known } : call.function;
    return { ...call, function: own, ...this.#callMembers[call.id] };
  }
}

/** Whether arguments are what a client has read out of those that the model wrote. */
function isRead(written: string, read: string): boolean {
  return sameWords(written) === sameWords(read);
}

/** What JavaScript reads: long numbers lose their last digits. A text in a text counts as one. */
function sameWords(args: string): string | undefined {
  const parsed = parseJson(args);
  return JSON.stringify(typeof parsed === 'string' ? parseJson(parsed) : parsed);
}
