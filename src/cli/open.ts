import { spawn } from 'node:child_process';
import { Command } from 'commander';
import { machineOf } from '../config/places.ts';
import { ProxyError } from '../errors.ts';
import { readOwner } from '../store/disk/owner.ts';
import { addDataDirFlag, dataDirOf } from './data-dir-flag.ts';
import { programOn } from './on-path.ts';
import { callOver, fetchLines, isAnswering, serverOf } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { print, printProse } from './screen.ts';

/**
 * `rlm-opencode open`: a link to the owner's page of the running server, good for one browser, and
 * that browser where there is one to be seen.
 */
export function openCommand(): Command {
  const command = new Command('open')
    .description('show what the server does, and what is stored, in your browser')
    .option('--print', 'only print the link');
  return addDataDirFlag(command).action(async (flags: { dataDir?: string; print?: true }) => {
    const server = serverOf(await readOwner(await dataDirOf(flags)));
    if (server === undefined || !(await isAnswering(server))) {
      printProse('No server is running. Start one: `rlm-opencode serve --background`\n');
      finish(exitCodes.nothing);
      return;
    }
    const call = callOver((asked) => fetchLines(server, asked));
    const opener = flags.print === true ? undefined : openerHere(machineOf().env, process.platform);
    const { code, lifeMs } = await newCode(call, { isInArguments: opener !== undefined });
    const link = `${reachable(server.address)}/#code=${code}`;
    print(`${link}\n`);
    const seconds = Math.round(lifeMs / 1000);
    printProse(`Good for one browser, within ${seconds} seconds.\n`);
    if (opener !== undefined) await open(opener, link);
  });
}

/** @throws ProxyError `not_found` where the server is of a version without the page */
async function newCode(
  call: ReturnType<typeof callOver>,
  use: { readonly isInArguments: boolean },
): Promise<{ readonly code: string; readonly lifeMs: number }> {
  try {
    const given = (await call('page-code', use)) as { code: string; lifeMs: number } | null;
    if (given !== null) return given;
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'not_found') throw error;
  }
  throw new ProxyError('not_found', 'The running server has no page: it is of an older version.', {
    hint: 'End it with `rlm-opencode stop`, then start it again.',
  });
}

/** A server that listens everywhere is asked on this machine. */
function reachable(address: string): string {
  return address.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}

/** A program and its arguments in front of the link. */
type Opener = readonly [program: string, ...args: string[]];

/** What opens a link here; undefined where nobody would see it. */
function openerHere(
  env: ReturnType<typeof machineOf>['env'],
  platform: NodeJS.Platform,
): Opener | undefined {
  if (!process.stdout.isTTY || (env['SSH_CONNECTION'] ?? '') !== '') return undefined;
  if (platform === 'darwin') return ['open'];
  if (platform === 'win32') return ['cmd', '/c', 'start', ''];
  const hasDisplay = [env['DISPLAY'], env['WAYLAND_DISPLAY']].some((name = '') => name !== '');
  const path = hasDisplay ? programOn(env['PATH'] ?? '', 'xdg-open') : undefined;
  return path === undefined ? undefined : [path];
}

/** The browser goes on when this command has ended. */
async function open([program, ...args]: Opener, link: string): Promise<void> {
  const child = spawn(program, [...args, link], { stdio: 'ignore', detached: true });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  child.once('spawn', () => resolve(true)).once('error', () => resolve(false));
  if (await promise) child.unref();
  else printProse('No browser could be opened: open the link yourself.\n');
}
