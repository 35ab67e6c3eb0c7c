import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Started, startProxy, startServer, stop, useOf } from './bench-processes.ts';
import type { LoopLag } from './event-loop-probe.ts';
import { askOnce, type BenchRequest, closeConnections, keepAsking } from './proxy-bench-load.ts';
import { injectHeader } from '../../clients/origin.ts';
import { percentile } from '../questions/scoring.ts';

/** Middle and tail of a measurement, milliseconds. */
export interface Spread {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The same measurement through the plain relay and through the proxy. */
export interface Compared<Value> {
  readonly relay: Value;
  readonly proxy: Value;
}

/** Everything `bench proxy` measures. All processes run on one machine, in one run. */
export interface ProxyBench {
  readonly machine: string;
  /**
   * By the size of a request and the length of its messages. `isActive`: with our tools offered to
   * the model.
   */
  readonly firstByte: readonly ({
    readonly bodyBytes: number;
    readonly messageChars: number;
    readonly isActive: boolean;
  } & Compared<Spread>)[];
  /**
   * Processor time of one request of each size, milliseconds; absent where the system does not
   * tell.
   */
  readonly cpuMs: readonly ({ readonly what: string } & Compared<number>)[];
  /** From the upstream's write to the client's read, one paced stream. */
  readonly chunkDelay: Compared<Spread>;
  /** Of one stream as fast as it goes. `loop`: with our tools offered to the model. */
  readonly chunksPerSecond: Compared<number> & { readonly loop: number };
  /** By streams at once, 20 chunks a request. */
  readonly requestsPerSecond: readonly ({ readonly streams: number } & Compared<number>)[];
  /** The proxy's event loop with 200 paced streams. */
  readonly loopLag: LoopLag;
}

/** How long to measure. */
interface ProxyBenchPlan {
  /** The program's main module, run with `serve`. */
  readonly program: string;
  /** Repetitions of each small measurement. */
  readonly rounds: number;
  readonly onStep: (step: string) => void;
}

/** Streams at once whose event loop lag is measured, and of the largest load. */
const manyStreams = 200;

/**
 * Measures what the proxy adds to a plain byte relay: both in processes of their own before the
 * same scripted upstream, turn about, so that whatever else the machine does falls on both.
 * @throws Error when an answer is not whole
 */
export async function runProxyBench(plan: ProxyBenchPlan): Promise<ProxyBench> {
  await using world = await startWorld(plan.program);
  const { relay, proxy } = world;
  const { onStep, rounds } = plan;
  onStep('warming up');
  await world.storeSomething();
  const active = { ...proxy, headers: world.activeHeaders };
  // Until all that is measured has been compiled: what counts is a server that has run for a while.
  for (const target of [relay, proxy, active]) {
    await keepAsking({ ...small, ...target }, { streams: 10, ms: 1000 });
    await keepAsking({ ...large, ...target }, { streams: 1, ms: 1000 });
    await chunkRate(target);
  }
  const firstByte = [];
  for (const [asked, one] of [
    [small, proxy],
    [{ ...large, messageChars: 4000 }, proxy],
    [large, proxy],
    [small, active],
    [large, active],
  ] as const) {
    const { bodyBytes, messageChars } = asked;
    const isActive = one === active;
    onStep(`first byte of ${bodyBytes / 1000} KB in messages of ${messageChars} characters`);
    const spreads = await compareFirstBytes({ relay, proxy: one }, asked, rounds * 40);
    firstByte.push({ bodyBytes, messageChars, isActive, ...spreads });
  }
  onStep('processor time of a request');
  const cpuMs = [];
  for (const asked of [small, large]) cpuMs.push(...(await compareCpu(world, asked, rounds * 40)));
  onStep('delay of each chunk');
  const chunkDelay = await compareDelays({ relay, proxy }, rounds);
  onStep('chunks per second');
  const [relayChunks = 0, proxyChunks = 0, loopChunks = 0] = await inTurns(
    [relay, proxy, active],
    rounds,
    chunkRate,
  );
  const chunksPerSecond = { relay: relayChunks, proxy: proxyChunks, loop: loopChunks };
  const requestsPerSecond = [];
  for (const streams of [1, 16, 64]) {
    onStep(`requests per second, ${streams} at once`);
    const rate = async (target: Target): Promise<number> =>
      keepAsking({ ...small, ...target }, { streams, ms: 1000 });
    const [relayRate = 0, proxyRate = 0] = await inTurns([relay, proxy], rounds, rate);
    requestsPerSecond.push({ streams, relay: relayRate, proxy: proxyRate });
  }
  onStep(`event loop with ${manyStreams} streams`);
  await world.loopLag();
  const paced = { ...small, ...proxy, chunks: rounds * 20, gapMs: 50 };
  await Promise.all(Array.from({ length: manyStreams }, () => askOnce(paced)));
  const loopLag = await world.loopLag();
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}`;
  return { machine, firstByte, cpuMs, chunkDelay, chunksPerSecond, requestsPerSecond, loopLag };
}

type Target = Pick<BenchRequest, 'baseURL' | 'headers'>;

/** What is asked, beside who is asked. */
type Asked = Omit<BenchRequest, 'baseURL' | 'headers'>;

const small: Asked = { chunks: 20, gapMs: 0, bodyBytes: 2000, messageChars: 400 };

const large: Asked = { chunks: 1, gapMs: 0, bodyBytes: 200_000, messageChars: 400 };

async function compareFirstBytes(
  { relay, proxy }: Compared<Target>,
  asked: Asked,
  count: number,
): Promise<Compared<Spread>> {
  const times: { relay: number[]; proxy: number[] } = { relay: [], proxy: [] };
  for (let n = 0; n < count; n += 1) {
    times.relay.push((await askOnce({ ...asked, ...relay })).firstByteMs);
    times.proxy.push((await askOnce({ ...asked, ...proxy })).firstByteMs);
  }
  return { relay: spreadOf(times.relay), proxy: spreadOf(times.proxy) };
}

/** What one request costs each of the two processes, one request at a time. */
async function compareCpu(world: World, asked: Asked, count: number): Promise<ProxyBench['cpuMs']> {
  const spent = async (target: Target, { child }: Started): Promise<number | undefined> => {
    const before = useOf(child);
    for (let n = 0; n < count; n += 1) await askOnce({ ...asked, ...target });
    const after = useOf(child);
    return before && after && (after.cpuMs - before.cpuMs) / count;
  };
  const relay = await spent(world.relay, world.processes.relay);
  const proxy = await spent(world.proxy, world.processes.proxy);
  const what = `${asked.bodyBytes / 1000} KB`;
  return relay === undefined || proxy === undefined ? [] : [{ what, relay, proxy }];
}

async function compareDelays(
  { relay, proxy }: Compared<Target>,
  rounds: number,
): Promise<Compared<Spread>> {
  const paced = { ...small, chunks: 200, gapMs: 5 };
  const delays: { relay: number[]; proxy: number[] } = { relay: [], proxy: [] };
  for (let n = 0; n < rounds; n += 1) {
    delays.relay.push(...(await askOnce({ ...paced, ...relay })).chunkMs);
    delays.proxy.push(...(await askOnce({ ...paced, ...proxy })).chunkMs);
  }
  return { relay: spreadOf(delays.relay), proxy: spreadOf(delays.proxy) };
}

/** The middle of several measurements of each target, taken turn about. */
async function inTurns(
  targets: readonly Target[],
  rounds: number,
  measure: (target: Target) => Promise<number>,
): Promise<readonly number[]> {
  const values: number[][] = targets.map(() => []);
  for (let n = 0; n < rounds; n += 1) {
    for (const [at, target] of targets.entries()) values[at]?.push(await measure(target));
  }
  return values.map((own) => percentile(own, 0.5));
}

async function chunkRate(target: Target): Promise<number> {
  const fast = { ...small, ...target, chunks: 30_000 };
  return (fast.chunks / (await askOnce(fast)).totalMs) * 1000;
}

function spreadOf(times: readonly number[]): Spread {
  return { p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
}

interface World extends AsyncDisposable {
  readonly relay: Target;
  readonly proxy: Target;
  readonly processes: Compared<Started>;
  /** With these headers the proxy's loop is active. */
  readonly activeHeaders: Readonly<Record<string, string>>;
  storeSomething(): Promise<void>;
  loopLag(): Promise<LoopLag>;
}

/** Starts upstream, relay and proxy. */
async function startWorld(program: string): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-bench-proxy-'));
  const upstream = await startServer(['upstream']);
  const relay = await startServer(['relay', upstream.origin]);
  const proxy = await startProxy(program, {
    dataDir,
    upstream: `${upstream.origin}/v1`,
    // A window that no body fills: what is measured is the ordinary chat, and not the guard at its
    // work.
    env: {
      RLM_UPSTREAM_MAX_IN_FLIGHT: String(manyStreams),
      RLM_UPSTREAM_CONTEXT_WINDOW: '1000000',
    },
  });
  const activeHeaders = {
    'x-rlm-directory': encodeURIComponent(dataDir),
    [injectHeader]: 'always',
  };
  const children = [proxy, relay, upstream].map((one) => one.child);
  const baseURL = `${proxy.origin}/v1`;
  return {
    relay: { baseURL: `${relay.origin}/v1` },
    proxy: { baseURL },
    processes: { relay, proxy },
    activeHeaders,
    // A pasted text of this size is stored, and from then on the tools are offered in its
    // directory.
    storeSomething: async () => {
      await askOnce({ ...small, baseURL, headers: activeHeaders, pastedChars: 50_000 });
    },
    loopLag: async () => {
      const told = once(proxy.child, 'message');
      proxy.child.send('loop-lag');
      // The probe answers with nothing else.
      return (await told)[0] as LoopLag;
    },
    [Symbol.asyncDispose]: async () => {
      closeConnections();
      await Promise.all(children.map((child) => stop(child)));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
