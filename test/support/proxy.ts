import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openApp, type App } from '../../src/app.ts';
import { randomIds, systemClock, type Clock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLogger, type Logger, silentLogger } from '../../src/log.ts';
import type { LatePage } from '../../src/page/late-page.ts';
import { Outliner } from '../../src/outline/outliner.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import type { Files } from '../../src/store/disk/files.ts';
import type { Policy } from '../../src/upstream/demo-policy.ts';
import type { PlainRequest, FoldedTurn, Message } from '../../src/wire/types.ts';
import { startScriptedUpstream, type ScriptedUpstream } from './scripted-upstream.ts';
import { hurriedClock } from './test-upstream.ts';

/** How a test's proxy is set up. */
export interface ProxyOptions {
  /** Absent: the demo upstream. */
  readonly upstream?: ScriptedUpstream;
  /** Further settings, by the names of their environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** The disk of the stores. */
  readonly files?: Files;
  readonly policies?: readonly Policy[];
  /** Gets the log's lines, as JSON texts; absent: they are written nowhere. */
  readonly onLog?: (line: string) => void;
  /** An existing data directory, to restart on; it is left in place. */
  readonly dataDir?: string;
}

/** What `/health` says, as far as tests look at it. */
interface ToldHealth {
  readonly status: 'ok' | 'degraded';
  /** Code of the error. */
  readonly lastStoreFault?: string;
  /** Requests that are being answered. */
  readonly live: number;
  /** Where machines share their stores. */
  readonly sharedStore?: { readonly waitingRows: number };
  readonly modelsWithoutTools: readonly string[];
  /** Since the start, as all counts. */
  readonly parsedMessages: number;
  readonly storedTexts: number;
  readonly demotions: number;
}

/** A whole proxy on a free port. */
export interface TestProxy {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** With `/v1`, as clients want it. */
  readonly baseURL: string;
  readonly dataDir: string;
  readonly app: App;
  /** As the command `open` asks for it. */
  readonly newPageCode: LatePage['newCode'];
  /** Posts a chat request. */
  post(
    body: unknown,
    headers?: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<Response>;
  /** Posts a chat request that is to succeed, and gives back the whole message. */
  ask(
    request: Omit<PlainRequest, 'model'>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<FoldedTurn & { readonly message: Message }>;
  health(): Promise<ToldHealth>;
  /** Closes this one and opens another on the same data directory. */
  restart(): Promise<TestProxy>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * One set for all proxies of a process: each of its own would take most of a short test's time.
 * They do not keep the process alive.
 */
let threads: ReturnType<typeof startThreads> | undefined;

function startThreads(): { readonly search: SearchEngine; readonly outliner: Outliner } {
  return {
    search: openSearchEngine({ clock: systemClock }),
    outliner: new Outliner(systemClock, silentLogger()),
  };
}

/** Starts the real app, as `serve` does, on a data directory of its own. */
export async function startProxy(options: ProxyOptions = {}): Promise<TestProxy> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'rlm-test-')));
  const upstreamEnv =
    options.upstream === undefined
      ? {}
      : {
          RLM_UPSTREAM_BASE_URL: options.upstream.baseURL,
          RLM_UPSTREAM_MODEL: 'scripted',
          RLM_UPSTREAM_API_KEY: 'test-key',
        };
  const { config } = loadConfig({
    env: {
      RLM_PORT: '0',
      RLM_DATA_DIR: dataDir,
      // A busy machine must not turn a search into a partial one.
      RLM_SEARCH_DEADLINE_MS: '20000',
      // Nor may it decide which stubs have an outline.
      RLM_OUTLINE_WAIT_MS: '60000',
      // Long texts are stubs, whatever room there is; with `''` the room decides, as it usually does.
      RLM_STRIP_MIN_CHARS: '10000',
      ...upstreamEnv,
      ...options.env,
    },
    homeDir: dataDir,
  });
  let newPageCode!: TestProxy['newPageCode'];
  const app = await openApp({
    config,
    version: 'test',
    log: logOf(options),
    clock: options.clock ?? systemClock,
    ids: randomIds,
    random: () => 0.5,
    ...(options.clock === undefined || options.clock === hurriedClock
      ? { threads: (threads ??= startThreads()) }
      : {}),
    ...(options.files === undefined ? {} : { files: options.files }),
    ...(options.policies === undefined ? {} : { policies: options.policies }),
    operations: (parts) => {
      newPageCode = parts.newPageCode;
      return { run: () => noLines() };
    },
  });
  const origin = await app.server.listen();
  const baseURL = `${origin}/v1`;
  const post: TestProxy['post'] = async (body, headers = {}, signal) =>
    fetch(`${baseURL}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  const close = async (): Promise<void> => {
    await app[Symbol.asyncDispose]();
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  return {
    origin,
    baseURL,
    dataDir,
    app,
    newPageCode,
    post,
    ask: async (request, headers) => {
      const response = await post({ model: 'rlm-internal.rlm-core-v1', ...request }, headers);
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status}: ${text}`);
      const { choices, usage } = JSON.parse(text) as {
        choices: { message: Message; finish_reason: FoldedTurn['finishReason'] }[];
        usage?: FoldedTurn['usage'];
      };
      const [choice] = choices;
      if (choice === undefined) throw new Error(`no choice: ${text}`);
      return {
        message: choice.message,
        finishReason: choice.finish_reason,
        ...(usage === undefined ? {} : { usage }),
      };
    },
    health: async () => (await (await fetch(`${origin}/health`)).json()) as ToldHealth,
    restart: async () => {
      await app[Symbol.asyncDispose]();
      const next = await startProxy({ ...options, dataDir });
      if (options.dataDir !== undefined) return next;
      return {
        ...next,
        [Symbol.asyncDispose]: async () => {
          await next[Symbol.asyncDispose]();
          await rm(dataDir, { recursive: true, force: true });
        },
      };
    },
    [Symbol.asyncDispose]: close,
  };
}

/** A proxy with the provider that it asks; both end together. */
interface Pair extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly proxy: TestProxy;
}

/** Starts a scripted upstream and a proxy before it, with these settings. */
export async function startPair(
  env: Readonly<Record<string, string>> = {},
  more: Omit<ProxyOptions, 'env' | 'upstream'> = {},
): Promise<Pair> {
  const upstream = await startScriptedUpstream();
  const proxy = await startProxy({ ...more, upstream, env });
  return {
    upstream,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** The setting for a model whose window holds so many tokens. */
export function windowOf(tokens: number): { readonly RLM_UPSTREAM_CONTEXT_WINDOW: string } {
  return { RLM_UPSTREAM_CONTEXT_WINDOW: String(tokens) };
}

function logOf({ onLog }: ProxyOptions): Logger {
  if (onLog !== undefined) return pino({ level: 'debug' }, { write: onLog });
  const level = process.env['RLM_TEST_LOG'];
  return level === undefined ? silentLogger() : createLogger(level);
}

// eslint-disable-next-line require-yield
async function* noLines(): AsyncGenerator<string> {
  return;
}
