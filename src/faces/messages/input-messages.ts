import type { ProxyError } from '../../errors.ts';
import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { ContentPart, Message } from '../../wire/types.ts';
import { readState } from '../carried-state.ts';
import { type Answer, MessageList, outputOf, plainContent, reminderOf } from '../message-list.ts';
import { badMember, objectsIn, stringOf, textMember } from '../request-body.ts';
import { fittingName } from '../tool-name.ts';
import { argumentsOf } from './tool-input.ts';

/**
 * The conversation of a request as chat messages. Pure, and stable: what was sent before becomes
 * the same messages again, whatever has come behind it and wherever the client's marks for a cache
 * (`cache_control`) stand, so that it is known and the provider's cache holds.
 * @throws ProxyError `invalid_request`, naming the block at fault
 */
export function messagesOf(system: unknown, messages: unknown): readonly Message[] {
  const translation = new Translation();
  const lead = systemText(system);
  if (lead !== '') translation.list.system(lead);
  if (!Array.isArray(messages)) throw badMember('messages', 'must be a list of messages');
  for (const [at, message] of objectsIn(messages as readonly unknown[], 'messages').entries())
    translation.add(message, `messages[${at}]`);
  return translation.end();
}

/**
 * The system prompt's text. The client's billing line is not for a model: with its hash, which is
 * another one in each conversation, no two conversations would begin alike.
 */
function systemText(system: unknown): string {
  if (system === undefined || system === null) return '';
  return blocksOf(system, 'system')
    .map((block) => stringOf(block['text']))
    .filter((text) => text !== '' && !text.startsWith('x-anthropic-billing-header:'))
    .join('\n\n');
}

/** The messages so far, and what a user has said last, which is not whole yet. */
class Translation {
  readonly list = new MessageList();
  #said: ContentPart[] | undefined;
  #hasTurns = false;

  add(message: JsonObject, place: string): void {
    const content = blocksOf(message['content'], `${place}.content`);
    switch (message['role']) {
      case 'user':
        this.#endUser();
        this.#hasTurns = true;
        this.#user(content, `${place}.content`);
        break;
      case 'assistant':
        this.#endUser();
        this.#hasTurns = true;
        for (const [at, block] of content.entries())
          addAnswer(this.list.answer, block, { place: `${place}.content[${at}]`, source: place });
        break;
      case 'system':
        this.#system(content);
        break;
      default:
        throw badMember(`${place}.role`, 'must be one of user, assistant, system');
    }
  }

  end(): readonly Message[] {
    this.#endUser();
    return this.list.end();
  }

  /** Results of tools come first, whatever stands before them: they belong behind their calls. */
  #user(content: readonly JsonObject[], place: string): void {
    for (const [at, block] of content.entries()) {
      if (block['type'] !== 'tool_result') continue;
      const id = textMember(block, 'tool_use_id', `${place}[${at}]`);
      this.list.output(id, outputOf(resultContent(block, `${place}[${at}]`)));
    }
    const parts = content.flatMap((block, at) =>
      block['type'] === 'tool_result' ? [] : partsOf(block, `${place}[${at}]`),
    );
    if (parts.length > 0) this.#said = parts;
  }

  /**
   * A message of the system in the middle of a conversation is a reminder in what the user says,
   * right there, as this protocol's own models get it: many providers take a system message only at
   * the beginning. Whether it counts for one turn only (`clear_at`) makes no difference: taken out
   * later it would change what was sent before.
   */
  #system(content: readonly JsonObject[]): void {
    const text = content
      .map((block) => stringOf(block['text']))
      .filter((each) => each !== '')
      .join('\n\n');
    if (text === '') return;
    if (!this.#hasTurns) this.list.system(text);
    else (this.#said ??= []).push({ type: 'text', text: reminderOf(text) });
  }

  #endUser(): void {
    if (this.#said !== undefined)
      this.list.add({ role: 'user', content: plainContent(this.#said) });
    this.#said = undefined;
  }
}

/** A text is a list with one block of text. */
function blocksOf(content: unknown, place: string): readonly JsonObject[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  if (content === undefined || content === null) return [];
  if (!Array.isArray(content)) throw badMember(place, 'must be a text or a list of blocks');
  return objectsIn(content as readonly unknown[], place);
}

/** Adds a block that the model has written. What Anthropic's own tools did stays out. */
function addAnswer(
  answer: Answer,
  block: JsonObject,
  { place, source }: { readonly place: string; readonly source: string },
): void {
  switch (block['type']) {
    case 'text':
      answer.say(stringOf(block['text']), source);
      break;
    case 'thinking': {
      // Ours goes back upstream as it came; what another model thought is not this one's.
      const state = readState(block['signature']);
      if (state !== undefined) answer.think(stringOf(block['thinking']), state);
      break;
    }
    case 'tool_use':
      answer.call(
        textMember(block, 'id', place),
        fittingName(textMember(block, 'name', place)),
        argumentsOf(block['input']),
      );
      break;
    default:
  }
}

/**
 * What a tool has said. That it is an error is said in its text, where that does not tell: chat
 * completions have no other place for it.
 */
function resultContent(block: JsonObject, place: string): string | readonly ContentPart[] {
  const content = plainContent(
    blocksOf(block['content'], `${place}.content`).flatMap((part, at) =>
      partsOf(part, `${place}.content[${at}]`),
    ),
  );
  if (block['is_error'] !== true) return content;
  if (typeof content === 'string') return tellsError.test(content) ? content : `Error: ${content}`;
  const first = content.find((part) => part.type === 'text');
  return tellsError.test(first?.text ?? '')
    ? content
    : [{ type: 'text', text: 'Error:' }, ...content];
}

/** A beginning that says of a text that it is an error. */
const tellsError = /^\W*(?:<tool_use_error>|\w*error\b)/i;

/** A block as parts of a message: of kinds that nobody here knows, their text. */
function partsOf(block: JsonObject, place: string): readonly ContentPart[] {
  switch (block['type']) {
    case 'image':
      return [{ type: 'image_url', image_url: { url: imageUrl(block['source'], place) } }];
    case 'document':
      return documentParts(block, place);
    case 'search_result': {
      const texts = blocksOf(block['content'], `${place}.content`).map((each) =>
        stringOf(each['text']),
      );
      return textPart([stringOf(block['title']), stringOf(block['source']), ...texts]);
    }
    case 'tool_reference':
      return textPart([`The tool ${stringOf(block['tool_name'])} can be called now.`]);
    default:
      return textPart([stringOf(block['text'])]);
  }
}

function textPart(texts: readonly string[]): readonly ContentPart[] {
  const text = texts.filter((each) => each !== '').join('\n');
  return text === '' ? [] : [{ type: 'text', text }];
}

function imageUrl(source: unknown, place: string): string {
  const { type, url, media_type: mediaType, data } = isObject(source) ? source : {};
  if (type === 'base64') return `data:${stringOf(mediaType)};base64,${stringOf(data)}`;
  const address = nonEmptyText(url);
  if (type !== 'url' || address === undefined) throw noFiles(place);
  return address;
}

function documentParts(block: JsonObject, place: string): readonly ContentPart[] {
  const { source, title, context } = block;
  const head = [stringOf(title), stringOf(context)];
  if (!isObject(source)) throw badMember(`${place}.source`, 'must be an object');
  switch (source['type']) {
    case 'text':
      return textPart([...head, stringOf(source['data'])]);
    case 'content':
      return [
        ...textPart(head),
        ...blocksOf(source['content'], `${place}.source.content`).flatMap((part, at) =>
          partsOf(part, `${place}.source.content[${at}]`),
        ),
      ];
    case 'base64': {
      const filename = nonEmptyText(title) ?? 'document.pdf';
      const data = `data:${stringOf(source['media_type'])};base64,${stringOf(source['data'])}`;
      return [{ type: 'file', file: { filename, file_data: data } }];
    }
    default:
      throw noFiles(place);
  }
}

function noFiles(place: string): ProxyError {
  return badMember(
    `${place}.source`,
    'names a file that is not in the request',
    'No files are kept or fetched here: send its content (`base64`, or `text` for a document).',
  );
}
