import { Worker } from 'node:worker_threads';
import type { Clock } from '../clock.ts';
import {
  answerCall,
  createControl,
  setCancelled,
  type FromThread,
  type HostCall,
  type HostReply,
  type ProgramEnd,
  type ProgramStart,
  type ThreadData,
} from './mailbox.ts';
import { serveCall } from './service.ts';
import type { SandboxHost, SandboxLimits } from './types.ts';

/** A thread is ended when a program has run so long past its limit by the wall clock: some built-ins never look at their time. */
const graceMs = 1000;

/** The limit is CPU time; on a busy machine it may take this many times as long. */
const wallFactor = 2;

/** Longest start of a thread, milliseconds. */
const startMs = 60_000;

/** Native stack of the thread, MB: deep enough for `stackBytes` of 256 KB in QuickJS's own recursion (measured). */
const threadStackMb = 32;

/** Heap of the thread beside WebAssembly's memory, MB: it holds the texts that cross. */
const threadHeapMb = 192;

/** How a program ended; `dead` when the thread had to go and all variables with it. */
export type SandboxEnd =
  | { readonly dead: false; readonly end: ProgramEnd }
  | { readonly dead: true; readonly error: string };

/** One thread with one chat's variables. One program at a time. */
export class Sandbox {
  readonly #clock: Clock;
  readonly #limits: SandboxLimits;
  readonly #control = createControl();
  readonly #worker: Worker;
  #calls = 0;
  #exited = false;

  constructor(clock: Clock, limits: SandboxLimits) {
    this.#clock = clock;
    this.#limits = limits;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const workerData: ThreadData = { control: this.#control, limits };
    this.#worker = new Worker(new URL(`./thread.${extension}`, import.meta.url), {
      workerData,
      env: {},
      execArgv: [],
      stdin: false,
      resourceLimits: { stackSizeMb: threadStackMb, maxOldGenerationSizeMb: threadHeapMb },
    });
    this.#worker.unref();
    // Without a listener an error between two programs would end the process; the next program finds the thread gone.
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
    const program = new RunningProgram(this.#clock, this.#limits, () => void this.close());
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
    if (!signal.aborted) program.expect(startMs);
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
        return program.expect(signal.aborted ? 0 : wallFactor * this.#limits.computeMs);
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
    const tagged = await raceAbort(served, signal);
    answerCall(this.#control, (reply) => this.#send(reply), tagged);
    program.expect(signal.aborted ? 0 : wallFactor * this.#limits.computeMs);
  }

  #send(message: ProgramStart | HostReply): void {
    this.#worker.postMessage(message, []);
  }
}

/** Waits for `work`, or for the abort: a host that does not listen to the signal holds nobody up. */
async function raceAbort(work: Promise<string>, signal: AbortSignal): Promise<string> {
  const aborted = Promise.withResolvers<string>();
  const onAbort = (): void => aborted.resolve('Ecancelled');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The owner's watch over one program: it ends the thread when the program stops looking at its own clock. */
class RunningProgram {
  readonly #clock: Clock;
  readonly #limits: SandboxLimits;
  readonly #kill: () => void;
  readonly #settle = Promise.withResolvers<SandboxEnd>();
  #stopTimer: () => void = () => undefined;
  #killed = false;

  constructor(clock: Clock, limits: SandboxLimits, kill: () => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#kill = kill;
  }

  get ended(): Promise<SandboxEnd> {
    return this.#settle.promise;
  }

  finish(end: SandboxEnd): void {
    this.#settle.resolve(end);
  }

  /** The program must call or end within this time. */
  expect(timeMs: number): void {
    this.#stopTimer();
    this.#stopTimer = this.#clock.after(timeMs + graceMs, () => {
      this.#killed = true;
      this.#kill();
    });
  }

  /** The program waits for us. */
  expectNothing(): void {
    this.#stopTimer();
  }

  overrunText(): string {
    if (!this.#killed) return 'the sandbox ended by itself';
    return `stopped after ${this.#limits.computeMs / 1000} s inside one built-in function: the sandbox was ended`;
  }
}
