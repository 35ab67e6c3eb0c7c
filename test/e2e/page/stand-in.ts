import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type {
  EntryView,
  PageEvent,
  ServerView,
  SessionView,
  TurnView,
} from '../../../src/page/page-protocol.ts';

/** Text that is a node, a request or a dialog wherever it is taken for anything but text. */
const hostile = '<img src=http://192.0.2.1/x onerror=alert(1)><script>alert(2)</script>';

/** Entries of the one session. */
export const entryCount = 100_000;

/** Lines of the newest entry: more than a browser makes a box for. */
export const longLines = 5_000_000;

const totals = {
  turns: 2,
  steps: 4,
  toolCalls: 2,
  storedTexts: 3,
  upstreamBytes: 48_300_000,
  promptTokens: 11_230_000,
  cachedTokens: 9_800_000,
  completionTokens: 201_000,
  estimatedTokensWithout: 38_900_000,
  demotions: 1,
};

const nothing = Object.fromEntries(
  Object.keys(totals).map((name) => [name, 0]),
) as unknown as typeof totals;

/** What a page is told that is not there yet, or no longer. */
export interface StandIn extends AsyncDisposable {
  readonly origin: string;
  /** Codes that were handed in. */
  readonly codes: string[];
  /** Tells all pages something. */
  tell(event: PageEvent): void;
  /** Ends all connections and takes no new one. */
  stop(): Promise<void>;
}

/** How it stands to whoever asks. */
export type StandInMood = 'full' | 'empty' | 'strange';

/**
 * The page's files, with the strictest policy, and answers by `src/page/page-protocol.ts` that are
 * larger and worse than any real store's: it stands in for the server where only the browser's side
 * is looked at. `strange`: without the cookie, which one code gives.
 */
export async function startStandIn(packageFolder: string, mood: StandInMood): Promise<StandIn> {
  const listeners = new Set<ServerResponse>();
  const codes: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stand.in');
    response.setHeader(
      'content-security-policy',
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    const answer = (value: unknown, status = 200): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (pathname === '/' || pathname.startsWith('/page/assets/')) {
      const file = pathname === '/' ? '/page/index.html' : pathname;
      void sendFile(join(packageFolder, 'dist/page/ui', file.slice('/page'.length)), response);
    } else if (pathname === '/page/login') {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        const { code } = JSON.parse(body) as { code: string };
        codes.push(code);
        if (code !== 'right') return answer({ error: { message: 'used' } }, 401);
        response.setHeader('set-cookie', 'page=in; HttpOnly; SameSite=Strict');
        response.writeHead(204).end();
      });
    } else if (mood === 'strange' && request.headers.cookie !== 'page=in') {
      answer({ error: { message: 'not yours' } }, 401);
    } else if (pathname === '/page/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${JSON.stringify(greeting(mood))}\n\n`);
      listeners.add(response);
      response.on('close', () => listeners.delete(response));
    } else {
      const found = answerTo(pathname, searchParams);
      answer(found ?? { error: { message: 'no such path' } }, found === undefined ? 404 : 200);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    codes,
    tell: (event) => {
      for (const listener of listeners) listener.write(`data: ${JSON.stringify(event)}\n\n`);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

async function sendFile(path: string, response: ServerResponse): Promise<void> {
  try {
    const bytes = await readFile(path);
    response.writeHead(200, { 'content-type': types[extname(path)] }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

/** A turn that runs, with hostile text wherever somebody else's words are shown. */
export function runningTurn(words: string): TurnView {
  return {
    id: 'running',
    startedAtMs: Date.now() - 4_000,
    state: 'running',
    elapsedMs: 4_000,
    client: hostile,
    directory: `/tmp/${hostile}`,
    session: 's1',
    chat: 'c1',
    model: hostile,
    tools: 'active',
    steps: [
      {
        startedMs: 10,
        firstChunkMs: 900,
        endedMs: 1_800,
        sentBytes: 1_000,
        calls: [
          { name: hostile, words, startedMs: 1_800, reports: [hostile, 'a report'], subCalls: 3 },
        ],
      },
    ],
    storedTexts: 1,
    demotions: 0,
    promptTokens: 40_000,
    cachedTokens: 30_000,
    completionTokens: 10,
    largestPromptTokens: 40_000,
    estimatedPromptTokensWithout: 90_000,
  };
}

function greeting(mood: StandInMood): PageEvent {
  const isEmpty = mood === 'empty';
  const now = Date.now();
  const server: ServerView = {
    version: 'test',
    startedAtMs: now - 7_400_000,
    status: isEmpty ? 'ok' : 'degraded',
    ...(isEmpty ? {} : { fault: hostile }),
    upstreams: [isEmpty ? 'demo' : hostile],
    totals: isEmpty ? nothing : totals,
  };
  const session: SessionView = {
    id: 's1',
    directory: `/home/${hostile}`,
    entries: entryCount,
    chars: 100_000_000,
    bytes: 110_000_000,
    createdAtMs: now,
    updatedAtMs: now,
  };
  const ended: TurnView = {
    ...runningTurn('x'),
    id: 'ended',
    state: 'failed',
    error: hostile,
    demotions: 1,
  };
  return {
    type: 'hello',
    server,
    sessions: isEmpty ? [] : [session],
    turns: isEmpty ? [] : [ended, runningTurn('searching 100M characters')],
  };
}

function entry(number: number): EntryView {
  const title = number % 2 === 0 ? `src/\u202e${hostile}.ts` : `file ${number}`;
  const lines = number === entryCount ? longLines : 1_000;
  return { id: `e${number}`, kind: 'read', title, chars: 9_000, lines, addedAtMs: Date.now() };
}

/** Of a line of any entry. */
function lineText(line: number): string {
  return line % 7 === 0 ? `${line} ${hostile} \u202e\u0007` : `${line} needle in a line`;
}

function answerTo(path: string, values: URLSearchParams): unknown {
  const from = Number(values.get('from') ?? 0);
  const count = Number(values.get('count') ?? 0);
  const numbers = (first: number, end: number): number[] =>
    Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
  if (path === '/page/sessions') return [];
  if (path.endsWith('/entries')) {
    const rows = numbers(from, Math.min(entryCount, from + count));
    return { total: entryCount, from, entries: rows.map((row) => entry(entryCount - row)) };
  }
  if (path.endsWith('/search')) {
    const query = values.get('query') ?? '';
    const hits = numbers(from, Math.min(120, from + count)).map((hit) => ({
      entry: entry(entryCount),
      line: 1_000_001 + hit * 10,
      before: [hostile],
      text: `${hostile} ${query}`,
      marks: [[hostile.length + 1, hostile.length + 1 + query.length]],
      after: ['behind it'],
    }));
    return { total: 120, isExact: true, tookMs: 12, notes: [hostile], from, hits };
  }
  const [, number, isLines] = /\/entries\/e(\d+)(\/lines)?$/.exec(path) ?? [];
  if (number === undefined) return undefined;
  const found = entry(Number(number));
  if (isLines !== undefined) {
    const lines = numbers(from, Math.min(found.lines + 1, from + count));
    return {
      from,
      total: found.lines,
      lines: lines.map(lineText),
      cutLines: lines.filter((line) => line % 5 === 0),
    };
  }
  const outline = numbers(0, 40).map((part) => ({
    line: 1 + part * Math.floor(found.lines / 40),
    text: part % 2 === 0 ? hostile : `part ${part}`,
  }));
  return { ...found, outline, outlineKind: 'symbols' };
}
