import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type Started,
  startProxy,
  startServer,
  stop,
  useOf,
} from '../../src/bench/engine/bench-processes.ts';
import { askOnce, closeConnections, keepAsking } from '../../src/bench/engine/proxy-bench-load.ts';
import { percentile } from '../../src/bench/questions/scoring.ts';

/**
 * `npm run build && node test/long/page-load.ts [ROUNDS]`: what chats notice of 500 connections
 * that stand idle and 20 pages that are open. Proxies of the built program before one upstream, one
 * looked at and two not, measured turn about; what the two lie apart is what the machine does by
 * itself. Who reads the pages is a process of its own, on the same machine. Prints a table of
 * ratios, and exits with 1 where a page was told nothing.
 */
const [rounds = '20', ...watcher] = process.argv.slice(2);
const idleConnections = 500;
const pages = 20;

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const small = { chunks: 20, gapMs: 0, bodyBytes: 2_000, messageChars: 400 };
const paced = { ...small, chunks: 100, gapMs: 5 };

interface Side extends Started {
  readonly name: string;
  readonly dataDir: string;
  readonly perSecond: number[];
  readonly cpuMs: number[];
  readonly firstByteMs: number[];
  readonly chunkMs: number[];
}

/** What the process of the watchers tells: bytes that each page was told. */
interface Told {
  readonly bytes: readonly number[];
}

async function openPage(origin: string, cookie: string, onBytes: (count: number) => void) {
  await new Promise<void>((resolve, reject) => {
    const asked = get(`${origin}/page/events`, { agent: new Agent(), headers: { cookie } });
    asked.on('error', reject);
    asked.on('response', (response) => {
      response.on('error', () => undefined);
      response.on('data', (bytes: Buffer) => {
        onBytes(bytes.length);
        resolve();
      });
    });
  });
}

/** A server closes connections that say nothing for long: each is then opened again. */
async function keepIdle(origin: string): Promise<void> {
  const { port, hostname } = new URL(origin);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.on('close', () => void keepIdle(origin));
  // Else nobody hears of the end.
  socket.resume();
  await once(socket, 'connect');
}

/** The process of those who look. */
async function watch(origin: string, cookie: string): Promise<void> {
  const bytes = Array.from({ length: pages }, () => 0);
  await Promise.all(
    bytes.map(async (_, at) => openPage(origin, cookie, (count) => (bytes[at]! += count))),
  );
  await Promise.all(Array.from({ length: idleConnections }, async () => keepIdle(origin)));
  process.send?.({ bytes });
  process.on('message', () => process.send?.({ bytes } satisfies Told));
}

async function openSide(upstream: Started, name: string): Promise<Side> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-page-load-'));
  const env = { RLM_UPSTREAM_MAX_IN_FLIGHT: '200', RLM_UPSTREAM_CONTEXT_WINDOW: '1000000' };
  const started = await startProxy(program, { dataDir, upstream: `${upstream.origin}/v1`, env });
  return { ...started, name, dataDir, firstByteMs: [], chunkMs: [], perSecond: [], cpuMs: [] };
}

/** What lets a page in, by the link that `open` prints: `name=value`. */
async function enter({ dataDir, origin }: Side): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, 'open', '--print'], {
    env: { PATH: process.env['PATH'], HOME: dataDir, RLM_DATA_DIR: dataDir },
  });
  const [, code] = /#code=(\S+)/.exec(stdout) ?? [];
  const response = await fetch(`${origin}/page/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code }),
  });
  const [cookie = ''] = response.headers.getSetCookie();
  if (cookie === '') throw new Error(`no way in: ${response.status}`);
  return cookie.slice(0, cookie.indexOf(';'));
}

async function measure(side: Side): Promise<void> {
  const target = { baseURL: `${side.origin}/v1` };
  const cpuMs = (): number => useOf(side.child)?.cpuMs ?? Number.NaN;
  const before = cpuMs();
  const beganMs = performance.now();
  const perSecond = await keepAsking({ ...small, ...target }, { streams: 16, ms: 1_000 });
  const asked = (perSecond * (performance.now() - beganMs)) / 1_000;
  side.perSecond.push(perSecond);
  side.cpuMs.push((cpuMs() - before) / asked);
  for (let at = 0; at < 40; at += 1)
    side.firstByteMs.push((await askOnce({ ...small, ...target })).firstByteMs);
  side.chunkMs.push(...(await askOnce({ ...paced, ...target })).chunkMs);
}

/** The middle of what each round says. */
function ratio(one: readonly number[], other: readonly number[]): string {
  const ratios = one.map((value, at) => value / other[at]!);
  return percentile(ratios, 0.5).toFixed(2);
}

function ratioAt(one: readonly number[], other: readonly number[], share: number): string {
  return (percentile(one, share) / percentile(other, share)).toFixed(2);
}

async function compare(): Promise<void> {
  const upstream = await startServer(['upstream']);
  const looked = await openSide(upstream, 'looked at');
  const alone = await openSide(upstream, 'alone');
  const second = await openSide(upstream, 'alone, another');
  const sides = [looked, alone, second];
  const watchers = fork(import.meta.filename, ['0', looked.origin, await enter(looked)]);
  await once(watchers, 'message');
  for (const { origin } of sides)
    await keepAsking({ ...small, baseURL: `${origin}/v1` }, { streams: 16, ms: 3_000 });
  for (let round = 0; round < Number(rounds); round += 1)
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) await measure(side);
  watchers.send('told');
  const [{ bytes }] = (await once(watchers, 'message')) as [Told];
  watchers.kill();
  closeConnections();
  await Promise.all([...sides, upstream].map(async ({ child }) => stop(child)));
  await Promise.all(
    sides.map(async ({ dataDir }) => rm(dataDir, { recursive: true, force: true })),
  );
  const rows = [looked, second].map((side) => [
    side.name,
    ratio(side.perSecond, alone.perSecond),
    ratio(side.cpuMs, alone.cpuMs),
    ratioAt(side.firstByteMs, alone.firstByteMs, 0.5),
    ratioAt(side.firstByteMs, alone.firstByteMs, 0.95),
    ratioAt(side.chunkMs, alone.chunkMs, 0.5),
    ratioAt(side.chunkMs, alone.chunkMs, 0.95),
  ]);
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}`;
  const [least, most] = [Math.min(...bytes), Math.max(...bytes)];
  console.log(`${machine}; ${rounds} rounds, as a multiple of a proxy that is alone

|  | requests per second | processor time of one | first byte, p50 | p95 | delay of a chunk, p50 | p95 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

Each page was told ${Math.round(least / 1_000)} to ${Math.round(most / 1_000)} KB.`);
  // What it was greeted with is less than that.
  process.exitCode = least > 10_000 ? 0 : 1;
}

const [origin, cookie] = watcher;
if (origin !== undefined && cookie !== undefined) await watch(origin, cookie);
else await compare();
