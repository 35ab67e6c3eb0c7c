import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { readOwner } from '../store/disk/owner.ts';
import { isAnswering, serverOf } from './operations-client.ts';
import { print } from './screen.ts';

/** A log of this size is put aside when the next server starts, bytes. */
const logRotateBytes = 10_000_000;
/** Between two looks whether the server is ready, milliseconds. */
const pollMs = 50;
/** Lines of the log shown when it did not start. */
const tailLines = 15;

/** Where a background server writes what it would say on the screen. */
export function logPath(dataDir: string): string {
  return join(dataDir, 'server.log');
}

/**
 * Starts `serve` with the same arguments as a process of its own and waits until it listens. One
 * that runs already is named and left as it is.
 * @throws ProxyError `config_invalid` with the end of its log if it ends instead
 */
export async function startBackground(dataDir: string): Promise<void> {
  const running = serverOf(await readOwner(dataDir));
  if (running !== undefined && (await isAnswering(running))) {
    const { address, pid } = running;
    print(`rlm-opencode is listening on ${address} already (process ${pid}).\n`);
    return;
  }
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = logPath(dataDir);
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > logRotateBytes) {
    renameSync(path, `${path}.1`);
  }
  const log = openSync(path, 'a', 0o600);
  const main = fileURLToPath(new URL('main', import.meta.url)) + extension();
  const args = process.argv.slice(2).filter((argument) => argument !== '--background');
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  while (child.exitCode === null && child.signalCode === null) {
    const owner = await readOwner(dataDir);
    if (owner?.pid === child.pid && owner?.address !== undefined) {
      print(`rlm-opencode listening on ${owner.address}\n`);
      return;
    }
    await systemClock.sleep(pollMs);
  }
  const tail = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-tailLines).join('\n');
  throw new ProxyError('config_invalid', `The server did not start. The end of ${path}:\n${tail}`);
}

/** `.ts` in the source, `.js` in the built package. */
function extension(): string {
  return import.meta.url.slice(import.meta.url.lastIndexOf('.'));
}
