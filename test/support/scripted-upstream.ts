/**
 * A provider under the test's control: a real HTTP server that answers each chat request with the
 * next reply of its script and remembers what it was asked.
 *
 * ```ts
 * await using upstream = await startScriptedUpstream();
 * upstream.script(
 *   reply(toolCall('rlm_search', { pattern: 'needle' }), finish('tool_calls'), done()), // 1st
 *   request
 *   status(429, { error: { message: 'slow down' } }, { 'retry-after': '1' }),           // 2nd
 *   (request) => answer(`You sent ${request.body.messages.length} messages.`),           // 3rd
 * );
 * // point the proxy at upstream.baseURL, then
 * assert.equal(upstream.requests[0].body.messages.length, 2);
 * assert.equal(upstream.requests[1].headers['authorization'], 'Bearer test-key');
 * await upstream.nthRequest(3);          // resolves when the third request is in
 * await upstream.requests[2].ended;      // resolves when its reply is over; then .aborted tells
 * who ended it
 *
 * const gate = new Gate();               // hold a stream in the middle, let go when the test wants
 * upstream.script(reply(text('Hel'), gate, text('lo'), finish(), done()));
 * gate.open();
 * ```
 *
 * A reply's steps: {@link chunk} and its short forms ({@link role}, {@link text}, {@link
 * reasoning}, {@link toolCall}, {@link toolDelta}, {@link finish}, {@link usage}), {@link done},
 * {@link comment}, {@link raw}, {@link stall}, {@link cut}, {@link flood}, a {@link Gate}. Around a
 * whole reply: {@link splitEvery}, {@link cutAfterBytes}, {@link gzipped}, {@link keepOpen}, {@link
 * withHead}. A request without a reply left gets {@link ScriptedUpstream.otherwise}, else a 500
 * that says so.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';
import { constants, createGzip } from 'node:zlib';
import type { PlainRequest, Usage } from '../../src/wire/types.ts';

/** Something that stays shut until the test opens it. */
export class Gate {
  readonly #opened = Promise.withResolvers<void>();

  /** Lets everybody through, for ever. */
  open(): void {
    this.#opened.resolve();
  }

  get opened(): Promise<void> {
    return this.#opened.promise;
  }
}

/** One thing a reply does. */
export type Step =
  | { readonly send: string | Uint8Array }
  | { readonly flood: string; readonly times: number }
  | { readonly end: 'stall' | 'cut' }
  | Gate;

/** How one request is answered. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
  readonly splitEveryBytes?: number;
  readonly cutAfterBytes?: number;
  readonly gzip?: boolean;
  readonly keepOpen?: boolean;
  /** Steps before the head is sent: a provider that takes its time. */
  readonly before?: readonly Step[];
}

/** A reply, or what makes one out of the request. */
export type ScriptedReply = Reply | ((request: RecordedRequest) => Reply | Promise<Reply>);

/** What the server saw of one request. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly rawBody: Buffer;
  /** The parsed body; an empty request for GET. */
  readonly body: PlainRequest;
  /** True when the other side went away before the reply was over. */
  aborted: boolean;
  /** Body bytes handed to the socket so far. */
  sentBytes: number;
  /** Chat requests that were being answered when this one came in, itself included. */
  readonly overlap: number;
  /** Resolves when the reply is over, by whosever hand. */
  readonly ended: Promise<void>;
}

/** The running server. */
export interface ScriptedUpstream {
  /** What goes into the configuration: `http://127.0.0.1:PORT/v1`. */
  readonly baseURL: string;
  /**
   * Without the `/v1`, for path prefixes: every path that ends in `/chat/completions` is served.
   */
  readonly origin: string;
  /** Chat requests in the order they came; other requests are in {@link otherRequests}. */
  readonly requests: RecordedRequest[];
  readonly otherRequests: RecordedRequest[];
  /** What `GET .../models` answers with: ids, or a reply of its own. */
  models: readonly string[] | Reply;
  /** What every other path answers with; absent: that there is none. */
  others: Reply | undefined;
  /** Appends replies, one for each coming chat request. */
  script(...replies: readonly ScriptedReply[]): void;
  /** The reply for chat requests when the script is over. */
  otherwise(reply: ScriptedReply): void;
  /** Resolves when the n-th chat request (from 1) has come in whole. */
  nthRequest(n: number): Promise<RecordedRequest>;
  /** Sockets that were opened so far. */
  readonly connections: number;
  /** The most chat requests that were ever open at the same time. */
  readonly mostOverlap: number;
  [Symbol.asyncDispose](): Promise<void>;
}

const base = { id: 'chatcmpl-scripted', object: 'chat.completion.chunk', created: 1_700_000_000 };

/** A `data:` frame holding any JSON value. */
export function frame(value: unknown): Step {
  return { send: `data: ${JSON.stringify(value)}\n\n` };
}

/** A normal chunk with this delta; `more` overrides or adds members of the choice. */
export function chunk(delta: unknown, more: Readonly<Record<string, unknown>> = {}): Step {
  const choices = [{ index: 0, delta, finish_reason: null, ...more }];
  return frame({ ...base, model: 'scripted-model', choices });
}

/** The first chunk that most providers send. */
export function role(): Step {
  return chunk({ role: 'assistant', content: '' });
}

/** One chunk a piece of visible text. */
export function text(content: string): Step {
  return chunk({ content });
}

/** One chunk a piece of reasoning. */
export function reasoning(content: string, field = 'reasoning_content'): Step {
  return chunk({ [field]: content });
}

/** A whole tool call in one chunk. `args` is stringified unless it is a string already. */
export function toolCall(
  name: string,
  args: unknown,
  { id = `call_${name}`, index = 0 }: { id?: string; index?: number } = {},
): Step {
  const json = typeof args === 'string' ? args : JSON.stringify(args);
  return chunk({
    tool_calls: [{ index, id, type: 'function', function: { name, arguments: json } }],
  });
}

/** A piece of a tool call exactly as given. */
export function toolDelta(...deltas: readonly unknown[]): Step {
  return chunk({ tool_calls: deltas });
}

/** The chunk that ends the turn. */
export function finish(reason = 'stop', more: Readonly<Record<string, unknown>> = {}): Step {
  return chunk({}, { finish_reason: reason, ...more });
}

/** Numbers that {@link usage} and {@link answer} report. */
export const scriptedUsage: Usage = {
  prompt_tokens: 1_000,
  completion_tokens: 20,
  total_tokens: 1_020,
  prompt_tokens_details: { cached_tokens: 900 },
};

/** The chunk without choices that reports the usage. */
export function usage(counts: Usage = scriptedUsage): Step {
  return frame({ ...base, model: 'scripted-model', choices: [], usage: counts });
}

/** `data: [DONE]`. */
export function done(): Step {
  return { send: 'data: [DONE]\n\n' };
}

/** An SSE comment. */
export function comment(words: string): Step {
  return { send: `: ${words}\n\n` };
}

/** Bytes or text as they are. */
export function raw(bytes: string | Uint8Array): Step {
  return { send: bytes };
}

/** Nothing more comes, the socket stays open until the other side goes. */
export function stall(): Step {
  return { end: 'stall' };
}

/** The socket is destroyed. */
export function cut(): Step {
  return { end: 'cut' };
}

/** `times` copies of a chunk of text, written only as fast as the reader reads. */
export function flood(content: string, times: number): Step {
  const step = text(content);
  return { flood: 'send' in step ? String(step.send) : '', times };
}

/** A 200 event stream made of these steps. */
export function reply(...steps: readonly Step[]): Reply {
  return { status: 200, headers: { 'content-type': 'text/event-stream' }, steps };
}

/** A plain good answer: role, the text in a few pieces, finish, usage, `[DONE]`. */
export function answer(content: string, pieceChars = 8): Reply {
  const pieces: Step[] = [];
  const characters = Array.from(content);
  for (let at = 0; at < characters.length; at += pieceChars) {
    pieces.push(text(characters.slice(at, at + pieceChars).join('')));
  }
  return reply(role(), ...pieces, finish(), usage(), done());
}

/** A plain turn that calls tools: role, the calls whole, finish `tool_calls`, usage, `[DONE]`. */
export function callTools(
  ...calls: readonly { readonly name: string; readonly args: unknown; readonly id?: string }[]
): Reply {
  const steps = calls.map((call, index) =>
    toolCall(call.name, call.args, { index, ...(call.id === undefined ? {} : { id: call.id }) }),
  );
  return reply(role(), ...steps, finish('tool_calls'), usage(), done());
}

/** Two pieces of reasoning, two of text, and then two calls of a tool that runs commands. */
export function thinksAndCalls(tool: string): Reply {
  return reply(
    role(),
    reasoning('Hm. '),
    reasoning('So.'),
    text('I shall look'),
    text(' into it.'),
    toolCall(tool, { command: 'ls' }, { id: 'call_a' }),
    toolCall(tool, { command: 'pwd' }, { id: 'call_b', index: 1 }),
    finish('tool_calls'),
    usage(),
    done(),
  );
}

/** A reply that is no stream: a status, and a JSON value or plain text. */
export function status(
  code: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const isText = typeof body === 'string';
  return {
    status: code,
    headers: { 'content-type': isText ? 'text/plain' : 'application/json', ...headers },
    steps: [raw(isText ? body : JSON.stringify(body))],
  };
}

/** The same reply in pieces of at most so many bytes, each in a socket write of its own. */
export function splitEvery(sizeBytes: number, plain: Reply): Reply {
  return { ...plain, splitEveryBytes: sizeBytes };
}

/** The same reply, the socket destroyed after so many body bytes. */
export function cutAfterBytes(sizeBytes: number, plain: Reply): Reply {
  return { ...plain, cutAfterBytes: sizeBytes };
}

/** The same reply with `content-encoding: gzip`, flushed after each write. */
export function gzipped(plain: Reply): Reply {
  return { ...plain, gzip: true };
}

/** The same reply, but the socket is left open after the last step. */
export function keepOpen(plain: Reply): Reply {
  return { ...plain, keepOpen: true };
}

/**
 * The same reply with other headers, or with steps (a gate, a stall, a cut) before the head is
 * sent.
 */
export function withHead(
  plain: Reply,
  head: { readonly headers?: Readonly<Record<string, string>>; readonly before?: readonly Step[] },
): Reply {
  return {
    ...plain,
    headers: { ...plain.headers, ...head.headers },
    ...(head.before === undefined ? {} : { before: head.before }),
  };
}

/**
 * Starts the server on a free port of the loopback interface. Dispose of it, or the test run hangs.
 */
export async function startScriptedUpstream(): Promise<ScriptedUpstream> {
  const state = new ServerState();
  const server = createServer((incoming, response) => {
    state.serve(incoming, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
  server.on('connection', () => {
    state.connections += 1;
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  // A TCP server listening on a host and port has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return Object.assign(state, {
    origin,
    baseURL: `${origin}/v1`,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  });
}

class ServerState {
  readonly requests: RecordedRequest[] = [];
  readonly otherRequests: RecordedRequest[] = [];
  models: readonly string[] | Reply = ['scripted-model'];
  others: Reply | undefined;
  mostOverlap = 0;
  connections = 0;
  #open = 0;
  readonly #replies: ScriptedReply[] = [];
  #otherwise: ScriptedReply = status(500, {
    error: { message: 'The script of this test is over.' },
  });
  readonly #waiting: { readonly n: number; readonly resolve: (r: RecordedRequest) => void }[] = [];

  script(...replies: readonly ScriptedReply[]): void {
    this.#replies.push(...replies);
  }

  otherwise(plain: ScriptedReply): void {
    this.#otherwise = plain;
  }

  nthRequest(n: number): Promise<RecordedRequest> {
    const known = this.requests[n - 1];
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => this.#waiting.push({ n, resolve }));
  }

  async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = incoming.url ?? '/';
    const isChat = incoming.method === 'POST' && path.split('?')[0]!.endsWith('/chat/completions');
    if (isChat) this.mostOverlap = Math.max(this.mostOverlap, ++this.#open);
    const overlap = this.#open;
    const ended = Promise.withResolvers<void>();
    let request: RecordedRequest | undefined;
    response.once('close', () => {
      if (isChat) this.#open -= 1;
      if (request !== undefined)
        request.aborted = !response.writableFinished && !cutByUs.has(response);
      ended.resolve();
    });
    const rawBody = Buffer.concat(await Array.fromAsync<Buffer>(incoming));
    request = {
      method: incoming.method ?? 'GET',
      path,
      headers: incoming.headers,
      rawBody,
      body: rawBody.length === 0 ? { model: '', messages: [] } : JSON.parse(rawBody.toString()),
      aborted: false,
      sentBytes: 0,
      overlap,
      ended: ended.promise,
    };
    await send(await this.#replyTo(request, isChat), response, request);
  }

  async #replyTo(request: RecordedRequest, isChat: boolean): Promise<Reply> {
    if (!isChat) {
      this.otherRequests.push(request);
      if (!request.path.split('?')[0]!.endsWith('/models')) {
        const none = `The script knows no ${request.path}.`;
        return this.others ?? status(404, { error: { message: none } });
      }
      if ('status' in this.models) return this.models;
      const list = this.models.map((id) => ({ id, object: 'model', created: 1, owned_by: 'test' }));
      return status(200, { object: 'list', data: list });
    }
    const n = this.requests.push(request);
    for (const waiter of this.#waiting) if (waiter.n === n) waiter.resolve(request);
    const next = this.#replies.shift() ?? this.#otherwise;
    return typeof next === 'function' ? next(request) : next;
  }
}

/** Responses that the script itself destroyed. */
const cutByUs = new WeakSet<ServerResponse>();

async function send(
  plain: Reply,
  response: ServerResponse,
  request: RecordedRequest,
): Promise<void> {
  const writer = new ReplyWriter(plain, response, request);
  for (const step of plain.before ?? []) if (!(await writer.run(step))) return;
  const encoding = plain.gzip === true ? { 'content-encoding': 'gzip' } : {};
  response.socket?.setNoDelay(true);
  response.writeHead(plain.status, { ...plain.headers, ...encoding });
  response.flushHeaders();
  for (const step of plain.steps) if (!(await writer.run(step))) return;
  await writer.flush();
  if (plain.keepOpen !== true) response.end();
}

class ReplyWriter {
  readonly #plain: Reply;
  readonly #response: ServerResponse;
  readonly #request: RecordedRequest;
  readonly #gzip: ReturnType<typeof createGzip> | undefined;

  constructor(plain: Reply, response: ServerResponse, request: RecordedRequest) {
    this.#plain = plain;
    this.#response = response;
    this.#request = request;
    this.#gzip = plain.gzip === true ? createGzip() : undefined;
  }

  /** Does one step. False when the reply is over. */
  async run(step: Step): Promise<boolean> {
    if (step instanceof Gate) {
      await Promise.race([step.opened, this.#request.ended]);
      return !this.#response.destroyed;
    }
    if ('end' in step) {
      if (step.end === 'cut') this.#cut();
      return false;
    }
    const times = 'flood' in step ? step.times : 1;
    const bytes = Buffer.from('flood' in step ? step.flood : step.send);
    for (let n = 0; n < times; n += 1) if (!(await this.#write(bytes))) return false;
    return true;
  }

  /** Ends the compressed stream. */
  async flush(): Promise<void> {
    const gzip = this.#gzip;
    if (gzip === undefined) return;
    gzip.end();
    for await (const bytes of gzip) await this.#put(bytes);
  }

  async #write(bytes: Buffer): Promise<boolean> {
    if (this.#gzip === undefined) return this.#putInPieces(bytes);
    this.#gzip.write(bytes);
    await new Promise<void>((resolve) => {
      this.#gzip?.flush(constants.Z_SYNC_FLUSH, resolve);
    });
    const packed: unknown = this.#gzip.read();
    return Buffer.isBuffer(packed) ? this.#putInPieces(packed) : true;
  }

  async #putInPieces(bytes: Buffer): Promise<boolean> {
    const size = this.#plain.splitEveryBytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += size) {
      if (!(await this.#put(bytes.subarray(at, at + size)))) return false;
      // Let the reader's socket have this piece before the next one is written.
      if (this.#plain.splitEveryBytes !== undefined) await nextRound();
    }
    return true;
  }

  async #put(bytes: Buffer): Promise<boolean> {
    const left = (this.#plain.cutAfterBytes ?? Infinity) - this.#request.sentBytes;
    const piece = bytes.length > left ? bytes.subarray(0, left) : bytes;
    if (this.#response.destroyed) return false;
    this.#request.sentBytes += piece.length;
    if (!this.#response.write(piece)) {
      const drained = new Promise<void>((resolve) => {
        this.#response.once('drain', resolve);
      });
      await Promise.race([drained, this.#request.ended]);
    }
    if (piece.length < bytes.length || piece.length === left) {
      this.#cut();
      return false;
    }
    return !this.#response.destroyed;
  }

  #cut(): void {
    cutByUs.add(this.#response);
    if (!this.#response.headersSent) {
      this.#response.socket?.destroy();
      return;
    }
    // Write what is buffered first: a cut happens after these bytes, not instead of them.
    this.#response.write('', () => this.#response.socket?.destroy());
  }
}
