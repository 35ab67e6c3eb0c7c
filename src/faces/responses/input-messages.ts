import { ProxyError } from '../../errors.ts';
import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { ContentPart, Message } from '../../wire/types.ts';
import { readState } from '../carried-state.ts';
import { MessageList, outputOf, plainContent } from '../message-list.ts';
import { badMember, objectsIn, stringMember, stringOf, textMember } from '../request-body.ts';
import { answerOf, isOwnReasoning } from './item-ids.ts';
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
      list.output(
        textMember(item, 'call_id', place),
        outputOf(outputContent(item['output'], `${place}.output`)),
      );
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
      const parts =
        typeof content === 'string' ? [{ text: content }] : objectsIn(content, `${place}.content`);
      const text = parts.map((part) => stringOf(part['text'])).join('');
      const refusal = parts.map((part) => stringOf(part['refusal'])).join('');
      list.answer.say(text, answerOf(nonEmptyText(item['id'])), refusal);
      break;
    }
    case 'system':
    case 'developer':
      list.system(
        typeof content === 'string'
          ? content
          : objectsIn(content, `${place}.content`)
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

function outputContent(output: unknown, place: string): string | readonly ContentPart[] {
  if (typeof output === 'string') return output;
  if (!Array.isArray(output)) throw badMember(place, 'must be a text or a list of parts');
  return contentOf(output, place);
}

function contentOf(content: readonly unknown[], place: string): string | readonly ContentPart[] {
  const parts = objectsIn(content, `${place}.content`).flatMap((part, at) =>
    chatPart(part, `${place}.content[${at}]`),
  );
  return plainContent(parts);
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
