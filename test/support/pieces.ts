import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

/** Where a chat request goes that is sent in pieces. */
interface Destination {
  /** With `/v1`. */
  readonly baseURL: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What came back. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * Posts a chat request piece by piece. Each piece is a chunk of the transfer encoding, so the
 * server reads it for itself however the network joins them, and none is held once it has gone.
 */
export async function postPieces(
  { baseURL, headers = {} }: Destination,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<Answer> {
  const answered = Promise.withResolvers<IncomingMessage>();
  const sent = request(
    `${baseURL}/chat/completions`,
    { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
    answered.resolve,
  );
  sent.on('error', answered.reject);
  for await (const piece of pieces) if (!sent.write(piece)) await once(sent, 'drain');
  sent.end();
  const response = await answered.promise;
  const text = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString();
  return { status: response.statusCode ?? 0, text };
}

/** Bytes in pieces of one size, the last one shorter. */
export function* cutEvery(bytes: Uint8Array, sizeBytes: number): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += sizeBytes) yield bytes.subarray(at, at + sizeBytes);
}
