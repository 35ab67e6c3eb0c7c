import { ProxyError } from '../errors.ts';
import { workingDirectoryOf } from '../opencode/environment.ts';
import { rememberJson } from '../wire/message-json.ts';
import { parseMessage } from '../wire/request.ts';
import type { Message } from '../wire/types.ts';
import type { RawMessage } from './body.ts';
import { isPruned } from './capture.ts';
import { textOfPieces, type KnownMessage } from './history.ts';
import { identityOf, visibleText } from './identity.ts';
import { readLargeMessage, type LargeMessage } from './large-message.ts';

/** Messages of this size are read in slices and not parsed, bytes: about 5 ms of `JSON.parse` and hashing. */
const largeMessageBytes = 1_048_576;

/** A message seen for the first time: parsed, or read without being parsed. */
export interface ReadMessage {
  readonly known: KnownMessage;
  readonly original?: Message;
  readonly large?: LargeMessage;
}

/** Reads the message at `at`. @throws ProxyError `invalid_request` */
export async function readMessage(raw: RawMessage, at: number): Promise<ReadMessage> {
  if (raw.sizeBytes >= largeMessageBytes) {
    const large = await readLargeMessage(raw.pieces, raw.sizeBytes);
    if (large !== undefined)
      return { known: knownOf(parseMessage(large.frame, at), large.texts), large };
  }
  const json = textOfPieces(raw.pieces);
  const parsed = parseJson(json, at);
  const original = parseMessage(parsed, at);
  if (original === parsed) rememberJson(original, json);
  return { known: knownOf(original), original };
}

function parseJson(json: string, at: number): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new ProxyError('invalid_request', `messages[${at}] is not valid JSON.`, {
      cause,
      param: `messages[${at}]`,
    });
  }
}

function knownOf(message: Message, large?: LargeMessage['texts']): KnownMessage {
  const identity = identityOf(message, large);
  if (message.role === 'tool' && isPruned(message)) return { identity, isPruned: true };
  if (message.role !== 'system' && message.role !== 'developer') return { identity };
  const workingDirectory = workingDirectoryOf(visibleText(message));
  return workingDirectory === undefined ? { identity } : { identity, workingDirectory };
}
