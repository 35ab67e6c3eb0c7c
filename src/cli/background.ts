import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { readOwner } from '../store/disk/owner.ts';
import { isAnswering, type RunningServer, serverOf } from './operations-client.ts';
import { writeFault } from './write-fault.ts';

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

/** A background server, and whether it was there before. */
export interface BackgroundServer {
  readonly address: string;
  readonly pid: number;
  readonly isNew: boolean;
}

/**
 * Starts `serve` as a process of its own and waits until it listens. One that runs already is left
 * as it is, also one that another command has started in the meantime.
 * @param args What `serve` is given
 * @throws ProxyError `store_full` or `internal` where nothing can be written; `config_invalid` with
 * the end of what it has said if it ends instead
 */
export async function startBackground(
  dataDir: string,
  args: readonly string[],
): Promise<BackgroundServer> {
  const running = await answeringServer(dataDir);
  if (running !== undefined) return { ...running, isNew: false };
  const fault = writeFault(dataDir);
  if (fault !== undefined)
    throw new ProxyError(fault.code, fault.message, {
      cause: fault,
      hint: `${fault.parts.hint ?? ''}\nUntil then \`rlm-opencode serve\` goes on without a store.`.trim(),
    });
  const path = logPath(dataDir);
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > logRotateBytes) {
    renameSync(path, `${path}.1`);
  }
  const log = openSync(path, 'a', 0o600);
  const { size: startBytes } = fstatSync(log);
  const main = fileURLToPath(new URL('main', import.meta.url)) + extension();
  const child = spawn(process.execPath, [main, 'serve', ...args], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  while (child.exitCode === null && child.signalCode === null) {
    const owner = await readOwner(dataDir);
    if (owner?.pid === child.pid && owner?.address !== undefined) {
      return { address: owner.address, pid: owner.pid, isNew: true };
    }
    await systemClock.sleep(pollMs);
  }
  const other = await answeringServer(dataDir);
  if (other !== undefined) return { ...other, isNew: false };
  // What servers before it have said says nothing of this one.
  const said = readFileSync(path).subarray(startBytes).toString().trimEnd();
  const tail = said.split('\n').slice(-tailLines).join('\n');
  throw new ProxyError('config_invalid', 'The server did not start.', {
    hint: `${tail === '' ? 'It has said nothing.' : tail}\n(all that servers have said: ${path})`,
  });
}

async function answeringServer(dataDir: string): Promise<RunningServer | undefined> {
  const server = serverOf(await readOwner(dataDir));
  return server !== undefined && (await isAnswering(server)) ? server : undefined;
}

/** `.ts` in the source, `.js` in the built package. */
function extension(): string {
  return import.meta.url.slice(import.meta.url.lastIndexOf('.'));
}
