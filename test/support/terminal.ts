import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { CliHome } from './cli.ts';

const main = resolve(import.meta.dirname, '../../src/cli/main.ts');

/** A command on a terminal of 80 columns, and what that has shown so far. */
export class Terminal implements Disposable {
  readonly #child;
  shown = '';
  #wake = Promise.withResolvers<void>();

  constructor(home: CliHome, args: string, env: Record<string, string> = {}) {
    const command = `stty cols 80 rows 40; exec '${process.execPath}' '${main}' ${args}`;
    this.#child = spawn('script', ['-qefc', command, '/dev/null'], {
      env: {
        PATH: process.env['PATH'] ?? '',
        TERM: 'xterm',
        HOME: home.folder,
        RLM_DATA_DIR: home.dataDir,
        RLM_PORT: '0',
        ...env,
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child.stdout.on('data', (piece: Buffer) => {
      this.shown += piece.toString().replaceAll('\r\n', '\n');
      this.#wake.resolve();
    });
    this.#child.once('close', () => this.#wake.resolve());
  }

  /** The shown text, colours taken away. */
  get plain(): string {
    return withoutColours(this.shown);
  }

  /** Waits for words. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.plain);
      if (found !== null) return found;
      if (this.#child.exitCode !== null) throw new Error(`It ended, and showed:\n${this.shown}`);
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }

  /** What was shown so far is not looked at again. */
  forget(): void {
    this.shown = '';
  }

  /** Presses keys, as a terminal sends them: `\r` is Enter. */
  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

/** Text without the marks that colour it. */
export function withoutColours(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/\u001b\[\d+m/g, '');
}
