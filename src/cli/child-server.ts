import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileCacheEnv } from '../base/compile-cache-env.ts';
import { ProxyError } from '../errors.ts';
import { readOwner } from '../store/disk/owner.ts';
import { serverOf, type RunningServer } from './operations-client.ts';

/** A server of a command's own, in its own process, with a data directory of its own. */
export interface ChildServer {
  readonly server: RunningServer;
  /** The most memory its process has held, bytes. */
  peakMemoryBytes(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts `serve` with the demo upstream on a free port, whatever the user has configured. The
 * environment variables of the program are not passed on; `env` adds some.
 * @param given.program The module of this folder, without its ending, whose `serve` it is
 * @throws ProxyError `internal` with what it said if it ends instead of listening
 */
export async function startChildServer(
  dataDir: string,
  {
    env = {},
    program = 'main',
  }: { readonly env?: Readonly<Record<string, string>>; readonly program?: string } = {},
): Promise<ChildServer> {
  const args = [
    fileURLToPath(new URL(program + extname(import.meta.url), import.meta.url)),
    'serve',
    '--port',
    '0',
    '--host',
    '127.0.0.1',
    '--data-dir',
    dataDir,
    '--log-level',
    'warn',
  ];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A configuration file that does not exist is none; only what a process needs to live is
    // inherited.
    env: {
      PATH: '/usr/bin:/bin',
      HOME: dataDir,
      XDG_CONFIG_HOME: dataDir,
      ...compileCacheEnv(),
      ...env,
    },
  });
  let said = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (said = (said + text).slice(-4_000)));
  const listening = new Promise<boolean>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('listening on')) resolve(true);
    });
    child.once('exit', () => resolve(false));
  });
  const server = (await listening) ? serverOf(await readOwner(dataDir)) : undefined;
  if (server === undefined) throw new ProxyError('internal', `The server did not start.\n${said}`);
  return {
    server,
    peakMemoryBytes: async () => {
      const health = (await (await fetch(`${server.address}/health`)).json()) as {
        peakMemoryBytes: number;
      };
      return health.peakMemoryBytes;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}
