import { ProxyError } from '../../errors.ts';
import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { ContentPart, Message, ToolCall } from '../../wire/types.ts';
import { badMember } from '../request-body.ts';
import { readState, type CarriedState } from '../carried-state.ts';
import { isSameAnswer, isOwnReasoning } from './item-ids.ts';
import { customArguments, upstreamName } from './tool-names.ts';

/**
 * The conversation of a request as chat messages. Pure, and stable: what was sent before becomes
 * the same messages again, whatever has come behind it, so that it is known and the provider's
 * cache holds. The model's items up to the first that is not its own are one assistant message.
 * @throws ProxyError `invalid_request`, naming the item at fault
 */
export function messagesOf(instructions: string | undefined, input: unknown): readonly Message[] {
  const list = new MessageList();
  if (instructions !== undefined) list.system(instructions);
  if (typeof input === 'string') list.add({ role: 'user', content: input });
  else if (Array.isArray(input)) {
    for (const [at, item] of (input as readonly unknown[]).entries())
      addItem(list, item, `input[${at}]`);
  } else throw badMember('input', 'must be a text or a list of items');
  return list.end();
}

/** The messages so far, and what is not whole yet. */
class MessageList {
  readonly #messages: Message[] = [];
  #answer: Answer | undefined;
  /** What the list begins with, if that is a system message. */
  #lead: string | undefined;
  /** Images of tool outputs: they follow the outputs, in a message that may hold images. */
  #images: ContentPart[] = [];

  add(message: Message): void {
    this.#endAnswer();
    this.#endOutputs();
    this.#messages.push(message);
  }

  /** Several in a row at the beginning are one: some models take no more. */
  system(text: string): void {
    const isFirst = this.#messages.length <= 1 && this.#answer === undefined;
    if (this.#lead === undefined || !isFirst) this.add({ role: 'system', content: text });
    else this.#messages[0] = { role: 'system', content: `${this.#lead}\n\n${text}` };
    if (isFirst) this.#lead = this.#lead === undefined ? text : `${this.#lead}\n\n${text}`;
  }

  /** The assistant message that the model's next item belongs to. */
  get answer(): Answer {
    this.#endOutputs();
    return (this.#answer ??= new Answer());
  }

  output(callId: string, output: Output): void {
    this.#endAnswer();
    this.#messages.push({ role: 'tool', tool_call_id: callId, content: output.content });
    this.#images.push(...output.images);
  }

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

const imagesLead = 'Images in the outputs of the tools above:';

/** An assistant message that grows with the model's items. */
class Answer {
  #text = '';
  /** Id of the message item before. */
  #textId: string | undefined;
  #refusal = '';
  #reasoning = '';
  #field = 'reasoning_content';
  #members: JsonObject = {};
  #callMembers: NonNullable<CarriedState['calls']> = {};
  readonly #calls: ToolCall[] = [];

  say(text: string, refusal: string, id: string | undefined): void {
    // Texts of one answer of ours are pieces of one text; others are texts of their own.
    const isNext = this.#text === '' || isSameAnswer(this.#textId, id);
    this.#text += isNext ? text : `\n\n${text}`;
    this.#textId = id;
    this.#refusal += refusal;
  }

  think(text: string, state: CarriedState): void {
    this.#reasoning += text;
    if (state.field !== undefined) this.#field = state.field;
    this.#members = { ...this.#members, ...state.members };
    this.#callMembers = { ...this.#callMembers, ...state.calls };
  }

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
      ...(length === 0
        ? {}
        : { tool_calls: this.#calls.map((call) => ({ ...call, ...this.#callMembers[call.id] })) }),
    };
  }
}

/** Adds one item. What nobody here knows is left out: the list of kinds grows every month. */
function addItem(list: MessageList, item: unknown, place: string): void {
  if (!isObject(item)) throw badMember(place, 'must be an object');
  switch (item['type'] ?? 'message') {
    case 'message':
      addMessage(list, item, place);
      break;
    case 'reasoning':
      addReasoning(list, item);
      break;
    case 'function_call':
      list.answer.call(
        textMember(item, 'call_id', place),
        upstreamName(textMember(item, 'name', place), nonEmptyText(item['namespace'])),
        stringMember(item, 'arguments', place),
      );
      break;
    case 'custom_tool_call':
      list.answer.call(
        textMember(item, 'call_id', place),
        upstreamName(textMember(item, 'name', place), nonEmptyText(item['namespace'])),
        customArguments(stringMember(item, 'input', place)),
      );
      break;
    case 'function_call_output':
    case 'custom_tool_call_output':
      list.output(textMember(item, 'call_id', place), outputOf(item['output'], `${place}.output`));
      break;
    case 'item_reference':
      throw noSuchItem(item, place);
    case 'compaction_trigger':
      throw badMember(
        place,
        'asks for a compaction by the server, which is not possible here',
        'Give the provider another name than OpenAI in the client: then it compacts by itself.',
      );
    default:
  }
}

function addMessage(list: MessageList, item: JsonObject, place: string): void {
  const { content } = item;
  if (typeof content !== 'string' && !Array.isArray(content))
    throw badMember(`${place}.content`, 'must be a text or a list of parts');
  switch (item['role']) {
    case 'assistant': {
      const parts = typeof content === 'string' ? [{ text: content }] : partsOf(content, place);
      const text = parts.map((part) => stringOf(part['text'])).join('');
      const refusal = parts.map((part) => stringOf(part['refusal'])).join('');
      list.answer.say(text, refusal, nonEmptyText(item['id']));
      break;
    }
    case 'system':
    case 'developer':
      list.system(
        typeof content === 'string'
          ? content
          : partsOf(content, place)
              .map((part) => stringOf(part['text']))
              .join('\n\n'),
      );
      break;
    case 'user': {
      const parts = typeof content === 'string' ? content : contentOf(content, place);
      list.add({ role: 'user', content: parts });
      break;
    }
    default:
      throw badMember(`${place}.role`, 'must be one of system, developer, user, assistant');
  }
}

/** Ours goes back upstream as it came; what another service thought is not this model's. */
function addReasoning(list: MessageList, item: JsonObject): void {
  const state = readState(item['encrypted_content']);
  if (state === undefined && !isOwnReasoning(item['id'])) return;
  const summary: unknown = item['summary'];
  const parts = Array.isArray(summary) ? (summary as readonly unknown[]) : [];
  const text = parts.map((part) => (isObject(part) ? stringOf(part['text']) : '')).join('');
  list.answer.think(text, state ?? {});
}

/** What a tool has said: its texts, and its images, which no message of a tool may hold. */
interface Output {
  readonly content: string | readonly ContentPart[];
  readonly images: readonly ContentPart[];
}

function outputOf(output: unknown, place: string): Output {
  if (typeof output === 'string') return { content: output, images: [] };
  if (!Array.isArray(output)) throw badMember(place, 'must be a text or a list of parts');
  const content = contentOf(output, place);
  if (typeof content === 'string') return { content, images: [] };
  const texts = content.filter((part) => part.type === 'text');
  const images = content.filter((part) => part.type !== 'text');
  const [only] = texts;
  const text = only === undefined ? 'The output is an image. It follows.' : only.text;
  return { content: texts.length > 1 ? texts : (text ?? ''), images };
}

/** A single text is a plain text, as most servers want it. */
function contentOf(content: readonly unknown[], place: string): string | readonly ContentPart[] {
  const parts = partsOf(content, place).flatMap((part, at) =>
    chatPart(part, `${place}.content[${at}]`),
  );
  const [only] = parts;
  if (parts.length === 0) return '';
  return parts.length === 1 && only?.type === 'text' ? (only.text ?? '') : parts;
}

function partsOf(content: readonly unknown[], place: string): readonly JsonObject[] {
  return content.map((part, at) => {
    if (!isObject(part)) throw badMember(`${place}.content[${at}]`, 'must be an object');
    return part;
  });
}

function chatPart(part: JsonObject, place: string): readonly ContentPart[] {
  switch (part['type']) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return [{ type: 'text', text: stringOf(part['text']) }];
    case 'input_image': {
      const url = nonEmptyText(part['image_url']);
      if (url === undefined) throw noFiles(place);
      const detail = nonEmptyText(part['detail']);
      return [
        { type: 'image_url', image_url: { url, ...(detail === undefined ? {} : { detail }) } },
      ];
    }
    case 'input_file': {
      const { filename, file_data: data } = part;
      if (nonEmptyText(data) === undefined) throw noFiles(place);
      return [
        {
          type: 'file',
          file: { ...(filename === undefined ? {} : { filename }), file_data: data },
        },
      ];
    }
    case 'input_audio':
      return [{ type: 'input_audio', input_audio: part['input_audio'] }];
    default:
      return [];
  }
}

function noFiles(place: string): ProxyError {
  return badMember(
    place,
    'names a file that is not in the request',
    'No files are kept here: send its content (`image_url` with a data URL, `file_data`).',
  );
}

/** As OpenAI answers where nothing was stored. */
function noSuchItem(item: JsonObject, place: string): ProxyError {
  const id = stringOf(item['id']);
  return new ProxyError(
    'not_found',
    `Item with id '${id}' not found. Items are not persisted here.`,
    { param: place, hint: 'Send the item itself: set `store` to false in the client.' },
  );
}

function textMember(item: JsonObject, name: string, place: string): string {
  const value = nonEmptyText(item[name]);
  if (value === undefined)
    throw badMember(`${place}.${name}`, 'must be a string that is not empty');
  return value;
}

function stringMember(item: JsonObject, name: string, place: string): string {
  const value = item[name];
  if (typeof value !== 'string') throw badMember(`${place}.${name}`, 'must be a string');
  return value;
}

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
