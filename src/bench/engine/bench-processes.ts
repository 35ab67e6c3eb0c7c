import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A process that a benchmark has started, and where it listens. */
export interface Started {
  readonly child: ChildProcess;
  readonly origin: string;
}

/** A module of this folder, in whichever form this one runs: source or built. */
function sibling(name: string): string {
  return fileURLToPath(new URL(name + extname(import.meta.url), import.meta.url));
}

/**
 * Starts the program's `serve` on a free port before `upstream` (with `/v1`), with nothing of the
 * user's own configuration.
 * @throws Error with what it said if it ends instead of listening
 */
export async function startProxy(
  program: string,
  given: {
    readonly dataDir: string;
    readonly upstream: string;
    readonly env?: Readonly<Record<string, string>>;
  },
): Promise<Started> {
  const { dataDir, upstream, env = {} } = given;
  const child = fork(program, ['serve', '--port', '0', '--upstream-url', upstream], {
    execArgv: ['--import', sibling('./event-loop-probe')],
    env: {
      PATH: process.env['PATH'],
      HOME: dataDir,
      RLM_DATA_DIR: dataDir,
      RLM_LOG_LEVEL: 'error',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let said = '';
  for await (const bytes of child.stdout ?? []) {
    said += String(bytes);
    const origin = /listening on (http:\S+)/.exec(said)?.[1];
    if (origin !== undefined) return { child, origin };
  }
  throw new Error(`The proxy did not start: ${said}`);
}

/**
 * Starts the upstream that answers the load (`upstream`), or a plain relay before one (`relay`,
 * ORIGIN).
 */
export async function startServer(args: readonly string[]): Promise<Started> {
  const child = fork(sibling('./proxy-bench-server'), args);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, origin: `http://127.0.0.1:${port}` };
}

/** Ends a process in good order. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

/** What a process has used so far. */
export interface ProcessUse {
  readonly cpuMs: number;
  /** Read by system calls, files and sockets alike, bytes. */
  readonly readBytes: number;
}

/** Of a process of this machine, as Linux tells it; undefined where there is no `/proc`. */
export function useOf({ pid }: ChildProcess): ProcessUse | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Behind the name in brackets; fields 14 and 15 of proc(5) are user and system time in ticks of
    // 10 ms.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const cpuMs = 10 * (Number(fields[11]) + Number(fields[12]));
    const io = readFileSync(`/proc/${pid}/io`, 'utf8');
    return { cpuMs, readBytes: Number(/rchar: (\d+)/.exec(io)?.[1]) };
  } catch {
    return undefined;
  }
}
