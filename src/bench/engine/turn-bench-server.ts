/**
 * The server of `bench turn`, in a process of its own: takes in chat requests as the proxy does, or
 * only receives them, and says what that cost. Started as `node turn-bench-server.ts DATA_DIR`;
 * tells its parent the port it got.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AnswerMemory } from '../../history/answer-memory.ts';
import { RequestIntake } from '../../capture/intake.ts';
import { SessionResolver } from '../../history/session-resolver.ts';
import { randomIds, systemClock } from '../../clock.ts';
import { boundHeap } from '../../garbage.ts';
import { limitedBody } from '../../http/body-stream.ts';
import { silentLogger } from '../../log.ts';
import { Outliner } from '../../outline/outliner.ts';
import { openSessions } from '../../store/sessions.ts';

/** What one request cost. */
export interface TurnCost {
  /** From the request's head to its last byte being worked off. */
  readonly ms: number;
  /** The longest time in which nothing else could run. */
  readonly maxSliceMs: number;
  /** The most memory that the process has had so far. */
  readonly peakMiB: number;
}

/** Body limit of the measurement, bytes. */
const limitBytes = 1_000_000_000;

async function receive(request: IncomingMessage): Promise<void> {
  let sizeBytes = 0;
  for await (const piece of limitedBody(request, { limitBytes })) sizeBytes += piece.byteLength;
  if (sizeBytes === 0) throw new Error('an empty body');
}

/** Serves until its parent goes away. */
async function main(dataDir: string): Promise<void> {
  boundHeap();
  await using sessions = await openSessions({
    dataDir,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
    maxSessionBytes: 10_000_000_000,
    chatMemory: { maxBytes: 100_000_000, maxAgeMs: 1e12 },
  });
  await using answers = new AnswerMemory(sessions.chats, systemClock);
  await using outliner = new Outliner(systemClock, silentLogger());
  const intake = new RequestIntake({
    finder: new SessionResolver({ sessions, answers, ids: randomIds, log: silentLogger() }),
    limits: {
      captureMinChars: 500,
      stripMinChars: 10_000,
      stripMinCharsByTool: {},
      stripIsFixed: true,
      stripFixedTools: [],
      maxSpillBytes: 0,
      outlineWaitMs: 100,
    },
    usesStubs: true,
    outliner,
    log: silentLogger(),
  });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const measure = async (request: IncomingMessage): Promise<TurnCost> => {
    delay.reset();
    const startedMs = performance.now();
    if (request.url === '/receive') await receive(request);
    else await intake.take(limitedBody(request, { limitBytes }), request);
    const ms = performance.now() - startedMs;
    // The probe's own interval is in what it records.
    const maxSliceMs = Math.max(0, delay.max / 1e6 - 1);
    return { ms, maxSliceMs, peakMiB: Math.round(process.resourceUsage().maxRSS / 1024) };
  };
  const server = createServer((request, response) => {
    measure(request).then(
      (cost) => response.end(JSON.stringify(cost)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ port: (server.address() as AddressInfo).port });
  });
  await new Promise<void>((resolve) => {
    process.once('disconnect', resolve);
  });
  server.closeAllConnections();
  server.close();
}

const [, , dataDir] = process.argv;
if (process.send !== undefined && dataDir !== undefined) await main(dataDir);
