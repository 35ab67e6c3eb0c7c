/**
 * `node test/long/team-faults.ts [--outages 20] [--writers 4] [--kills 30] [--swallow-s 60]
 * [--steps every|some] [--only halts,power,kills,outages,standby,swallowing]`: a shared store
 * while something fails, over a PostgreSQL of its own. Says of each fault what was acknowledged,
 * lost, there twice, and how long storing a text and a chat stood still at most; ends with 1 where
 * anything was lost or is there twice.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Message } from '../../src/wire/types.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { startRelay } from '../support/relay.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { type HaltedWork, SharedHalts } from '../support/shared-halts.ts';
import { SharedLoad } from '../support/shared-load.ts';
import { type PowerWork, SharedPower } from '../support/shared-power.ts';
import { openMachine, sharedStore } from '../support/shared-machines.ts';

const { values } = parseArgs({
  options: {
    outages: { type: 'string', default: '20' },
    writers: { type: 'string', default: '4' },
    kills: { type: 'string', default: '30' },
    'swallow-s': { type: 'string', default: '60' },
    steps: { type: 'string', default: 'every' },
    only: { type: 'string', default: 'halts,power,kills,outages,standby,swallowing' },
  },
});
if (noPostgres !== undefined) {
  console.log(noPostgres);
  process.exit(2);
}
const waitMs = 2_000;
const folder = await mkdtemp(join(tmpdir(), 'rlm-team-'));
const upstream = await startScriptedUpstream();
let machines = 0;
let isBad = false;

async function machine(url: string): Promise<SharedSessions> {
  machines += 1;
  return openMachine(join(folder, `machine-${machines}`), url, { waitMs });
}

function tell(fault: string, report: Readonly<Record<string, number>>): void {
  console.log(fault, JSON.stringify(report));
  if ((report['lost'] ?? 0) > 0 || (report['twice'] ?? 0) > 0) isBad = true;
}

async function database(): Promise<TestPostgres> {
  const postgres = await startPostgres();
  await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
  return postgres;
}

/** A chat that goes on over a proxy, and the longest that one of its turns took. */
class Chat {
  readonly #proxy: TestProxy;
  readonly #history: Message[] = [];
  turns = 0;
  longestMs = 0;

  constructor(proxy: TestProxy) {
    this.#proxy = proxy;
  }

  async turn(lines: number): Promise<number> {
    this.turns += 1;
    const call = { id: `call_${this.turns}`, type: 'function' as const };
    this.#history.push(
      { role: 'user', content: `question ${this.turns}` },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ ...call, function: { name: 'bash', arguments: '{"command":"x"}' } }],
      },
      {
        role: 'tool',
        tool_call_id: call.id,
        content: `a line of output ${this.turns}\n`.repeat(lines),
      },
    );
    upstream.script(answer(`answer ${this.turns}`));
    const sinceMs = systemClock.elapsedMs();
    const { message } = await this.#proxy.ask(
      { messages: this.#history },
      { 'x-session-id': 'ses_1', 'x-rlm-directory': '/work', 'x-rlm-project': 'chat' },
    );
    if (message.content !== `answer ${this.turns}`) throw new Error('a turn was not answered');
    this.#history.push({ role: 'assistant', content: message.content });
    const tookMs = Math.round(systemClock.elapsedMs() - sinceMs);
    this.longestMs = Math.max(this.longestMs, tookMs);
    return tookMs;
  }
}

async function halts(postgres: TestPostgres): Promise<void> {
  const halting = new SharedHalts(postgres, folder);
  for (const work of ['append', 'away', 'drain', 'replay', 'anew'] satisfies HaltedWork[]) {
    const whole = await halting.run(work, Infinity);
    const every = values.steps === 'every' ? 1 : Math.ceil(whole / 8);
    let runs = 0;
    for (let steps = 0; steps < whole; steps += every) {
      await halting.run(work, steps);
      runs += 1;
    }
    tell(`halted (${work})`, { steps: whole, runs, lost: 0, twice: 0 });
  }
}

/** Machines whose power is cut. */
async function powerCuts(postgres: TestPostgres): Promise<void> {
  const power = new SharedPower(postgres, folder);
  for (const work of ['write', 'fetch'] satisfies PowerWork[]) {
    const recorded = await power.record(work);
    const { length } = recorded.disk.operations;
    const every = values.steps === 'every' ? 1 : Math.ceil(length / 8);
    let cuts = 0;
    let fetched = 0;
    for (let at = 0; at <= length; at += every) {
      if (await power.round(recorded, at)) fetched += 1;
      cuts += 1;
    }
    tell(`power cut (${work})`, { cuts, fetched, lost: 0, twice: 0 });
  }
}

/** Processes that are killed at random, one after the other on one data directory. */
async function kills(postgres: TestPostgres): Promise<void> {
  const url = postgres.url();
  const dataDir = join(folder, 'killed');
  const kept: (readonly [string, number])[] = [];
  const script = new URL('../support/shared-writer.ts', import.meta.url).pathname;
  for (let run = 1; run <= Number(values.kills); run += 1) {
    const child = spawn(process.execPath, [script, dataDir, url, 'killed', String(run)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (piece: Buffer) => {
      if (said === '') setTimeout(() => child.kill('SIGKILL'), Math.random() * 700);
      said += piece.toString();
    });
    await new Promise((resolve) => child.once('close', resolve));
    for (const line of said.split('\n').slice(0, -1)) {
      const [of = '', number] = line.split(' ');
      kept.push([of, Number(number)]);
    }
  }
  await using next = await openMachine(dataDir, url);
  await next.drain();
  const { store } = await sharedStore(next, 'killed');
  const counts = kept.map(([run, at]) => store.outputsOf('load', `call_${run}_${at}`).length);
  tell('kill -9', {
    kills: Number(values.kills),
    acknowledged: kept.length,
    lost: counts.filter((count) => count === 0).length,
    twice: counts.filter((count) => count > 1).length,
  });
}

async function outages(postgres: TestPostgres): Promise<void> {
  const url = postgres.url();
  const writers = await Promise.all(
    Array.from({ length: Number(values.writers) }, async () => machine(url)),
  );
  await using proxy = await startProxy({
    upstream,
    env: { RLM_STORE_URL: url, RLM_STORE_WAIT_MS: String(waitMs) },
  });
  const chat = new Chat(proxy);
  await chat.turn(900);
  const load = await SharedLoad.start(writers, 'outages');
  for (let outage = 1; outage <= Number(values.outages); outage += 1) {
    await load.more(20);
    await postgres.crash();
    await chat.turn(900);
    // Every other one is shorter than the time that is waited for it.
    if (outage % 2 === 0) await systemClock.sleep(3_000);
    await chat.turn(900);
    await postgres.start();
    await load.more(20);
    await chat.turn(900);
  }
  await using fresh = await machine(url);
  const report = await load.end(fresh);
  tell('database stopped at once', {
    outages: Number(values.outages),
    ...report,
    turns: chat.turns,
    longestTurnMs: chat.longestMs,
  });
  for (const each of writers) await each[Symbol.asyncDispose]();
}

async function standby(): Promise<void> {
  await using primary = await database();
  await using second = await primary.standby();
  const url = `postgres://rlm@127.0.0.1:${primary.port},127.0.0.1:${second.port}/rlm`;
  const writers = await Promise.all(
    Array.from({ length: Number(values.writers) }, async () => machine(url)),
  );
  const load = await SharedLoad.start(writers, 'standby');
  await load.more(200);
  const sinceMs = systemClock.elapsedMs();
  await primary.crash();
  await second.promote();
  const promoteMs = Math.round(systemClock.elapsedMs() - sinceMs);
  await load.more(200);
  await using fresh = await machine(second.url());
  tell('standby promoted', { promoteMs, ...(await load.end(fresh)) });
  for (const each of writers) await each[Symbol.asyncDispose]();
}

async function swallowing(postgres: TestPostgres): Promise<void> {
  await using relay = await startRelay(postgres.port);
  const url = postgres.url({ port: relay.port });
  await using proxy = await startProxy({
    upstream,
    env: { RLM_STORE_URL: url, RLM_STORE_WAIT_MS: String(waitMs) },
  });
  const chat = new Chat(proxy);
  await chat.turn(900);
  relay.hold();
  const sinceMs = systemClock.elapsedMs();
  const first = await chat.turn(120_000);
  const later: number[] = [];
  while (systemClock.elapsedMs() - sinceMs < Number(values['swallow-s']) * 1_000) {
    later.push(await chat.turn(900));
    await systemClock.sleep(1_000);
  }
  relay.release();
  await using fresh = await machine(postgres.url());
  let large = 0;
  while (large === 0) {
    await systemClock.sleep(500);
    const { store } = await sharedStore(fresh, 'chat');
    large = store.entries.filter(({ lengthBytes }) => lengthBytes > 2_000_000).length;
  }
  tell('network that swallows', {
    seconds: Number(values['swallow-s']),
    turns: later.length + 1,
    firstTurnMs: first,
    longestLaterTurnMs: Math.max(...later),
    lost: 0,
    twice: large - 1,
  });
}

const asked = values.only.split(',');
{
  await using postgres = await database();
  if (asked.includes('halts')) await halts(postgres);
  if (asked.includes('power')) await powerCuts(postgres);
  if (asked.includes('kills')) await kills(postgres);
  if (asked.includes('outages')) await outages(postgres);
}
if (asked.includes('standby')) await standby();
if (asked.includes('swallowing')) {
  await using postgres = await database();
  await swallowing(postgres);
}
await upstream[Symbol.asyncDispose]();
await rm(folder, { recursive: true, force: true });
process.exit(isBad ? 1 : 0);
