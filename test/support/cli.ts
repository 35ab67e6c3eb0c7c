import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { vi } from 'vitest';
import { openLocalApp } from '../../src/cli/local-app.ts';
import { rlmProgram } from '../../src/cli/program.ts';
import { runProgram } from '../../src/cli/run.ts';
import { setupProgram } from '../../src/cli/setup.ts';
import { loadConfig } from '../../src/config/load.ts';
import { publishOwner } from '../../src/store/disk/owner.ts';

const root = resolve(import.meta.dirname, '../..');

/** What a command left behind. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A home of its own for commands: nothing of the machine's settings is seen. */
export class CliHome implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'rlm-cli-'));
  readonly dataDir = join(this.folder, 'data');
  readonly #children: ChildProcess[] = [];

  /** Writes a file of this home, with the folders above it. @returns Its whole path */
  put(path: string, text: string, mode = 0o600): string {
    const whole = join(this.folder, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, text, { mode });
    return whole;
  }

  /** Runs a command to its end; `script` as {@link spawn} takes it. */
  async run(
    args: readonly string[],
    env: Record<string, string> = {},
    script?: string,
  ): Promise<CliResult> {
    return finished(this.spawn(args, env, script));
  }

  /** Runs a command inside this process: many times faster, for commands that start nothing. */
  async runHere(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
    return this.#here(await rlmProgram('0.0.0', args), args, env);
  }

  /** The same for `rlm-opencode-setup`. */
  async setup(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
    return this.#here(setupProgram('0.0.0'), args, env);
  }

  async #here(
    program: Command,
    args: readonly string[],
    env: Record<string, string>,
  ): Promise<CliResult> {
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      vi.spyOn(process[name], 'write').mockImplementation((piece) => {
        texts[name] += String(piece);
        return true;
      });
    }
    for (const [name, value] of Object.entries(this.#env(env))) vi.stubEnv(name, value);
    process.stdout.setMaxListeners(0);
    process.exitCode = 0;
    try {
      await runProgram(program, args);
      return { code: process.exitCode, ...texts };
    } finally {
      process.exitCode = 0;
      vi.unstubAllEnvs();
      vi.restoreAllMocks();
    }
  }

  /**
   * Starts a program; it is killed with the home. `script` is how a shell starts it, as `"$@"`:
   * `ulimit -n 64; exec "$@"` with so many files and sockets, `exec "$@" < file` with this input.
   */
  spawn(args: readonly string[], env: Record<string, string> = {}, script?: string): ChildProcess {
    const program = [process.execPath, join(root, 'src/cli/main.ts'), ...args];
    const [command, ...given] =
      script === undefined ? program : ['/bin/sh', '-c', script, 'sh', ...program];
    const child = spawn(command!, given, {
      cwd: this.folder,
      env: {
        PATH: process.env['PATH'] ?? '',
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? '',
        ...this.#env(env),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    return child;
  }

  /** Starts `serve` and waits for its line on stdout. */
  async serve(
    env: Record<string, string> = {},
    script?: string,
  ): Promise<{ readonly url: string; readonly child: ChildProcess; result: Promise<CliResult> }> {
    const child = this.spawn(['serve'], env, script);
    const result = finished(child);
    const line = await new Promise<string>((found, reject) => {
      let text = '';
      child.stdout?.on('data', (piece: Buffer) => {
        text += piece.toString();
        if (text.includes('\n')) found(text);
      });
      void result.then(({ stderr }) => reject(new Error(`serve ended: ${stderr}`)));
    });
    return { url: line.trim().split(' ').at(-1) ?? '', child, result };
  }

  /**
   * Runs `serve` inside this process, many times faster: for what commands say to a server. Closed
   * by its disposal.
   */
  async serveHere(
    env: Record<string, string> = {},
  ): Promise<{ readonly url: string; [Symbol.asyncDispose](): Promise<void> }> {
    const loaded = loadConfig({ env: this.#env(env), homeDir: this.folder });
    const app = await openLocalApp(loaded.config, 'silent', { loaded });
    const url = await app.server.listen();
    await publishOwner(loaded.config.dataDir, { address: url, secret: app.ownerSecret });
    return { url, [Symbol.asyncDispose]: async () => app[Symbol.asyncDispose]() };
  }

  #env(env: Record<string, string>): Record<string, string> {
    return { HOME: this.folder, RLM_DATA_DIR: this.dataDir, RLM_PORT: '0', ...env };
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function finished(child: ChildProcess): Promise<CliResult> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (piece: Buffer) => {
      texts[name] += piece.toString();
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...texts };
}
