import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { patienceMs } from './patience.ts';
import { runProgram, tail } from './process.ts';

/** A program on npm that is too large for everybody's `npm ci`. */
export interface NpmProgram {
  /** Begins the name of its folder in the cache. */
  readonly id: string;
  readonly packageName: string;
  /** Exact: the plays are written for it. */
  readonly version: string;
  /** The program in its package. */
  readonly file: string;
  /** Its install script in its package, where it has one that the program needs. */
  readonly postinstall?: string;
}

/** Where the program is, or why there is none. */
export type Found =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: string };

/** Finds one that was installed before, else installs it into a folder in the user's cache. */
export async function findProgram(program: NpmProgram, env: NodeJS.ProcessEnv): Promise<Found> {
  if (process.platform === 'win32') return { ok: false, reason: 'not on Windows' };
  const { id, packageName, version, file } = program;
  const cache = env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'rlm-opencode-e2e', `${id}-${version}`);
  const path = join(folder, 'node_modules', packageName, file);
  const before = await tryProgram(path, { origin: folder, version, env });
  if (before.ok) return before;
  process.stdout.write(`# installing ${packageName}@${version} into ${folder}\n`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const reason = await install(folder, program, env);
  return reason === undefined
    ? tryProgram(path, { origin: folder, version, env })
    : { ok: false, reason };
}

/** @returns What went wrong, if something did */
async function install(
  folder: string,
  { packageName, version, postinstall }: NpmProgram,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const options = { cwd: folder, env: plainEnv(env), timeoutMs: patienceMs };
  const flags = ['--no-save', '--no-audit', '--no-fund', '--fetch-retries=1', '--prefix', folder];
  try {
    const npm = await runProgram(
      'npm',
      ['install', ...flags, `${packageName}@${version}`],
      options,
    );
    if (npm.code !== 0) return `npm could not install it: ${npmReason(npm.stderr)}`;
    if (postinstall === undefined) return undefined;
    // A newer npm holds install scripts back; these only link the program that fits this machine.
    const linked = await runProgram(
      process.execPath,
      [join(folder, 'node_modules', packageName, postinstall)],
      options,
    );
    return linked.code === 0 ? undefined : `its install script: ${tail(linked.stderr.trim(), 400)}`;
  } catch (error) {
    return tail(error instanceof Error ? error.message : String(error), 400);
  }
}

/** What npm says it failed of, in one line. */
function npmReason(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.startsWith('npm error'));
  return lines
    .map((line) => line.slice('npm error'.length).trim())
    .slice(0, 4)
    .join('; ');
}

/** Whether the program is there, starts, and says that it is of this version. */
export async function tryProgram(
  path: string,
  {
    origin,
    version,
    env,
  }: {
    /** Where it comes from, for the reason. */
    readonly origin: string;
    /** Its version, or the beginning of it. */
    readonly version: string;
    readonly env: NodeJS.ProcessEnv;
  },
): Promise<Found> {
  try {
    await access(path);
    const options = { cwd: '/', env: plainEnv(env), timeoutMs: patienceMs };
    const { code, stdout, stderr } = await runProgram(path, ['--version'], options);
    const said = `${stdout}${stderr}`.trim();
    if (code !== 0) return { ok: false, reason: `${origin} does not start: ${tail(said, 400)}` };
    if (!` ${said}`.includes(` ${version}`))
      return { ok: false, reason: `${origin} is ${tail(said, 100)}, not ${version}` };
    return { ok: true, path };
  } catch (error) {
    return { ok: false, reason: `${origin}: ${String(error)}` };
  }
}

/** Without what `npm run` adds: an npm inside it would take the project's settings for its own. */
function plainEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (
      value !== undefined &&
      !/^npm_(?:package|lifecycle|command|config_(?:local_)?prefix)/.test(name)
    )
      plain[name] = value;
  }
  return plain;
}
