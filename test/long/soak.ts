import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Message } from '../../src/wire/types.ts';
import { soakPlot } from './soak-plot.ts';
import { startSoakUpstream } from './soak-upstream.ts';

/**
 * `node test/long/soak.ts [TURNS [CHARS [PREFIX]]]`: one chat of 2,000 turns and 100M characters
 * through the real server, in a process of its own, against a provider that counts honestly, with a
 * window of 128K tokens. The client resends its whole history each time and would compact it if it
 * were told of too many tokens. Writes PREFIX.svg, PREFIX.json and PREFIX.table.txt, by default
 * docs/benchmarks/soak; exits with 1 if anything did not hold. The slope of the memory is that of
 * the second half, MiB in 1,000 turns; the slices are the longest that the server's event loop was
 * busy, milliseconds of processor time.
 */
const turns = Number(process.argv[2] ?? 2_000);
const totalChars = Number(process.argv[3] ?? 100_000_000);
const prefix = process.argv[4] ?? 'docs/benchmarks/soak';
const windowTokens = 128_000;
/** OpenCode compacts above the window less 32K for the answer. */
const compactionTokens = windowTokens - 32_000;

const upstream = await startSoakUpstream();
const dataDir = await mkdtemp(join(tmpdir(), 'rlm-soak-'));
const nodeArgs = (process.env['SOAK_NODE_ARGS'] ?? '').split(' ').filter((word) => word !== '');
const slicesPath = join(dataDir, 'slices.json');
const watch = ['--import', join(import.meta.dirname, 'watch-slices.ts')];
const server = spawn(process.execPath, [...watch, ...nodeArgs, 'src/cli/main.ts', 'serve'], {
  env: {
    ...process.env,
    SLICES_PATH: slicesPath,
    RLM_PORT: '0',
    RLM_DATA_DIR: dataDir,
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_MODEL: 'soak',
    RLM_UPSTREAM_API_KEY: 'soak',
    RLM_UPSTREAM_CONTEXT_WINDOW: String(windowTokens),
    RLM_LOG_LEVEL: 'error',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const origin = await new Promise<string>((resolve) => {
  let said = '';
  server.stdout.on('data', (piece: Buffer) => {
    said += piece.toString();
    const found = /listening on (http:\S+)/.exec(said)?.[1];
    if (found !== undefined) resolve(found);
  });
});

/** The client's history as bytes, because that is what it costs to send it again. */
class History {
  #bytes = Buffer.allocUnsafe(1 << 20);
  #size = 0;

  add(message: Message): void {
    const piece = Buffer.from((this.#size === 0 ? '' : ',') + JSON.stringify(message));
    while (this.#size + piece.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(this.#bytes.length * 2);
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    this.#size += piece.copy(this.#bytes, this.#size);
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }
}

interface Answer {
  readonly message: Message;
  readonly promptTokens: number;
}

async function send(history: History): Promise<Answer> {
  const tool = { type: 'function', function: { name: 'bash', parameters: { type: 'object' } } };
  const head = `{"model":"soak","tools":${JSON.stringify([tool])},"messages":[`;
  const text = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(
      `${origin}/v1/chat/completions`,
      {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-rlm-directory': '/soak',
          'x-session-id': 'soak',
        },
      },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () => resolve(Buffer.concat(pieces).toString()));
      },
    );
    request.on('error', reject);
    request.write(head);
    request.write(history.bytes);
    request.end(']}');
  });
  const body = JSON.parse(text) as {
    choices?: readonly { message: Message }[];
    usage?: { prompt_tokens: number };
  };
  const message = body.choices?.[0]?.message;
  if (message === undefined) throw new Error(text.slice(0, 500));
  return { message, promptTokens: body.usage?.prompt_tokens ?? 0 };
}

/** How much a value grows from one to the next: the line that fits them best. */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const product = values.reduce((sum, value, at) => sum + (at - middle) * value, 0);
  return product / values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
}

/** Text of this length that occurs only once. */
function textOf(turn: number, lengthChars: number): string {
  const lines = [`turn ${turn} begins here: token-${turn}-needle`];
  for (let size = 0, n = 0; size < lengthChars; n += 1) {
    const line = `${turn}.${n} src/part-${(turn * 31 + n) % 97}.ts:${n} "value" changed from ${turn * n} to ${n ^ turn}`;
    lines.push(line);
    size += line.length + 1;
  }
  return lines.join('\n').slice(0, lengthChars);
}

function call(id: string, name: string, args: object): Message {
  const made = {
    id,
    type: 'function' as const,
    function: { name, arguments: JSON.stringify(args) },
  };
  return { role: 'assistant', content: null, tool_calls: [made] };
}

async function residentMiB(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

async function health(): Promise<{ readonly demotions: number }> {
  return (await (await fetch(`${origin}/health`)).json()) as { demotions: number };
}

server.kill('SIGUSR2');
const history = new History();
const perTurnChars = Math.round(totalChars / turns);
const shown: number[] = [];
const resident: number[] = [];
const turnMs: number[] = [];
history.add({ role: 'system', content: 'You are a coding assistant.' });
for (let turn = 1; turn <= turns; turn += 1) {
  const startedMs = performance.now();
  history.add({ role: 'user', content: `Question ${turn}: what does part ${turn % 97} do?` });
  // Every fourth turn reads many middling outputs, the others one large one; every tenth looks into
  // the store first.
  const sizes =
    turn % 4 === 0 ? Array.from({ length: 7 }, () => Math.round(perTurnChars / 7)) : [perTurnChars];
  if (turn % 10 === 0)
    upstream.lines.push(call(`own_${turn}`, 'rlm_find', { text: `token-${turn - 5}-needle` }));
  const asking = call(`call_${turn}_0`, 'bash', { command: `show ${turn}` });
  const calls = sizes.map((_, index) => ({
    ...(asking.tool_calls?.[0] as NonNullable<Message['tool_calls']>[number]),
    id: `call_${turn}_${index}`,
  }));
  upstream.lines.push({ ...asking, tool_calls: calls });
  upstream.lines.push({
    role: 'assistant',
    content: `Part ${turn % 97} does what part ${turn % 89} did, as line ${turn} says.`,
  });
  const first = await send(history);
  history.add(first.message);
  for (const [index, size] of sizes.entries())
    history.add({
      role: 'tool',
      tool_call_id: `call_${turn}_${index}`,
      content: textOf(turn * 10 + index, size),
    });
  const last = await send(history);
  history.add(last.message);
  shown.push(last.promptTokens);
  turnMs.push(performance.now() - startedMs);
  if (turn % Math.max(1, Math.round(turns / 200)) === 0) resident.push(await residentMiB());
  if (turn % 20 === 0)
    process.stderr.write(
      `\rturn ${turn}, ${(history.bytes.length / 1e6).toFixed(0)} MB resent, ${last.promptTokens} tokens, ${turnMs.at(-1)?.toFixed(0)} ms `,
    );
}

// What left the prompt long ago is still found.
upstream.lines.push(call('own_end', 'rlm_find', { text: 'token-30-needle' }), {
  role: 'assistant',
  content: 'Found.',
});
history.add({ role: 'user', content: 'What was in turn 3?' });
await send(history);
const found = upstream
  .last()
  .some(
    (message) =>
      message.includes('token-30-needle') &&
      message.includes('"tool"') &&
      !message.includes('"total\\":0'),
  );

// The first break is the activation: the first output that left the prompt.
const [activation = 0, firstDemotion = 0, ...laterBreaks] = upstream.seen.flatMap(
  ({ extendsLast }, index) => (extendsLast ? [] : [index]),
);
const breaks = laterBreaks.length + (firstDemotion > activation ? 1 : 0);
const { demotions } = await health();
const prompts = upstream.seen.map(({ promptTokens }) => promptTokens);
server.kill();
await once(server, 'exit');
const slicesMs = (JSON.parse(await readFile(slicesPath, 'utf8')) as number[]).map(
  (us) => us / 1000,
);
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const result = {
  turns,
  characters: totalChars,
  historyBytes: history.bytes.length,
  windowTokens,
  requestsUpstream: prompts.length,
  maxPromptTokens: Math.max(...prompts),
  // After the first demotion.
  minPromptTokensLater: Math.min(...prompts.slice(firstDemotion)),
  clientCompactions: shown.filter((tokens) => tokens > compactionTokens).length,
  demotions,
  prefixBreaks: breaks,
  oldTextFound: found,
  residentMiB: {
    start: resident[0],
    quarters: [0.25, 0.5, 0.75, 1].map((part) => resident[Math.round(resident.length * part) - 1]),
    max: Math.max(...resident),
    slope: slopeOf(resident.slice(resident.length / 2)) * (1000 / (turns / resident.length)),
  },
  longestSlicesMs: slicesMs.slice(0, 5),
  msPerTurn: {
    firstTenth: mean(turnMs.slice(0, turns / 10)),
    lastTenth: mean(turnMs.slice(-turns / 10)),
  },
  seconds: turnMs.reduce((sum, value) => sum + value, 0) / 1000,
};
await mkdir(join(prefix, '..'), { recursive: true });
await writeFile(`${prefix}.json`, `${JSON.stringify(result, null, 2)}\n`);
await writeFile(
  `${prefix}.svg`,
  soakPlot(
    `One chat of ${turns} turns and ${totalChars / 1e6}M characters, window of 128K tokens`,
    turns,
    [
      {
        unit: 'prompt tokens upstream',
        lines: [
          { name: 'prompt', color: '#0072b2', values: prompts },
          {
            name: 'client compacts above',
            color: '#d55e00',
            values: prompts.map(() => compactionTokens),
          },
        ],
      },
      {
        unit: 'resident memory of the server, MiB',
        lines: [{ name: 'memory', color: '#009e73', values: resident }],
      },
    ],
  ),
);
await writeFile(
  `${prefix}.table.txt`,
  `${Object.entries(result)
    .map(([name, value]) => `${name.padEnd(24)}${JSON.stringify(value)}`)
    .join('\n')}\n`,
);
process.stdout.write(`\n${JSON.stringify(result, null, 2)}\n`);
upstream.close();
await rm(dataDir, { recursive: true, force: true });
const holds = result.clientCompactions === 0 && breaks === demotions && found;
process.exit(holds ? 0 : 1);
