import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Message } from '../../src/wire/types.ts';

/** Bytes of prompt that this provider takes for a token. */
const bytesPerToken = 3.6;

/** What the provider saw of one request. */
export interface Seen {
  readonly promptTokens: number;
  /** Whether it began with all that the request before it had. */
  readonly extendsLast: boolean;
}

/** A provider that counts honestly and answers as it is told. */
export interface SoakUpstream {
  readonly baseURL: string;
  readonly seen: Seen[];
  /** The next completions: messages of the assistant. */
  readonly lines: Message[];
  /** The newest request's messages. */
  readonly last: () => readonly string[];
  readonly close: () => void;
}

/** Starts it on a free port. */
export async function startSoakUpstream(): Promise<SoakUpstream> {
  const seen: Seen[] = [];
  const lines: Message[] = [];
  let last: readonly string[] = [];
  const server = createServer((request, response) => {
    // It has no list of models.
    if (request.method !== 'POST') {
      response.writeHead(404).end();
      return;
    }
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const bytes = Buffer.concat(pieces);
      const { messages } = JSON.parse(bytes.toString()) as { messages: readonly Message[] };
      const now = messages.map((message) => JSON.stringify(message));
      const promptTokens = Math.round(bytes.length / bytesPerToken);
      seen.push({ promptTokens, extendsLast: last.every((text, at) => now[at] === text) });
      last = now;
      const message = lines.shift() ?? { role: 'assistant', content: 'The script is over.' };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(framesOf(message, promptTokens));
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    seen,
    lines,
    last: () => last,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function framesOf({ content, tool_calls: calls }: Message, promptTokens: number): string {
  const base = { id: 'soak', object: 'chat.completion.chunk', created: 1, model: 'soak' };
  const frame = (value: object): string => `data: ${JSON.stringify({ ...base, ...value })}\n\n`;
  const delta = {
    role: 'assistant',
    content: content ?? null,
    ...(calls === undefined
      ? {}
      : { tool_calls: calls.map((call, index) => ({ index, ...call })) }),
  };
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: 50,
    total_tokens: promptTokens + 50,
  };
  const reason = calls === undefined ? 'stop' : 'tool_calls';
  return [
    frame({ choices: [{ index: 0, delta, finish_reason: null }] }),
    frame({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }),
    frame({ choices: [], usage }),
    'data: [DONE]\n\n',
  ].join('');
}
