import { Worker } from 'node:worker_threads';
import { compileCacheEnv } from '../base/compile-cache-env.ts';
import type { Clock } from '../clock.ts';
import {
  answerCall,
  createMailbox,
  setCancelled,
  type FromThread,
  type HostCall,
  type HostReply,
  type ProgramEnd,
  type ProgramStart,
  type Reply,
  type ThreadData,
} from './mailbox.ts';
import { serveCall } from './service.ts';
import type { SandboxHost, SandboxLimits } from './types.ts';

/**
 * A thread is ended when a program has computed so long past its limit: some built-ins never look
 * at their time.
 */
const graceMs = 1000;

/**
 * The limit is processor time; on a busy machine it may take this many times as long by the clock,
 * and no longer.
 */
const wallFactor = 20;

/** Longest start of a thread, milliseconds. */
const startMs = 60_000;

/**
 * Native stack of the thread, MB: deep enough for `stackBytes` of 256 KB in QuickJS's own recursion
 * (measured).
 */
const threadStackMb = 32;

/**
 * Heap of the thread beside WebAssembly's memory, MB: the thread's own code, and the texts that
 * cross, which grow with a program's memory.
 */
const threadHeapMb = { least: 32, most: 192, share: 0.5 };

/** What is newly made in the thread before garbage is collected, MB. */
const threadYoungHeapMb = 8;

/** How a program ended; `dead` when the thread had to go and all variables with it. */
export type SandboxEnd =
  | { readonly dead: false; readonly end: ProgramEnd }
  | { readonly dead: true; readonly error: string };

/** One thread with one chat's variables. One program at a time. */
export class Sandbox {
  readonly #clock: Clock;
  readonly #limits: SandboxLimits;
  readonly #control = createMailbox();
  readonly #worker: Worker;
  #calls = 0;
  #exited = false;

  constructor(clock: Clock, limits: SandboxLimits, quickJs: WebAssembly.Module) {
    this.#clock = clock;
    this.#limits = limits;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const workerData: ThreadData = { control: this.#control, limits, quickJs };
    const { least, most, share } = threadHeapMb;
    this.#worker = new Worker(new URL(`./thread.${extension}`, import.meta.url), {
      workerData,
      env: compileCacheEnv(),
      execArgv: [],
      stdin: false,
      resourceLimits: {
        stackSizeMb: threadStackMb,
        maxYoungGenerationSizeMb: threadYoungHeapMb,
        maxOldGenerationSizeMb: Math.min(most, least + (share * limits.memoryBytes) / 1_048_576),
      },
    });
    this.#worker.unref();
    // Without a listener an error between two programs would end the process; the next program
    // finds the thread gone.
    this.#worker.on('error', () => undefined);
    this.#worker.on('exit', () => (this.#exited = true));
  }

  /** Whether programs can still run here. */
  get alive(): boolean {
    return !this.#exited;
  }

  /** Runs a program to its end. Never rejects; after `dead` the sandbox is of no more use. */
  async run(code: string, host: SandboxHost, signal: AbortSignal): Promise<SandboxEnd> {
    this.#calls += 1;
    setCancelled(this.#control, false);
    const program = new RunningProgram({
      clock: this.#clock,
      limits: this.#limits,
      worker: this.#worker,
      kill: () => void this.close(),
    });
    const stopListening = this.#listen(program, host, signal);
    const onAbort = (): void => {
      setCancelled(this.#control, true);
      program.expect(0);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#worker.ref();
    const start: ProgramStart = {
      kind: 'run',
      code,
      callNumber: this.#calls,
      lengthChars: host.lengthChars,
    };
    this.#send(start);
    if (!signal.aborted) program.expectStart();
    try {
      return await program.ended;
    } finally {
      program.expectNothing();
      signal.removeEventListener('abort', onAbort);
      stopListening();
      this.#worker.unref();
    }
  }

  /** Ends the thread at once, whatever it does. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #listen(program: RunningProgram, host: SandboxHost, signal: AbortSignal): () => void {
    const onMessage = (message: FromThread): void => {
      if (message.kind === 'done') return program.finish({ dead: false, end: message });
      if (message.kind === 'begin')
        return program.expect(signal.aborted ? 0 : this.#limits.computeMs);
      program.expectNothing();
      void this.#serve(message, { program, host, signal });
      return undefined;
    };
    const onError = (error: Error): void =>
      program.finish({
        dead: true,
        error: `the sandbox broke down (${error.message.slice(0, 200)})`,
      });
    const onExit = (): void =>
      program.finish({ dead: true, error: signal.aborted ? 'cancelled' : program.overrunText() });
    this.#worker.on('message', onMessage);
    this.#worker.on('error', onError);
    this.#worker.on('exit', onExit);
    return () => {
      this.#worker.off('message', onMessage);
      this.#worker.off('error', onError);
      this.#worker.off('exit', onExit);
    };
  }

  async #serve(
    call: HostCall,
    to: {
      readonly program: RunningProgram;
      readonly host: SandboxHost;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { program, host, signal } = to;
    const served = serveCall(call, host, { signal, limits: this.#limits });
    const reply = await raceAbort(served, signal);
    answerCall(this.#control, (message) => this.#send(message), reply);
    program.expect(signal.aborted ? 0 : this.#limits.computeMs);
  }

  #send(message: ProgramStart | HostReply): void {
    const bytes = message.kind === 'reply' ? message.bytes : undefined;
    this.#worker.postMessage(message, bytes === undefined ? [] : [bytes.buffer]);
  }
}

/**
 * Waits for `work`, or for the abort: a host that does not listen to the signal holds nobody up.
 */
async function raceAbort(work: Promise<Reply>, signal: AbortSignal): Promise<Reply> {
  const aborted = Promise.withResolvers<Reply>();
  const onAbort = (): void => aborted.resolve({ tagged: 'Ecancelled' });
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** What {@link RunningProgram} watches, and how it ends it. */
interface Watched {
  readonly clock: Clock;
  readonly limits: SandboxLimits;
  readonly worker: Worker;
  readonly kill: () => void;
}

/**
 * The owner's watch over one program: it ends the thread when the program stops looking at its own
 * clock.
 */
class RunningProgram {
  readonly #watched: Watched;
  readonly #settle = Promise.withResolvers<SandboxEnd>();
  #stopTimer: () => void = () => undefined;
  /** Counts what was expected: an answer about an earlier one comes too late. */
  #expectation = 0;
  #killed = false;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  get ended(): Promise<SandboxEnd> {
    return this.#settle.promise;
  }

  finish(end: SandboxEnd): void {
    this.#settle.resolve(end);
  }

  /** The thread must have started in time. */
  expectStart(): void {
    this.#arm(startMs, async () => true);
  }

  /**
   * The program must call or end before it has computed for so long. The clock only says when to
   * look: a thread that a busy machine leaves waiting has used none of it.
   */
  expect(computeMs: number): void {
    const { clock, worker } = this.#watched;
    const startedMs = clock.elapsedMs();
    const started = cpuMs(worker);
    const limitMs = computeMs + graceMs;
    const look = async (expectation: number): Promise<boolean> => {
      const [before, now] = await Promise.all([started, cpuMs(worker)]);
      if (expectation !== this.#expectation) return false;
      const leftMs = limitMs - (now - before);
      // Of a thread that has gone there are no numbers.
      if (!(leftMs > 0) || clock.elapsedMs() - startedMs >= wallFactor * limitMs) return true;
      this.#arm(leftMs, look);
      return false;
    };
    this.#arm(limitMs, look);
  }

  /** The program waits for us. */
  expectNothing(): void {
    this.#expectation += 1;
    this.#stopTimer();
  }

  overrunText(): string {
    if (!this.#killed) return 'the sandbox ended by itself';
    return `stopped after ${this.#watched.limits.computeMs / 1000} s inside one built-in function: the sandbox was ended`;
  }

  #arm(timeMs: number, isOver: (expectation: number) => Promise<boolean>): void {
    this.expectNothing();
    const expectation = this.#expectation;
    const look = async (): Promise<void> => {
      if (!(await isOver(expectation)) || expectation !== this.#expectation) return;
      this.#killed = true;
      this.#watched.kill();
    };
    this.#stopTimer = this.#watched.clock.after(timeMs, () => void look());
  }
}

/** Processor time of a thread so far, milliseconds; of one that has gone, without end. */
async function cpuMs(worker: Worker): Promise<number> {
  try {
    const { user, system } = await worker.cpuUsage();
    return (user + system) / 1000;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
