import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
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
 * that stand idle and 20 pages that are open. Two proxies of the built program before one upstream,
 * the one looked at and the other not, measured turn about; a third, not looked at either, says how
 * far two equal ones lie apart. Prints a table of ratios, and exits with 1 where a page was told
 * nothing.
 */
const rounds = Number(process.argv[2] ?? 20);
const idleConnections = 500;
const pages = 20;

const program = join(import.meta.dirname, '../../dist/cli/main.js');
const small = { chunks: 20, gapMs: 0, bodyBytes: 2_000, messageChars: 400 };
const paced = { ...small, chunks: 100, gapMs: 5 };

interface Side extends Started {
  readonly name: string;
  readonly dataDir: string;
  readonly firstByteMs: number[];
  readonly chunkMs: number[];
  readonly perSecond: number[];
  readonly cpuMs: number[];
}

const upstream = await startServer(['upstream']);

async function openSide(name: string): Promise<Side> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-page-load-'));
  const env = { RLM_UPSTREAM_MAX_IN_FLIGHT: '200', RLM_UPSTREAM_CONTEXT_WINDOW: '1000000' };
  const started = await startProxy(program, { dataDir, upstream: `${upstream.origin}/v1`, env });
  return { ...started, name, dataDir, firstByteMs: [], chunkMs: [], perSecond: [], cpuMs: [] };
}

/** What lets a page in: by the link that `open` prints. */
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
  const [cookie] = response.headers.getSetCookie();
  if (cookie === undefined) throw new Error(`no way in: ${response.status}`);
  return cookie.split(';', 1)[0]!;
}

const pageAgent = new Agent();
const told: number[] = [];

/** Opens a page that reads all that it is told. */
async function openPage({ origin }: Side, cookie: string, at: number): Promise<void> {
  told[at] = 0;
  await new Promise<void>((resolve, reject) => {
    const asked = get(`${origin}/page/events`, { agent: pageAgent, headers: { cookie } });
    asked.on('error', reject);
    asked.on('response', (response) => {
      response.on('error', () => undefined);
      response.on('data', (bytes: Buffer) => {
        told[at]! += bytes.length;
        resolve();
      });
    });
  });
}

async function openSocket({ origin }: Side): Promise<Socket> {
  const { port, hostname } = new URL(origin);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return socket;
}

/** A server closes connections that say nothing for long: so each is opened again. */
async function keepIdle(side: Side): Promise<() => void> {
  const sockets = new Set<Socket>();
  let isOver = false;
  const open = async (): Promise<void> => {
    const socket = await openSocket(side);
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      if (!isOver) void open();
    });
  };
  await Promise.all(Array.from({ length: idleConnections }, open));
  return () => {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  };
}

async function measure(side: Side): Promise<void> {
  const target = { baseURL: `${side.origin}/v1` };
  const before = useOf(side.child)?.cpuMs ?? Number.NaN;
  const beganMs = performance.now();
  const perSecond = await keepAsking({ ...small, ...target }, { streams: 16, ms: 1_000 });
  const asked = (perSecond * (performance.now() - beganMs)) / 1_000;
  side.perSecond.push(perSecond);
  side.cpuMs.push(((useOf(side.child)?.cpuMs ?? Number.NaN) - before) / asked);
  for (let at = 0; at < 40; at += 1)
    side.firstByteMs.push((await askOnce({ ...small, ...target })).firstByteMs);
  side.chunkMs.push(...(await askOnce({ ...paced, ...target })).chunkMs);
}

const looked = await openSide('looked at');
const alone = await openSide('alone');
const second = await openSide('alone, another');
const sides = [looked, alone, second];

const cookie = await enter(looked);
await Promise.all(Array.from({ length: pages }, async (_, at) => openPage(looked, cookie, at)));
const endIdle = await keepIdle(looked);
for (const { origin } of sides)
  await keepAsking({ ...small, baseURL: `${origin}/v1` }, { streams: 16, ms: 3_000 });
for (let round = 0; round < rounds; round += 1)
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) await measure(side);

/** Of two sides, the middle of what each round says. */
function ratio(one: readonly number[], other: readonly number[]): string {
  return percentile(
    one.map((value, at) => value / other[at]!),
    0.5,
  ).toFixed(2);
}

function ratioAt(one: readonly number[], other: readonly number[], share: number): string {
  return (percentile(one, share) / percentile(other, share)).toFixed(2);
}

const rows = [looked, second].map((side) => [
  side.name,
  ratio(side.perSecond, alone.perSecond),
  ratio(side.cpuMs, alone.cpuMs),
  ratioAt(side.firstByteMs, alone.firstByteMs, 0.5),
  ratioAt(side.firstByteMs, alone.firstByteMs, 0.99),
  ratioAt(side.chunkMs, alone.chunkMs, 0.5),
  ratioAt(side.chunkMs, alone.chunkMs, 0.99),
]);
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}`;
console.log(`${machine}; ${rounds} rounds, as a multiple of a proxy that is alone

|  | requests per second | processor time of one | first byte, p50 | p99 | delay of a chunk, p50 | p99 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

Each page was told ${Math.round(Math.min(...told) / 1_000)} to ${Math.round(Math.max(...told) / 1_000)} KB.`);
const isTold = told.every((bytes) => bytes > 10_000);

endIdle();
pageAgent.destroy();
closeConnections();
await Promise.all([...sides, upstream].map(async ({ child }) => stop(child)));
await Promise.all(sides.map(async ({ dataDir }) => rm(dataDir, { recursive: true, force: true })));
process.exitCode = isTold ? 0 : 1;
