import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { patienceMs } from './patience.ts';

/** How a program is started. */
export interface ProgramOptions {
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** What it reads; absent: nothing. */
  readonly stdin?: string;
}

/** What a finished program said. */
export interface Finished {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Programs that have not ended yet. */
const running = new Set<Program>();

/** Ends whatever still runs, at once: for a run that is interrupted. */
export function killPrograms(): void {
  for (const program of running) program.kill();
}

/** A program in a process group of its own, so that what it starts ends with it. */
export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<number | null>;
  readonly #watchers = new Set<() => void>();
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[], { stdin, ...options }: ProgramOptions) {
    this.#name = `${command} ${args.join(' ')}`;
    const stdio: StdioOptions = [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'];
    this.#child = spawn(command, args, { ...options, stdio, detached: true });
    // One that ends without reading it all is judged by what it does, not by this.
    this.#child.stdin?.on('error', () => undefined).end(stdin);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      for (const watch of this.#watchers) watch();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      for (const watch of this.#watchers) watch();
    });
    running.add(this);
    this.#ended = new Promise((resolve) => {
      const end = (code: number | null): void => {
        running.delete(this);
        resolve(code);
        for (const watch of this.#watchers) watch();
      };
      this.#child.once('close', end);
      this.#child.once('error', (error) => {
        this.stderr += String(error);
        end(null);
      });
    });
  }

  /** Waits for its end. @throws Error with what it said when it takes longer than `timeoutMs` */
  async finished(timeoutMs: number): Promise<Finished> {
    const code = await this.#within(this.#ended, timeoutMs);
    return { code, stdout: this.stdout, stderr: this.stderr };
  }

  /**
   * Waits for a line on stdout or stderr and gives back the match. @throws Error with what it said
   * instead
   */
  async said(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const look = (): void => {
      const match = pattern.exec(`${this.stdout}\n${this.stderr}`);
      if (match !== null) resolve(match);
      else if (!running.has(this)) reject(new Error(`It ended: ${this.#report()}`));
    };
    this.#watchers.add(look);
    look();
    try {
      return await this.#within(promise, timeoutMs);
    } finally {
      this.#watchers.delete(look);
    }
  }

  /**
   * Waits for an event elsewhere that it brings about. @throws Error with what it said when it ends
   * before
   */
  async until<Value>(event: Promise<Value>): Promise<Value> {
    const ends = async (): Promise<never> => {
      await this.#ended;
      throw new Error(`It ended: ${this.#report()}`);
    };
    return this.#within(Promise.race([event, ends()]), patienceMs);
  }

  /** Ends it and all it started, first politely. @returns The exit code */
  async stop(graceMs = patienceMs): Promise<number | null> {
    this.#signal('SIGTERM');
    try {
      return await this.#within(this.#ended, graceMs);
    } finally {
      this.kill();
    }
  }

  /** What Ctrl-C does in a terminal: it and all it started are told. */
  interrupt(): void {
    this.#signal('SIGINT');
  }

  /** Ends it and all it started, at once. */
  kill(): void {
    this.#signal('SIGKILL');
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  async #within<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.kill();
      reject(new Error(`Not within ${timeoutMs} ms: ${this.#report()}`));
    }, timeoutMs);
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #report(): string {
    return `${this.#name}\n--- stdout ---\n${tail(this.stdout)}\n--- stderr ---\n${tail(this.stderr)}`;
  }
}

/** Runs a program to its end. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { timeoutMs, ...options }: ProgramOptions & { readonly timeoutMs: number },
): Promise<Finished> {
  return new Program(command, args, options).finished(timeoutMs);
}

/** The end of a long output. */
export function tail(text: string, maxChars = 3_000): string {
  return text.length <= maxChars ? text : `…${text.slice(-maxChars)}`;
}
