import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/resolve.ts';
import { ProxyError } from '../errors.ts';
import { readOwner } from '../store/disk/owner.ts';
import { isAnswering, serverOf } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { print } from './screen.ts';

/** Between two looks whether the server is gone, milliseconds. */
const pollMs = 50;
/** What the server needs beside its drain time, milliseconds. */
const graceMs = 10_000;

/** `rlm-opencode stop`: ends the server that holds the data directory, and no other process. */
export function stopCommand(): Command {
  const command = new Command('stop').description('stop the server of this data directory');
  return addSettingFlags(command, ['data-dir']).action(async (options: object) => {
    await stop(loadFromFlags({ ...options }).config);
  });
}

async function stop(config: Config): Promise<void> {
  const server = serverOf(await readOwner(config.dataDir));
  if (server === undefined) {
    print('No server is running.\n');
    finish(exitCodes.nothing);
    return;
  }
  // The pid alone could be a stranger's by now: only who knows the secret of the owner file is our
  // server.
  if (!(await isAnswering(server))) {
    throw new ProxyError(
      'internal',
      `Process ${server.pid} does not answer at ${server.address} as our server, so it was left alone.`,
      { hint: `If it is the server and hangs: kill ${server.pid}` },
    );
  }
  process.kill(server.pid, 'SIGTERM');
  const giveUpMs = systemClock.elapsedMs() + config.server.drainMs + graceMs;
  while ((await readOwner(config.dataDir))?.pid === server.pid) {
    if (systemClock.elapsedMs() > giveUpMs) {
      throw new ProxyError('internal', `Process ${server.pid} is still running.`);
    }
    await systemClock.sleep(pollMs);
  }
  print(`Stopped the server at ${server.address}.\n`);
}
