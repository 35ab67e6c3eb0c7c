import { parentPort, workerData } from 'node:worker_threads';
import { Machine } from './machine.ts';
import {
  callAndWait,
  isCancelled,
  type ProgramBegin,
  type ProgramEnd,
  type ProgramStart,
  type ThreadData,
} from './mailbox.ts';
import { OutputBuffer } from './output.ts';

/** The thread's entry: one machine, one program at a time. */

const port = parentPort;
if (port === null) throw new Error('thread.ts runs only as a worker');
const { control, limits, quickJs } = workerData as ThreadData;

/**
 * Most that a program may hand over in one call, UTF-16 units: the owner parses it on its event
 * loop. On its way the text exists some eight times, in both threads, so it gets a small part of
 * the program's memory.
 */
const maxArgumentChars = Math.min(16_000_000, limits.memoryBytes / 16);

/** One program's state in this thread. */
interface Run {
  readonly output: OutputBuffer;
  /** CPU time of this thread when the program began, milliseconds. */
  readonly startedCpuMs: number;
  hostCalls: number;
  subCalls: number;
  charsRead: number;
  answer?: string;
}

function newRun(): Run {
  return {
    output: new OutputBuffer(limits.maxOutputChars),
    startedCpuMs: cpuMs(),
    hostCalls: 0,
    subCalls: 0,
    charsRead: 0,
  };
}

let run = newRun();
let running = false;
let replyBytes: Uint8Array | undefined;

/**
 * This thread's CPU time: unlike the clock's it leaves out waits for the host, and what a busy
 * machine takes away.
 */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function computedMs(): number {
  return cpuMs() - run.startedCpuMs;
}

function interrupted(): string | undefined {
  if (running && isCancelled(control)) return 'cancelled';
  if (computedMs() <= limits.computeMs) return undefined;
  return `stopped after ${limits.computeMs / 1000} s of computing: the limit of one call. Let context.search with aggregate do the counting, or split the work over several calls; variables are kept`;
}

/** Serves what needs no host; passes the rest on and blocks. */
function serve(method: string, args: string): string {
  if (method === 'print') {
    const [start, omitted, end] = JSON.parse(args) as [string, number, string];
    run.output.add(start, omitted, end);
    return 'Jnull';
  }
  if (method === 'answer') {
    run.answer = (JSON.parse(args) as [string])[0];
    return 'Jnull';
  }
  if (args.length > maxArgumentChars)
    return `Etoo much text in one call: ${args.length} characters, at most ${maxArgumentChars}`;
  const { tagged, bytes, chars } = callAndWait(control, port as NonNullable<typeof port>, {
    method,
    args,
  });
  run.hostCalls += 1;
  if (method === 'query' || method === 'query_batched')
    run.subCalls += (JSON.parse(args) as [unknown[]])[0].length;
  if (tagged.startsWith('T')) run.charsRead += tagged.length - 1;
  if (bytes === undefined)
    // The machine's strings cross as C strings, which a zero ends.
    return tagged.includes('\0') ? `J${JSON.stringify(tagged.slice(1))}` : tagged;
  run.charsRead += chars ?? 0;
  replyBytes = bytes;
  return tagged;
}

const machine = await Machine.create(quickJs, limits, {
  call: serve,
  takeBytes: () => {
    const bytes = replyBytes ?? new Uint8Array(0);
    replyBytes = undefined;
    return bytes;
  },
  interrupted,
});

port.on('message', (message: ProgramStart) => {
  if (message.kind !== 'run') return;
  run = newRun();
  port.postMessage({ kind: 'begin' } satisfies ProgramBegin);
  running = true;
  const ended = machine.run(message);
  running = false;
  const end = ended.error !== undefined && isCancelled(control) ? { error: 'cancelled' } : ended;
  const computeMs = computedMs();
  // What follows gets a time of its own: a program at its limit or cancelled has its names listed
  // all the same.
  run = { ...run, startedCpuMs: cpuMs() };
  const isFull = ended.isFull === true;
  const names = isFull ? [] : machine.names();
  const { output, answer, hostCalls, subCalls, charsRead } = run;
  port.postMessage({
    kind: 'done',
    output: output.text(),
    ...end,
    answer,
    isFull,
    names,
    work: { computeMs, hostCalls, subCalls, charsRead },
  } satisfies ProgramEnd);
});
