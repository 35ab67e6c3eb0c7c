import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { randomIds, systemClock } from '../../../src/clock.ts';
import { silentLogger } from '../../../src/log.ts';
import { openSessions } from '../../../src/store/sessions.ts';
import type { Message } from '../../../src/wire/types.ts';
import {
  answer,
  done,
  finish,
  type RecordedRequest,
  type Reply,
  reply,
  role,
  type ScriptedUpstream,
  startScriptedUpstream,
  text,
  toolCall,
  usage,
} from '../../support/scripted-upstream.ts';
import { clientTools, systemFor } from '../../support/conversation.ts';
import { patienceMs } from '../patience.ts';
import { runProgram } from '../process.ts';
import { startProxyProcess } from '../proxy-process.ts';

/** The built program on data of its own, before a provider that the play scripts. */
export interface RealServer extends AsyncDisposable {
  readonly origin: string;
  readonly upstream: ScriptedUpstream;
  /** Where projects lie. */
  readonly home: string;
  /** Runs a command as its user does. @returns What it printed */
  run(...args: readonly string[]): Promise<string>;
  /**
   * A turn of an assistant, to its end.
   * @param model Absent: the one that is usual
   * @returns The status of the answer
   */
  turn(directory: string, messages: readonly Message[], model?: string): Promise<number>;
}

/** Tokens of the model's window: small, so that a chat of some turns fills it. */
const windowTokens = 32_000;

/**
 * Starts it.
 * @param options.otherModel The id of a second model of the provider
 * @param options.fill Stores something before; absent: nothing is stored
 */
export async function startRealServer(
  packageFolder: string,
  options: {
    readonly otherModel?: string;
    readonly fill?: (dataDir: string, home: string) => Promise<void>;
  } = {},
): Promise<RealServer> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'rlm-page-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const home = join(folder, 'ada');
  await mkdir(home);
  const upstream = stack.use(await startScriptedUpstream());
  const provider = {
    baseURL: upstream.baseURL,
    apiKey: 'test-key',
    models: ['glm-5', options.otherModel ?? []]
      .flat()
      .map((id) => ({ id, contextWindow: windowTokens, maxOutput: 4_000 })),
  };
  await writeFile(
    join(folder, 'settings.jsonc'),
    JSON.stringify({ providers: { zai: provider }, defaultModel: 'zai.glm-5' }),
  );
  const env = {
    HOME: home,
    PATH: process.env['PATH'] ?? '',
    RLM_DATA_DIR: join(folder, 'data'),
    RLM_PORT: '0',
    RLM_CONFIG: join(folder, 'settings.jsonc'),
  };
  await options.fill?.(env.RLM_DATA_DIR, home);
  const proxy = await startProxyProcess(packageFolder, { cwd: home, env });
  stack.defer(async () => void (await proxy.stop()));
  const all = stack.move();
  return {
    origin: proxy.origin,
    upstream,
    home,
    run: async (...args) => {
      const command = [join(packageFolder, 'bin', 'rlm-opencode.js'), ...args];
      const options = { cwd: home, env, timeoutMs: patienceMs };
      const { code, stdout, stderr } = await runProgram(process.execPath, command, options);
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
      return stdout;
    },
    turn: async (directory, messages, model = 'rlm-internal.rlm-core-v1') => {
      const response = await fetch(`${proxy.origin}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': 'opencode/1.2.3' },
        body: JSON.stringify({
          model,
          stream: true,
          messages: [systemFor(directory), ...messages],
          tools: clientTools,
        }),
      });
      await response.text();
      return response.status;
    },
    [Symbol.asyncDispose]: async () => all.disposeAsync(),
  };
}

/** Tokens that a provider would count, with all but what was added last in its cache. */
function counted(request: RecordedRequest, completionTokens: number): ReturnType<typeof usage> {
  const prompt = Math.round(request.rawBody.length / 4);
  const last = JSON.stringify(request.body.messages.at(-1) ?? '').length;
  return usage({
    prompt_tokens: prompt,
    completion_tokens: completionTokens,
    total_tokens: prompt + completionTokens,
    prompt_tokens_details: { cached_tokens: Math.max(0, prompt - Math.round(last / 4) - 40) },
  });
}

/** An answer whose tokens are counted as a provider counts them. */
export function countedAnswer(request: RecordedRequest, words: string): Reply {
  return reply(
    role(),
    text(words),
    finish(),
    counted(request, Math.ceil(words.length / 4)),
    done(),
  );
}

/** The same with calls of tools. */
export function countedCalls(
  request: RecordedRequest,
  ...calls: readonly { readonly name: string; readonly args: unknown }[]
): Reply {
  const steps = calls.map(({ name, args }, index) =>
    toolCall(name, args, { index, id: `call_${request.rawBody.length}_${index}` }),
  );
  return reply(role(), ...steps, finish('tool_calls'), counted(request, 40 * calls.length), done());
}

/** Whether a sub-model is asked: it gets no tools. */
export function isSubCall({ body }: RecordedRequest): boolean {
  return body.tools === undefined;
}

/** The answer to a sub-model's question. */
export function subAnswer(): Reply {
  return answer('Two requests of this part ran out of time while they waited for the database.');
}

const levels = ['INFO', 'INFO', 'INFO', 'INFO', 'INFO', 'DEBUG', 'DEBUG', 'WARN', 'ERROR'];
const paths = ['/orders', '/orders/7f2c', '/cart', '/login', '/products?page=3', '/health'];

/** A line of a server's log; every 100,000th tells of a deadlock. */
function logLine(number: number): string {
  const time = new Date(1_780_000_000_000 + number * 37).toISOString();
  if (number % 100_000 === 61_803)
    return `${time} ERROR deadlock detected: process ${number} waits for ShareLock on transaction ${number * 7}`;
  const level = levels[(number * 7_919) % levels.length];
  const path = paths[(number * 104_729) % paths.length];
  return `${time} ${level} GET ${path} 200 in ${(number * 31) % 900} ms`;
}

/** Lines `first` to `first + count` of the log. */
export function logText(first: number, count: number): string {
  return Array.from({ length: count }, (_, at) => `${logLine(first + at)}\n`).join('');
}

/** Writes a log of so many characters. @returns How many lines it has */
export async function writeLog(path: string, chars: number): Promise<number> {
  const file = createWriteStream(path);
  let written = 0;
  let lines = 0;
  while (written < chars) {
    const part = logText(lines, 10_000);
    lines += 10_000;
    written += part.length;
    if (!file.write(part)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
  return lines;
}

/** Stores so many small texts of a directory, while no server runs. */
export async function storeMany(dataDir: string, directory: string, count: number): Promise<void> {
  await using sessions = await openSessions({
    dataDir,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
  const session = await sessions.forDirectory(directory, { create: true });
  for (let first = 1; first <= count; first += 2_000) {
    await session!.store.append(
      Array.from({ length: Math.min(2_000, count - first + 1) }, (_, at) => ({
        kind: 'file',
        path: join(directory, `note ${first + at}`),
        text: `the text of note ${first + at}\n`,
      })),
    );
  }
}
