import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import { parseJson } from '../wire/json.ts';

/** Largest file of a trace that is read: that of the largest request a server takes, bytes. */
const maxFileBytes = 268_435_456;

/** Requests to upstreams in one turn: more than its limits allow. */
const maxExchanges = 10_000;

const version = z.literal(1);
const count = z.int().min(0);
const headers = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

const requestFile = z.object({
  version,
  requestId: z.string(),
  receivedAt: z.iso.datetime(),
  path: z.string().startsWith('/v1/'),
  headers,
});

const settingsFile = z.object({ version, settings: z.record(z.string(), z.unknown()) });

const learnedCounts = z.object({
  bytesPerToken: z.array(z.number().positive()),
  partScale: z.array(z.number().positive()),
  windowTokens: z.int().positive().optional(),
});

const turnFile = z.object({
  version,
  ms: z.number(),
  bodyBytes: count,
  upstreamRequests: count.max(maxExchanges),
  models: z.array(
    z.object({
      upstream: z.string(),
      model: z.string(),
      gaugeKey: z.string().optional(),
      learned: learnedCounts.optional(),
    }),
  ),
  end: z.object({ ok: z.boolean(), code: z.string().optional() }),
});

const memoryFile = z.object({
  version,
  reads: z.array(z.object({ memory: z.string(), key: z.string(), value: z.unknown().optional() })),
  present: z.array(z.object({ memory: z.string(), key: z.string() })).optional(),
});

const sessionsFile = z.object({
  version,
  sessions: z.array(
    z.object({
      id: z.string().regex(/^sess_[0-9a-f]{16}$/),
      directory: z.string().optional(),
      entries: count,
      chars: count,
      lines: count,
    }),
  ),
});

const entriesFile = z.object({
  version,
  entries: z.array(
    z.object({
      session: z.string(),
      id: z.string().regex(/^e\d+$/),
      kind: z.enum(['tool_result', 'user_text', 'attachment', 'file', 'message']),
      tool: z.string().exactOptional(),
      args: z.string().exactOptional(),
      path: z.string().exactOptional(),
      chatId: z.string().exactOptional(),
      toolCallId: z.string().exactOptional(),
      call: z.string().exactOptional(),
      note: z.string().exactOptional(),
      storedAt: z.iso.datetime(),
      offsetChars: count.exactOptional(),
      lengthChars: count,
      lineNumber: count.exactOptional(),
      lineCount: count,
      outline: z.object({ type: z.string(), items: z.array(z.string()) }).exactOptional(),
      text: z
        .string()
        .regex(/^entry-(sess_[0-9a-f]{16}-)?e\d+\.txt$/)
        .exactOptional(),
    }),
  ),
});

const exchangeFile = z.object({
  version,
  upstream: z.string(),
  url: z.string(),
  answer: z.object({ status: z.int().min(100).max(599).optional(), headers: headers.optional() }),
  end: z.object({ ok: z.boolean(), code: z.string().optional() }),
});

/** An entry of a store that a turn wrote or read. */
export type RecordedEntry = z.output<typeof entriesFile>['entries'][number];

/** What a store held when a turn came to it. */
export type RecordedStore = z.output<typeof sessionsFile>['sessions'][number];

/** One request to an upstream and what came back. */
export interface RecordedExchange {
  /** From 1, in the order of sending. */
  readonly number: number;
  /** Id of the upstream. */
  readonly upstream: string;
  /** Absent where no answer came. */
  readonly status?: number | undefined;
  readonly contentType: string;
  readonly retryAfter?: string | undefined;
  /** Whether the answer came to its end. */
  readonly isWhole: boolean;
  sent(): Promise<Buffer>;
  answer(): Promise<Buffer>;
}

/** A turn as it was written down; `src/trace/traces.ts` has the form. */
export interface RecordedTurn {
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly receivedAtMs: number;
  /** How long it took. */
  readonly ms: number;
  /** Of the client's request. */
  readonly bodyBytes: number;
  readonly path: string;
  /** Without credentials. Lower-case names. */
  readonly headers: z.output<typeof headers>;
  /** Without secrets. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly end: z.output<typeof turnFile>['end'];
  readonly models: z.output<typeof turnFile>['models'];
  readonly memory: z.output<typeof memoryFile>;
  /** Absent in traces of earlier versions. */
  readonly stores: readonly RecordedStore[] | undefined;
  readonly entries: readonly RecordedEntry[];
  readonly exchanges: readonly RecordedExchange[];
  /** Undefined where requests are not written down, as where secrets are masked. */
  body(): Promise<Buffer | undefined>;
  /** Of an entry with `text`. */
  text(entry: RecordedEntry): Promise<Buffer>;
}

/**
 * The folders of turns: those in `dir`, oldest first, or `dir` itself where it is one.
 * @throws ProxyError `not_found`
 */
export async function turnFolders(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new ProxyError('not_found', `There is no folder ${JSON.stringify(dir)}.`, { cause });
  });
  if (names.includes('request.json')) return [dir];
  const folders = names.filter((name) => /^[\w.-]*-req_\w+$/.test(name)).toSorted();
  if (folders.length > 0) return folders.map((name) => join(dir, name));
  throw new ProxyError('not_found', `In ${JSON.stringify(dir)} no turn is written down.`, {
    hint: 'RLM_TRACE_DIR names a folder, and each turn of the server then has a folder in it.',
  });
}

/**
 * Reads a turn's folder: all but its texts, which are read when they are asked for. Whoever sent
 * the trace may have written anything into it: only files of these names are read, no links are
 * followed, and all of it is checked.
 * @throws ProxyError `invalid_request` where a file is missing or is not of this form
 */
export async function readTurn(folder: string): Promise<RecordedTurn> {
  const read = async <Value>(name: string, schema: z.ZodType<Value>): Promise<Value> => {
    const bytes = await readOwn(join(folder, name));
    if (bytes === undefined) throw unreadable(name, 'is missing');
    const parsed = schema.safeParse(parseJson(bytes.toString()));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw unreadable(name, `is not of this form (${issue?.path.join('.') ?? ''})`);
  };
  const readIfThere = async <Value>(
    name: string,
    schema: z.ZodType<Value>,
  ): Promise<Value | undefined> =>
    (await readOwn(join(folder, name))) === undefined ? undefined : read(name, schema);
  const request = await read('request.json', requestFile);
  const turn = await read('turn.json', turnFile);
  const exchanges: RecordedExchange[] = [];
  for (let number = 1; number <= turn.upstreamRequests; number += 1) {
    const name = `upstream-${number}`;
    const { upstream, answer, end } = await read(`${name}.json`, exchangeFile);
    exchanges.push({
      number,
      upstream,
      status: answer.status,
      contentType: one(answer.headers?.['content-type']) ?? '',
      retryAfter: one(answer.headers?.['retry-after']),
      isWhole: end.ok || answer.status !== 200,
      sent: async () => (await readOwn(join(folder, `${name}.request.body`))) ?? Buffer.alloc(0),
      answer: async () => (await readOwn(join(folder, `${name}.answer.body`))) ?? Buffer.alloc(0),
    });
  }
  return {
    requestId: request.requestId,
    receivedAtMs: Date.parse(request.receivedAt),
    ms: turn.ms,
    bodyBytes: turn.bodyBytes,
    path: request.path,
    headers: request.headers,
    settings: (await read('settings.json', settingsFile)).settings,
    end: turn.end,
    models: turn.models,
    memory: await read('memory.json', memoryFile),
    stores: (await readIfThere('sessions.json', sessionsFile))?.sessions,
    entries: (await read('entries.json', entriesFile)).entries,
    exchanges,
    body: async () => readOwn(join(folder, 'request.body')),
    text: async ({ text = '' }) => (await readOwn(join(folder, text))) ?? Buffer.alloc(0),
  };
}

/** A file as it lies in the folder: undefined where there is none. @throws ProxyError */
async function readOwn(path: string): Promise<Buffer | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    await using file = await open(path, flags);
    const stats = await file.stat();
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (!stats.isFile()) throw unreadable(name, 'is no file');
    if (stats.size > maxFileBytes) throw unreadable(name, `is larger than ${maxFileBytes} bytes`);
    return await file.readFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (error instanceof ProxyError) throw error;
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw unreadable(path.slice(path.lastIndexOf('/') + 1), `cannot be read (${code})`);
  }
}

function unreadable(name: string, why: string): ProxyError {
  return new ProxyError('invalid_request', `${name} ${why}.`);
}

function one(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value[0] : value;
}
