import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { soakPlot } from './soak-plot.ts';

/**
 * `node test/long/directories.ts [MINUTES [DIRECTORIES [PREFIX]]]`: mixed traffic over 1,000
 * project directories for ten minutes, eight chats at once: outputs that are stored, searches,
 * reads, programs, statistics, small talk, clients that hang up. Samples the server's file
 * descriptors and resident memory (Linux). Writes PREFIX.svg, PREFIX.json and PREFIX.table.txt, by
 * default docs/benchmarks/directories; exits with 1 if a turn fails, if a text is not found again,
 * or if either figure still grows: the last third's median must be within 15 % of the middle
 * third's.
 */
const minutes = Number(process.argv[2] ?? 10);
const directories = Number(process.argv[3] ?? 1_000);
const prefix = process.argv[4] ?? 'docs/benchmarks/directories';

/** Chats at once. */
const chats = 8;

/** What a turn does; the model calls what stands here. */
const kinds = ['store', 'search', 'read', 'program', 'stats', 'talk', 'leave'] as const;
type Kind = (typeof kinds)[number];

const dataDir = await mkdtemp(join(tmpdir(), 'rlm-directories-'));
const faults: string[] = [];
const done = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>;

/** What the model calls in a turn whose question names it. */
function callOf(kind: Kind, directory: number): { name: string; arguments: string } | undefined {
  switch (kind) {
    case 'search':
      return { name: 'rlm_find', arguments: JSON.stringify({ text: `mark ${directory} ` }) };
    case 'read':
      return { name: 'rlm_get_context', arguments: JSON.stringify({ offset: 0, length: 500 }) };
    case 'program':
      return { name: 'rlm_exec', arguments: JSON.stringify({ code: 'context.length' }) };
    case 'stats':
      return { name: 'rlm_stats', arguments: '{}' };
    case 'store':
    case 'talk':
    case 'leave':
      return undefined;
  }
}

function send(response: ServerResponse, delta: object, finish: string): void {
  const head = { id: 'chatcmpl-soak', object: 'chat.completion.chunk', created: 1, model: 'soak' };
  const frame = (choice: object): string =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, ...choice }] })}\n\n`;
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(frame({ delta: { role: 'assistant', ...delta } }));
  response.end(`${frame({ delta: {}, finish_reason: finish })}data: [DONE]\n\n`);
}

const upstream = createServer((request, response) => {
  if (request.method === 'GET') {
    // The server looks whether the model is in the provider's list.
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ object: 'list', data: [{ id: 'soak', object: 'model' }] }));
    return;
  }
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    const { messages, tools = [] } = JSON.parse(Buffer.concat(pieces).toString()) as {
      messages: { role: string; content: unknown }[];
      tools?: unknown[];
    };
    const last = messages.at(-1);
    if (last?.role === 'tool') {
      const isFound = !String(last.content).includes('"total":0');
      send(response, { content: isFound ? 'found' : 'nothing found' }, 'stop');
      return;
    }
    const asked = /\[(\w+) (\d+)\]/.exec(JSON.stringify(last?.content ?? ''));
    const call = tools.length === 0 ? undefined : callOf(asked?.[1] as Kind, Number(asked?.[2]));
    if (call === undefined) send(response, { content: `Understood: ${asked?.[2] ?? ''}.` }, 'stop');
    else
      send(
        response,
        { tool_calls: [{ index: 0, id: `call_${asked?.[2]}`, type: 'function', function: call }] },
        'tool_calls',
      );
  });
});
upstream.listen(0, '127.0.0.1');
await once(upstream, 'listening');

const server = spawn(process.execPath, ['bin/rlm-opencode.js', 'serve'], {
  env: {
    PATH: process.env['PATH'],
    HOME: dataDir,
    RLM_PORT: '0',
    RLM_DATA_DIR: dataDir,
    RLM_UPSTREAM_BASE_URL: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`,
    RLM_UPSTREAM_MODEL: 'soak',
    RLM_LOG_LEVEL: 'error',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let said = '';
server.stdout.setEncoding('utf8');
let origin: string | undefined;
for await (const text of server.stdout) {
  said += String(text);
  origin = /listening on (http:\S+)/.exec(said)?.[1];
  if (origin !== undefined) break;
}
// The launcher may have started the real server as its child: the owner file says who holds the
// directory.
const { pid } = JSON.parse(readFileSync(join(dataDir, 'owner.json'), 'utf8')) as { pid: number };

interface Sample {
  readonly atSeconds: number;
  readonly descriptors: number;
  readonly residentMiB: number;
}

function sample(startMs: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    atSeconds: Math.round((performance.now() - startMs) / 1000),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    residentMiB: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024),
  };
}

/** The numbers of the turns are the only randomness: every run asks the same. */
function mixed(n: number): number {
  let x = (n + 1) * 0x9e37_79b9;
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  return (x ^ (x >>> 13)) >>> 0;
}

const stored = new Set<number>();

async function turn(n: number): Promise<void> {
  const directory = mixed(n) % directories;
  const wanted = kinds[mixed(n * 7 + 1) % kinds.length] as Kind;
  const kind: Kind = stored.has(directory) || wanted === 'talk' ? wanted : 'store';
  const content =
    kind === 'store'
      ? `[store ${directory}] ${`mark ${directory} in a log of turn ${n}, a line like many others\n`.repeat(400)}`
      : `[${kind} ${directory}] What about it?`;
  const stop = new AbortController();
  const response = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    signal: stop.signal,
    headers: {
      'content-type': 'application/json',
      'x-rlm-directory': encodeURIComponent(`/projects/number-${directory}`),
      'x-session-id': `chat-${directory}-${n % 3}`,
    },
    body: JSON.stringify({ model: 'soak', stream: true, messages: [{ role: 'user', content }] }),
  });
  if (kind === 'leave') {
    stop.abort();
    done.leave += 1;
    return;
  }
  const text = await response.text();
  if (!text.includes('[DONE]')) faults.push(`turn ${n} (${kind}): ${text.slice(-300)}`);
  if (text.includes('nothing found')) faults.push(`turn ${n}: the text of ${directory} is gone`);
  if (kind === 'store') stored.add(directory);
  done[kind] += 1;
}

const startMs = performance.now();
const endMs = startMs + minutes * 60_000;
const samples: Sample[] = [sample(startMs)];
const sampler = setInterval(() => samples.push(sample(startMs)), 2_000);
let next = 0;
await Promise.all(
  Array.from({ length: chats }, async () => {
    while (performance.now() < endMs && faults.length < 20) {
      next += 1;
      const n = next;
      try {
        await turn(n);
      } catch (error) {
        faults.push(`turn ${n}: ${String(error)}`);
      }
    }
  }),
);
clearInterval(sampler);
samples.push(sample(startMs));
server.kill('SIGTERM');
await once(server, 'exit');
upstream.closeAllConnections();
upstream.close();
await rm(dataDir, { recursive: true, force: true });

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

const third = Math.floor(samples.length / 3);
const figures = (['descriptors', 'residentMiB'] as const).map((name) => {
  const values = samples.map((one) => one[name]);
  const middle = median(values.slice(third, 2 * third));
  const last = median(values.slice(2 * third));
  if (last > 1.15 * middle) faults.push(`${name} still grow: ${middle}, then ${last}`);
  return { name, first: values[0] ?? 0, middle, last, most: Math.max(...values) };
});
const table = [
  `${next} turns in ${minutes} minutes over ${stored.size} of ${directories} directories: ${kinds.map((kind) => `${done[kind]} ${kind}`).join(', ')}`,
  '',
  '| | at first | middle third | last third | most |',
  '|---|---:|---:|---:|---:|',
  ...figures.map(
    (one) => `| ${one.name} | ${one.first} | ${one.middle} | ${one.last} | ${one.most} |`,
  ),
  ...(faults.length === 0 ? [] : ['', 'did not hold:', ...faults.slice(0, 20)]),
].join('\n');
await mkdir(join(prefix, '..'), { recursive: true });
await writeFile(
  `${prefix}.json`,
  `${JSON.stringify({ minutes, directories, turns: next, done, figures, samples, faults }, undefined, 2)}\n`,
);
await writeFile(`${prefix}.table.txt`, `${table}\n`);
await writeFile(
  `${prefix}.svg`,
  soakPlot(`${next} turns over ${directories} directories`, next, [
    {
      unit: 'file descriptors',
      lines: [
        { name: 'descriptors', color: '#06c', values: samples.map((one) => one.descriptors) },
      ],
    },
    {
      unit: 'MiB resident',
      lines: [{ name: 'resident', color: '#c60', values: samples.map((one) => one.residentMiB) }],
    },
  ]),
);
process.stdout.write(`${table}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
