import { isUtf8 } from 'node:buffer';
import { ProxyError } from '../errors.ts';
import { parseMessage } from '../wire/request.ts';
import type { Message } from '../wire/types.ts';
import { mayHoldHalves, wellFormed } from '../wire/well-formed.ts';
import type { RawMessage } from './split-body.ts';
import { placesIn } from './answer-memory.ts';
import { isPruned, signsOf } from '../clients/known-clients.ts';
import { joinPieces, shapeOf, textOfPieces } from '../wire/unparsed-message.ts';
import type { MessageFacts } from './request-message.ts';
import { clientText, identityOf } from './identity.ts';
import { sizeOfMessage } from './message-size.ts';
import { holdsProgress } from './progress.ts';
import { readLargeMessage } from './large-text.ts';
import { withoutLargeTexts } from './message-texts.ts';

/**
 * Messages of this size are read in slices and not parsed, bytes: about 5 ms of `JSON.parse` and
 * hashing.
 */
const largeMessageBytes = 1_048_576;

/** A message seen for the first time: parsed, or read without being parsed. */
export interface ReadMessage {
  readonly facts: MessageFacts;
  readonly original?: Message;
  /** The JSON that {@link original} was read from. */
  readonly text?: string;
  /** In place of {@link original}: a message whose large texts were left out. */
  readonly frame?: Message;
}

/** Reads the message at `at`. @throws ProxyError `invalid_request` */
export async function readMessage(raw: RawMessage, at: number): Promise<ReadMessage> {
  if (raw.sizeBytes >= largeMessageBytes) {
    const large = await readLargeMessage(raw.pieces, raw.sizeBytes);
    if (large !== undefined) {
      const frame = withoutLargeTexts(parseMessage(large.frame, at), large.texts);
      const facts = factsOf(frame);
      if (frame === large.frame) return { facts, frame };
      return { facts: { ...facts, mustBeWritten: true }, frame };
    }
  }
  const text = textOfPieces(raw.pieces);
  const parsed = parseJson(text, at);
  const original = parseMessage(mayHoldHalves(text) ? wellFormed(parsed) : parsed, at);
  const facts = factsOf(original);
  if (original === parsed && isWhole(raw)) return { facts, original, text };
  return { facts: { ...facts, mustBeWritten: true }, original, text };
}

/**
 * Whether a message's bytes are UTF-8. Only whole ones are looked at: a piece can end within a
 * character.
 */
function isWhole({ pieces }: RawMessage): boolean {
  return isUtf8(joinPieces(pieces));
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

function factsOf(message: Message): MessageFacts {
  const places = placesIn(clientText(message));
  const base = {
    identity: identityOf(message),
    shape: shapeOf(message),
    size: sizeOfMessage(message),
    ...(places === '' ? {} : { places }),
  };
  if (holdsProgress(message)) return { ...base, holdsProgress: true };
  if (message.role === 'tool' && isPruned(message.content)) return { ...base, isPruned: true };
  const signs = signsOf(message);
  return signs === undefined ? base : { ...base, signs };
}
