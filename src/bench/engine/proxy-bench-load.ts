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
const conversationCount = 14;

/**
 * Turns after which a conversation is over and another one begins: most of a body has been seen
 * before, as in a real chat.
 */
const turnsOfAConversation = 20;

/** Answers up to this many chunks are resent; behind a longer one a conversation ends. */
const maxResentChunks = 100;

/** What a client resends in each turn, with the answers that it was given. */
interface Conversation {
  readonly name: string;
  readonly messages: { readonly role: string; readonly content: string }[];
  turns: number;
}

/**
 * Conversations in which nobody asks at the moment, by whom they ask and how. The one that has
 * waited longest is next.
 */
const waiting = new Map<string, Conversation[]>();

let conversationsBegun = 0;

/** A history of turns whose texts no other conversation has. */
function beginConversation({
  bodyBytes,
  messageChars,
  pastedChars = 0,
}: BenchRequest): Conversation {
  conversationsBegun += 1;
  const conversation: Conversation = { name: `c${conversationsBegun}`, messages: [], turns: 0 };
  const { messages } = conversation;
  messages.push({ role: 'user', content: sentence.repeat(pastedChars / sentence.length) });
  const count = Math.max(1, Math.round(bodyBytes / (2 * messageChars + 60)));
  for (let at = 0; at < count; at += 1) {
    const content = textOf(`${conversation.name}/${at} `, messageChars);
    messages.push({ role: 'assistant', content }, { role: 'user', content });
  }
  return conversation;
}

function textOf(start: string, chars: number): string {
  return (start + sentence.repeat(Math.ceil(chars / sentence.length))).slice(0, chars);
}

/**
 * The conversations of a kind of request that wait for their next turn. A proxy knows them again by
 * what it has answered, so one that began in a directory goes on with that directory's tools: the
 * headers belong to the kind.
 */
function waitingFor({
  baseURL,
  chunks,
  bodyBytes,
  messageChars,
  pastedChars,
  headers,
}: BenchRequest): Conversation[] {
  const kind = JSON.stringify([baseURL, chunks, bodyBytes, messageChars, pastedChars, headers]);
  const found = waiting.get(kind) ?? [];
  waiting.set(kind, found);
  return found;
}

/** Asks once. @throws Error when the answer is not a whole stream with all its chunks */
export function askOnce(asked: BenchRequest): Promise<BenchAnswer> {
  const queue = waitingFor(asked);
  const isEnough = queue.length >= conversationCount;
  const conversation = (isEnough ? queue.shift() : undefined) ?? beginConversation(asked);
  const model = benchModel(asked.chunks, asked.gapMs);
  const body = JSON.stringify({ model, messages: conversation.messages, stream: true });
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
      let answer = '';
      const chunkMs: number[] = [];
      response.setEncoding('latin1');
      response.on('data', (text: string) => {
        const nowNs = Number(process.hrtime.bigint());
        firstByteMs ||= performance.now() - startMs;
        rest = readStamps(rest + text, (stampNs) => {
          chunkMs.push((nowNs - Number(stampNs)) / 1e6);
          if (chunkMs.length <= maxResentChunks) answer += `${stampNs} word `;
        });
      });
      response.on('error', reject);
      response.on('end', () => {
        const isWhole = chunkMs.length === asked.chunks && rest.endsWith('[DONE]\n\n');
        if (isWhole) {
          resolve({ firstByteMs, totalMs: performance.now() - startMs, chunkMs });
          if (chunkMs.length <= maxResentChunks) goOn(asked, conversation, answer);
        } else reject(new Error(`HTTP ${response.statusCode}, ${chunkMs.length} chunks: ${rest}`));
      });
    });
    outgoing.end(body);
  });
}

/** The next turn of a conversation waits behind those of the others. */
function goOn(asked: BenchRequest, conversation: Conversation, answer: string): void {
  conversation.turns += 1;
  if (conversation.turns >= turnsOfAConversation) return;
  const content = textOf(`${conversation.name}/turn ${conversation.turns} `, asked.messageChars);
  conversation.messages.push({ role: 'assistant', content: answer }, { role: 'user', content });
  waitingFor(asked).push(conversation);
}

/**
 * Hands each chunk's time to `take`; gives back the last frames' text, where a time may be cut in
 * two.
 */
function readStamps(text: string, take: (stampNs: string) => void): string {
  const stamps = /"content":"(\d{6,}) /g;
  let end = 0;
  for (let found = stamps.exec(text); found !== null; found = stamps.exec(text)) {
    take(found[1]!);
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
