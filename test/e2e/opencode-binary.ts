import { access, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { runProgram, tail } from './process.ts';

/** The version that these tests are written for. */
export const opencodeVersion = '1.18.33';

/** Where the program is, or why there is none. */
export type Binary =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: string };

/** Two packages of 65 MB over a slow line. */
const installTimeoutMs = 300_000;
/** The first start unpacks itself. */
const startTimeoutMs = 60_000;

/**
 * Finds OpenCode: `OPENCODE_BIN`, else the one installed before, else one installed now into a
 * folder of its own in the user's cache. It has 350 MB, too much for everybody's `npm ci`.
 */
export async function findOpencode(env: NodeJS.ProcessEnv): Promise<Binary> {
  const given = env['OPENCODE_BIN'];
  if (given !== undefined && given !== '') return tryBinary(given, 'OPENCODE_BIN', env);
  if (process.platform === 'win32') return { ok: false, reason: 'not on Windows' };
  const cache = env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'rlm-opencode-e2e', `opencode-${opencodeVersion}`);
  const packageFolder = join(folder, 'node_modules', 'opencode-ai');
  const path = join(packageFolder, 'bin', 'opencode.exe');
  const before = await tryBinary(path, folder, env);
  if (before.ok) return before;
  process.stdout.write(`# installing opencode-ai@${opencodeVersion} into ${folder}\n`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const reason = await install(folder, packageFolder, env);
  return reason === undefined ? tryBinary(path, folder, env) : { ok: false, reason };
}

/** @returns What went wrong, if something did */
async function install(
  folder: string,
  packageFolder: string,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const options = { cwd: folder, env: plainEnv(env), timeoutMs: installTimeoutMs };
  const flags = ['--no-save', '--no-audit', '--no-fund', '--fetch-retries=1', '--prefix', folder];
  try {
    const npm = await runProgram(
      'npm',
      ['install', ...flags, `opencode-ai@${opencodeVersion}`],
      options,
    );
    if (npm.code !== 0) return `npm could not install it: ${npmReason(npm.stderr)}`;
    // A newer npm holds install scripts back; this one only links the program that fits this
    // machine.
    const linked = await runProgram(
      process.execPath,
      [join(packageFolder, 'postinstall.mjs')],
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

async function tryBinary(path: string, origin: string, env: NodeJS.ProcessEnv): Promise<Binary> {
  try {
    await access(path);
    const options = { cwd: '/', env: plainEnv(env), timeoutMs: startTimeoutMs };
    const { code, stdout, stderr } = await runProgram(path, ['--version'], options);
    const version = stdout.trim();
    if (code !== 0) return { ok: false, reason: `${origin} does not start: ${tail(stderr, 400)}` };
    if (!version.startsWith('1.18.'))
      return { ok: false, reason: `${origin} is OpenCode ${version}, not 1.18` };
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
