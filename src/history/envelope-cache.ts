import { hash } from 'node:crypto';
import { ProxyError } from '../errors.ts';
import { parseEnvelopeJson } from '../wire/envelope-json.ts';
import { isObject } from '../wire/json.ts';
import { parseEnvelope } from '../wire/request.ts';
import type { Envelope } from '../wire/types.ts';
import { LruMap } from '../base/lru-map.ts';

/**
 * Envelopes kept: a client's tools are 50 KB and more, and the same in every turn of every chat.
 */
const maxKept = 32;

/**
 * Parses envelopes (requests without their messages), and knows those that came lately by their
 * hash.
 */
export class EnvelopeCache {
  readonly #byHash = new LruMap<string, Envelope>(maxKept);

  /** The same object for the same bytes. @throws ProxyError `invalid_request` */
  parse(json: Buffer): Envelope {
    const key = hash('sha256', json, 'base64');
    const known = this.#byHash.get(key);
    if (known !== undefined) return known;
    const envelope = parse(json);
    this.#byHash.set(key, envelope);
    return envelope;
  }
}

function parse(json: Buffer): Envelope {
  let parsed: unknown;
  try {
    parsed = parseEnvelopeJson(json.toString());
  } catch (cause) {
    throw new ProxyError('invalid_request', 'The request body is not valid JSON.', { cause });
  }
  if (!isObject(parsed))
    throw new ProxyError('invalid_request', 'The request body must be a JSON object.');
  return parseEnvelope(parsed);
}
