import { Agent, request } from 'node:http';
import { benchModel } from './proxy-bench-server.ts';

/** What one request is. */
export interface BenchRequest {
  /** With `/v1`. */
  readonly baseURL: string;
  readonly chunks: number;
  /** Between two chunks, milliseconds; 0: as fast as they are taken. */
  readonly gapMs: number;
  /** Size of the body, up to a turn more, bytes: a history of turns. */
  readonly bodyBytes: number;
  /** Length of its messages, characters: users' and assistants' alike. */
  readonly messageChars: number;
  /** Size of one more message, a text that somebody has pasted. */
  readonly pastedChars?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What its answer was like. */
export interface BenchAnswer {
  /** From the request to the first byte of the body, milliseconds. */
  readonly firstByteMs: number;
  readonly totalMs: number;
  /** From the upstream's write to our read, milliseconds, of each chunk. */
  readonly chunkMs: readonly number[];
}

const agent = new Agent({ keepAlive: true });

const sentence = 'All work and no play makes a dull benchmark, says the log of yesterday. ';

/** Conversations that ask in turn: what comes is never what came just before, as with people. */
const conversations = 14;

let asks = 0;

/** The next request: of each conversation one turn more than it had, until it is as long as wanted, then another one. */
function nextBody(asked: BenchRequest): string {
  const { chunks, gapMs, bodyBytes, messageChars, pastedChars = 0 } = asked;
  asks += 1;
  // Which conversation this is, and how often it has gone round: its texts are its own.
  const name = `${asks % conversations}.${Math.floor(asks / conversations / turnsOfAChat)}`;
  const turn = Math.floor(asks / conversations) % turnsOfAChat;
  const messages = [{ role: 'user', content: sentence.repeat(pastedChars / sentence.length) }];
  const text = sentence.repeat(Math.ceil(messageChars / sentence.length)).slice(0, messageChars);
  const add = (at: string): void => {
    const start = `${name}/${at} `;
    const content = start + text.slice(start.length);
    messages.push({ role: 'assistant', content }, { role: 'user', content });
  };
  const count = Math.max(1, Math.round(bodyBytes / (2 * messageChars + 60)));
  for (let at = 0; at < count; at += 1) add(String(at));
  for (let at = 0; at < turn; at += 1) add(`turn ${at}`);
  return JSON.stringify({ model: benchModel(chunks, gapMs), messages, stream: true });
}

/** Turns after which a conversation begins anew: most of a body has then been seen before, as in a real chat. */
const turnsOfAChat = 20;

/** Asks once. @throws Error when the answer is not a whole stream with all its chunks */
export function askOnce(asked: BenchRequest): Promise<BenchAnswer> {
  const body = nextBody(asked);
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request(`${asked.baseURL}/chat/completions`, {
      method: 'POST',
      agent,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        ...asked.headers,
      },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let firstByteMs = 0;
      let rest = '';
      const chunkMs: number[] = [];
      response.setEncoding('latin1');
      response.on('data', (text: string) => {
        const nowNs = Number(process.hrtime.bigint());
        firstByteMs ||= performance.now() - startMs;
        rest = readStamps(rest + text, (stampNs) => chunkMs.push((nowNs - stampNs) / 1e6));
      });
      response.on('error', reject);
      response.on('end', () => {
        const isWhole = chunkMs.length === asked.chunks && rest.endsWith('[DONE]\n\n');
        if (isWhole) resolve({ firstByteMs, totalMs: performance.now() - startMs, chunkMs });
        else reject(new Error(`HTTP ${response.statusCode}, ${chunkMs.length} chunks: ${rest}`));
      });
    });
    outgoing.end(body);
  });
}

/** Hands each chunk's time to `take`; gives back the last frames' text, where a time may be cut in two. */
function readStamps(text: string, take: (stampNs: number) => void): string {
  const stamps = /"content":"(\d{6,}) /g;
  let end = 0;
  for (let found = stamps.exec(text); found !== null; found = stamps.exec(text)) {
    take(Number(found[1]));
    end = stamps.lastIndex;
  }
  return text.slice(Math.max(end, text.length - 400));
}

/** Keeps so many requests going for so long. @returns Finished requests per second */
export async function keepAsking(
  asked: BenchRequest,
  load: { readonly streams: number; readonly ms: number },
): Promise<number> {
  let finished = 0;
  const startMs = performance.now();
  const one = async (): Promise<void> => {
    while (performance.now() - startMs < load.ms) {
      await askOnce(asked);
      finished += 1;
    }
  };
  await Promise.all(Array.from({ length: load.streams }, () => one()));
  return (finished / (performance.now() - startMs)) * 1000;
}

/** Closes the kept connections. */
export function closeConnections(): void {
  agent.destroy();
}
