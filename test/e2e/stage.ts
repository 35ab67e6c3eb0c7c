import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startScriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { OpenCode } from './opencode.ts';
import { patienceMs } from './patience.ts';
import { runProgram } from './process.ts';
import { startProxyProcess, type ProxyProcess } from './proxy-process.ts';
import { startRelay, type Relay } from './relay.ts';

/** What all stages share. */
export interface Programs {
  readonly opencode: string;
  /** Folder of the built package. */
  readonly packageFolder: string;
  /** Where stages have their folders. */
  readonly folder: string;
  /** `PATH` of everything that is started. */
  readonly path: string;
}

/** How one stage is set up. */
export interface StageOptions {
  /** Name of the project's folder. */
  readonly project?: string;
  readonly isGit?: boolean;
  /** Also lift OpenCode's cut of tool outputs. */
  readonly liftToolOutput?: boolean;
}

/**
 * OpenCode -> relay -> proxy -> scripted upstream, each on its own port, all in one private folder.
 */
export interface Stage {
  readonly upstream: ScriptedUpstream;
  readonly relay: Relay;
  readonly opencode: OpenCode;
  /** The project's directory. */
  readonly project: string;
  /** Which store belongs to which directory, or to a chat without one. */
  mappings(): Promise<Readonly<Record<string, string>>>;
  /** Stops the proxy and starts it again on the same data. */
  restartProxy(): Promise<void>;
  /** Keeps the folder, with all that was said on the wire. */
  keep(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The upstream's model. */
export const scriptedModel = 'scripted-model';
/** Tokens that the upstream's model is said to have. */
const contextWindowTokens = 128_000;

/** Sets a stage: the provider is put into OpenCode's configuration by our own installer. */
export async function openStage(programs: Programs, options: StageOptions = {}): Promise<Stage> {
  const folder = await mkdtemp(join(programs.folder, 'stage-'));
  const project = join(folder, options.project ?? 'project');
  await mkdir(project);
  await writeFile(join(project, 'README.md'), '# A project\n\nIt has one file.\n');
  const env = environment(folder, programs);
  if (options.isGit !== false) await run('git', ['init', '-q'], { cwd: project, env });
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startScriptedUpstream());
  const relay = stack.use(await startRelay());
  const proxyEnv = { ...env, ...proxySettings(upstream) };
  let proxy: ProxyProcess | undefined;
  let log = '';
  const start = async (): Promise<void> => {
    proxy = await startProxyProcess(programs.packageFolder, { cwd: folder, env: proxyEnv });
    relay.target = proxy.origin;
  };
  const stop = async (): Promise<void> => {
    const code = await proxy?.stop();
    log += proxy?.log() ?? '';
    proxy = undefined;
    if (code !== undefined && code !== 0)
      throw new Error(`The proxy ended with ${code} on SIGTERM:\n${log}`);
  };
  stack.defer(stop);
  await start();
  const opencode = new OpenCode(programs.opencode, { home: folder, env, project });
  await opencode.prepare();
  await run(
    process.execPath,
    [
      join(programs.packageFolder, 'bin', 'rlm-opencode-setup.js'),
      'install',
      '--port',
      String(relay.port),
      ...(options.liftToolOutput === true ? ['--lift-tool-output'] : []),
    ],
    { cwd: project, env: proxyEnv },
  );
  const parts = stack.move();
  let kept = false;
  return {
    upstream,
    relay,
    opencode,
    project,
    mappings: async () => {
      const path = join(folder, 'data', 'rlm-opencode', 'mappings', 'directory_to_rlm.json');
      const { checksum: _, ...ids } = JSON.parse(await readFile(path, 'utf8')) as Record<
        string,
        string
      >;
      return ids;
    },
    restartProxy: async () => {
      await stop();
      await start();
    },
    keep: async () => {
      kept = true;
      await writeWire(folder, { upstream, relay });
      await writeFile(join(folder, 'proxy.log'), log + (proxy?.log() ?? ''));
    },
    [Symbol.asyncDispose]: async () => {
      try {
        await parts.disposeAsync();
      } finally {
        if (!kept) await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** What OpenCode and the proxy have sent, a file each. */
async function writeWire(
  folder: string,
  { upstream, relay }: Pick<Stage, 'upstream' | 'relay'>,
): Promise<void> {
  const wire = join(folder, 'wire');
  await mkdir(wire);
  for (const [index, { headers, requestBody, responseBody }] of relay.exchanges.entries()) {
    await writeFile(join(wire, `opencode-${index}.json`), requestBody);
    await writeFile(join(wire, `opencode-${index}.headers.json`), JSON.stringify(headers));
    await writeFile(join(wire, `opencode-${index}.answer`), responseBody);
  }
  for (const [index, { rawBody }] of upstream.requests.entries())
    await writeFile(join(wire, `upstream-${index}.json`), rawBody);
}

/** The proxy's settings on every stage. */
export function proxySettings({ baseURL }: ScriptedUpstream): Readonly<Record<string, string>> {
  return {
    RLM_PORT: '0',
    RLM_LOG_LEVEL: 'info',
    RLM_UPSTREAM_BASE_URL: baseURL,
    RLM_UPSTREAM_API_KEY: 'test-key',
    RLM_UPSTREAM_MODEL: scriptedModel,
    RLM_UPSTREAM_CONTEXT_WINDOW: String(contextWindowTokens),
    // The scenarios are about stubs: what the room decides is played in test/integration/room.test.ts.
    RLM_STRIP_MIN_CHARS: '10000',
  };
}

/** Nothing of the user's is read or written; nothing is fetched. */
export function environment(
  folder: string,
  { path }: { readonly path: string },
): Record<string, string> {
  return {
    PATH: path,
    HOME: folder,
    TMPDIR: folder,
    LANG: 'C.UTF-8',
    XDG_CONFIG_HOME: join(folder, 'config'),
    XDG_DATA_HOME: join(folder, 'data'),
    XDG_CACHE_HOME: join(folder, 'cache'),
    XDG_STATE_HOME: join(folder, 'state'),
  };
}

async function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const done = await runProgram(command, args, { ...options, timeoutMs: patienceMs });
  if (done.code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${done.code}:\n${done.stderr}`);
}
