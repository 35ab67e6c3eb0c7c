import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The machine's own PostgreSQL programs; the newest where there are several. */
function programsFolder(): string | undefined {
  const folders = globSync('/usr/lib/postgresql/*/bin').toSorted(
    (a, b) => numberIn(b) - numberIn(a),
  );
  const named = process.env['RLM_TEST_POSTGRES_BIN'];
  return [named ?? '', ...folders, '/usr/local/bin', '/usr/bin'].find(
    (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  );
}

function numberIn(folder: string): number {
  return Number(/\d+/.exec(folder)?.[0] ?? 0);
}

/** Why no PostgreSQL can be started here; undefined where one can. */
export const noPostgres: string | undefined =
  programsFolder() === undefined
    ? 'no PostgreSQL on this machine: `apt-get install -y postgresql` (or set RLM_TEST_POSTGRES_BIN)'
    : undefined;

/** A PostgreSQL server of a test's own, on a free port, run by nobody who may do much. */
export interface TestPostgres {
  readonly port: number;
  readonly folder: string;
  /** @param database Made for the test where it is not there */
  url(options?: {
    readonly user?: string;
    readonly database?: string;
    readonly port?: number;
  }): string;
  /** Runs SQL as the owner, or as another user. */
  sql(
    text: string,
    options?: { readonly user?: string; readonly database?: string },
  ): Promise<string>;
  /** A second server that follows this one, and gets everything before anybody is answered. */
  standby(): Promise<TestStandby>;
  /** Stops at once, as by a power cut. */
  crash(): Promise<void>;
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A server that follows another one. */
interface TestStandby extends TestPostgres {
  /** Takes writes from now on. */
  promote(): Promise<void>;
}

/**
 * Starts a server with an empty database `rlm` of the user `rlm`.
 * @param settings Further ones
 * @param files What else lies in its data directory, by name
 */
export async function startPostgres(
  settings: readonly string[] = [],
  files: Readonly<Record<string, string>> = {},
): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-pg-'));
  const user = plainUser();
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  await promisify(execFile)('cp', ['-a', await emptyCluster(), data], { cwd: '/', ...user });
  for (const [name, text] of Object.entries(files)) {
    const path = join(data, name);
    await writeFile(path, text, { mode: 0o600 });
    if (user !== undefined) await chown(path, user.uid, user.gid);
  }
  return serverIn(folder, data, settings);
}

/**
 * A data directory with the empty database, made once for all tests of this machine: a copy takes a
 * tenth of the time.
 */
async function emptyCluster(): Promise<string> {
  const programs = programsFolder()!;
  const user = plainUser();
  const version = (await program('postgres', ['--version'])).replaceAll(/[^0-9.]+/g, '-');
  const made = join(tmpdir(), `rlm-pg-empty${version}${user?.uid ?? process.getuid?.() ?? ''}`);
  if (existsSync(made)) return made;
  const data = await mkdtemp(join(tmpdir(), 'rlm-pg-making-'));
  if (user !== undefined) await chown(data, user.uid, user.gid);
  await program('initdb', ['-D', data, '-A', 'trust', '-U', 'rlm', '-E', 'UTF8', '--no-sync']);
  const single = spawn(join(programs, 'postgres'), ['--single', '-D', data, 'postgres'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    ...user,
  });
  single.stdin.end('create database rlm\n');
  const [code] = (await once(single, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`postgres --single has ended with ${code}`);
  try {
    await rename(data, made);
  } catch {
    // Another test was faster.
    await rm(data, { recursive: true, force: true });
  }
  return made;
}

async function serverIn(
  folder: string,
  data: string,
  settings: readonly string[],
): Promise<TestPostgres> {
  const port = await freePort();
  const user = plainUser();
  let running: ChildProcess | undefined;
  const url: TestPostgres['url'] = ({
    user: name = 'rlm',
    database = 'rlm',
    port: at = port,
  } = {}) => `postgres://${name}@127.0.0.1:${at}/${database}`;
  const start = async (): Promise<void> => {
    const usual = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200'];
    const all = [...usual, ...settings];
    const child = spawn(
      join(programsFolder()!, 'postgres'),
      ['-D', data, '-p', String(port), ...all.flatMap((setting) => ['-c', setting])],
      { stdio: 'ignore', ...user },
    );
    running = child;
    for (;;) {
      const isReady = await program('pg_isready', ['-h', '127.0.0.1', '-p', String(port)]).then(
        () => true,
        () => false,
      );
      if (isReady) return;
      if (child.exitCode !== null) throw new Error(`postgres has ended with ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const crash = async (): Promise<void> => {
    const child = running;
    running = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    // An immediate shutdown: nothing is written any more, the next start recovers from the log.
    child.kill('SIGQUIT');
    await ended;
  };
  const to = ['-h', '127.0.0.1', '-p', String(port)];
  const sql: TestPostgres['sql'] = async (
    text,
    { user: name = 'rlm', database = text.startsWith('create database') ? 'postgres' : 'rlm' } = {},
  ) =>
    program('psql', [
      ...to,
      '-U',
      name,
      '-v',
      'ON_ERROR_STOP=1',
      '-At',
      '-d',
      database,
      '-c',
      text,
    ]);
  await start();
  return {
    port,
    folder,
    url,
    start,
    crash,
    sql,
    standby: async () => {
      const copied = join(folder, 'standby');
      const from = [...to, '-U', 'rlm', '-D', copied];
      await program('pg_basebackup', [...from, '-R', '-c', 'fast', '--no-sync']);
      const second = await serverIn(copied, copied, settings);
      await sql("alter system set synchronous_standby_names = '*'");
      await sql('select pg_reload_conf()');
      while ((await sql('select sync_state from pg_stat_replication')).trim() !== 'sync') {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return {
        ...second,
        promote: async () => {
          await program('pg_ctl', ['promote', '-w', '-D', copied]);
          // It waits for no standby of its own.
          await second.sql("alter system set synchronous_standby_names = ''");
          await second.sql('select pg_reload_conf()');
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      await crash();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function program(name: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(join(programsFolder()!, name), args, {
    cwd: '/',
    ...plainUser(),
  });
  return stdout;
}

/** PostgreSQL refuses to run as root: then somebody else does. */
function plainUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const line = ['postgres', 'nobody'].map((name) =>
    lines.find((each) => each.startsWith(`${name}:`)),
  );
  const [, , uid, gid] = (line.find((each) => each !== undefined) ?? '').split(':');
  return { uid: Number(uid), gid: Number(gid) };
}
