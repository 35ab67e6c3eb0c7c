import { setImmediate } from 'node:timers/promises';
import { ProxyError } from '../errors.ts';
import { BodySplitter } from '../history/split-body.ts';
import { parseEnvelopeJson } from '../wire/envelope-json.ts';
import { isObject, nonEmptyText, type JsonObject } from '../wire/json.ts';
import type { Envelope, Message } from '../wire/types.ts';
import { textOfPieces } from '../wire/unparsed-message.ts';

/** Translated messages are handed on in pieces of about this size, UTF-16 units. */
const pieceChars = 65_536;

/** So much is parsed or written in one go before others get their turn, bytes: some 5 ms. */
const burstBytes = 524_288;

/**
 * A request in another protocol, as an object. Its list is parsed element by element while it
 * arrives, so that a history of megabytes keeps nobody waiting. Numbers inside of it keep their
 * digits.
 * @param listName The member that holds the conversation; it may be something else than a list
 * @throws ProxyError `invalid_request`, and what reading the body throws
 */
export async function readRequestJson(
  body: AsyncIterable<Buffer>,
  listName = 'messages',
): Promise<JsonObject> {
  const splitter = new BodySplitter(listName);
  const elements: unknown[] = [];
  let parsedBytes = 0;
  for await (const piece of body)
    for (const { pieces, sizeBytes } of splitter.feed(piece)) {
      elements.push(parse(textOfPieces(pieces)));
      parsedBytes += sizeBytes;
      if (parsedBytes < burstBytes) continue;
      parsedBytes = 0;
      await setImmediate();
    }
  const request = parse(splitter.end(false).toString());
  if (!isObject(request))
    throw new ProxyError('invalid_request', 'The request body must be a JSON object.');
  return elements.length === 0 ? request : { ...request, [listName]: elements };
}

function parse(json: string): unknown {
  try {
    return parseEnvelopeJson(json);
  } catch (cause) {
    throw new ProxyError('invalid_request', 'The request body is not valid JSON.', { cause });
  }
}

/**
 * The body of a request for a chat completion, made while it is read. The same messages are the
 * same bytes in every turn, whatever stands behind them: so they are known again.
 */
export async function* chatBody(
  envelope: Envelope,
  messages: Iterable<Message>,
): AsyncGenerator<Buffer, void, void> {
  let piece = `${JSON.stringify(envelope).slice(0, -1)},"messages":[`;
  let isFirst = true;
  let writtenBytes = 0;
  for (const message of messages) {
    piece += `${isFirst ? '' : ','}${JSON.stringify(message)}`;
    isFirst = false;
    if (piece.length < pieceChars) continue;
    const bytes = Buffer.from(piece);
    piece = '';
    writtenBytes += bytes.length;
    yield bytes;
    if (writtenBytes < burstBytes) continue;
    writtenBytes = 0;
    await setImmediate();
  }
  yield Buffer.from(`${piece}]}`);
}

/** For a member of a request that is not as its protocol wants it. */
export function badMember(param: string, problem: string, hint?: string): ProxyError {
  return new ProxyError('invalid_request', `\`${param}\` ${problem}.`, { param, hint });
}

/** A member that must be a text. @throws ProxyError `invalid_request` */
export function textMember(item: JsonObject, name: string, place: string): string {
  const value = nonEmptyText(item[name]);
  if (value === undefined)
    throw badMember(`${place}.${name}`, 'must be a string that is not empty');
  return value;
}

/** The same, where it may be empty. @throws ProxyError `invalid_request` */
export function stringMember(item: JsonObject, name: string, place: string): string {
  const value = item[name];
  if (typeof value !== 'string') throw badMember(`${place}.${name}`, 'must be a string');
  return value;
}

/** The text, or an empty one for anything else. */
export function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * A number under its name in chat completions; nothing where there is none. @throws ProxyError
 * `invalid_request`
 */
export function numberMember(request: JsonObject, name: string, chatName = name): JsonObject {
  const value = request[name];
  if (value === undefined || value === null) return {};
  if (typeof value !== 'number') throw badMember(name, 'must be a number');
  return { [chatName]: value };
}

/** A list whose elements must be objects. @throws ProxyError `invalid_request` */
export function objectsIn(list: readonly unknown[], place: string): readonly JsonObject[] {
  return list.map((part, at) => {
    if (!isObject(part)) throw badMember(`${place}[${at}]`, 'must be an object');
    return part;
  });
}
