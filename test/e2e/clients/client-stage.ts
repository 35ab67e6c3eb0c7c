import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { startScriptedUpstream, type ScriptedUpstream } from '../../support/scripted-upstream.ts';
import { patienceMs } from '../patience.ts';
import { Program, runProgram, type Finished } from '../process.ts';
import { startProxyProcess } from '../proxy-process.ts';
import { environment, proxySettings, scriptedModel } from '../stage.ts';
import type { PlayedClient } from './played-clients.ts';

/** A client -> the built proxy -> a scripted upstream, all in one private folder. */
export interface ClientStage {
  readonly upstream: ScriptedUpstream;
  /** Two directories, each a git repository of its own. */
  readonly projects: readonly [string, string];
  /** Everything that the client has said to its user. */
  said: string;
  /**
   * One question in a process of its own, to its end.
   * @throws Error with what it said when it fails
   */
  ask(question: string, options?: AskOptions): Promise<Finished>;
  /** The same, but nobody waits for its end. */
  begin(question: string, options?: AskOptions): Program;
  /** Keeps the folder, with all that went upstream and what the client and the proxy have said. */
  keep(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface AskOptions {
  /** Default: the first project. */
  readonly project?: string;
  /** In the chat before. */
  readonly isContinued?: boolean;
}

/** Sets a stage: a proxy that runs, a home with nothing in it, and the client on the PATH. */
export async function openClientStage(
  client: PlayedClient,
  programs: { readonly packageFolder: string; readonly folder: string; readonly path: string },
  clientPath: string,
): Promise<ClientStage> {
  const folder = await mkdtemp(join(programs.folder, `${client.id}-`));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const name = client.start.name === 'opencode' ? 'opencode' : client.program;
  await symlink(clientPath, join(bin, name));
  const path = `${bin}:${programs.path}`;
  const plain = { ...environment(folder, { path }), ...client.env };
  const projects = [join(folder, 'project'), join(folder, 'other')] as const;
  for (const project of projects) {
    await mkdir(project);
    await writeFile(join(project, 'README.md'), `# A project in ${project}\n\nIt has one file.\n`);
    await runProgram('git', ['init', '-q'], {
      cwd: project,
      env: plain,
      timeoutMs: patienceMs,
    });
  }
  for (const [file, content] of Object.entries(client.files ?? {})) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), content);
  }
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startScriptedUpstream());
  upstream.models = [scriptedModel];
  const env = { ...plain, ...proxySettings(upstream) };
  const ours = join(programs.packageFolder, 'bin', 'rlm-opencode.js');
  await chmod(ours, 0o755);
  const proxy = await startProxyProcess(programs.packageFolder, { cwd: folder, env });
  stack.defer(async () => {
    await proxy.stop();
  });
  if (client.start.by === 'setup') {
    const setup = await runProgram(process.execPath, [ours, 'setup', client.start.name], {
      cwd: folder,
      env,
      timeoutMs: patienceMs,
    });
    if (setup.code !== 0) throw new Error(`setup ended with ${setup.code}:\n${setup.stderr}`);
  }
  const begin = (question: string, options: AskOptions = {}): Program => {
    const { project = projects[0], isContinued = false } = options;
    const isArgument = client.question === 'argument';
    const args = [...client.args(isContinued), ...(isArgument ? [question] : [])];
    const [command, ...before] =
      client.start.by === 'command'
        ? [process.execPath, ours, client.start.name]
        : [join(bin, name)];
    return new Program(command, [...before, ...args], {
      cwd: project,
      env,
      ...(isArgument ? {} : { stdin: question }),
    });
  };
  const parts = stack.move();
  let isKept = false;
  const stage: ClientStage = {
    upstream,
    projects,
    said: '',
    begin,
    ask: async (question, options) => {
      const done = await begin(question, options).finished(patienceMs);
      stage.said += `${done.stdout}\n--- stderr ---\n${done.stderr}\n`;
      if (done.code !== 0)
        throw new Error(`It ended with ${done.code}:\n${done.stdout}\n${done.stderr}`);
      return done;
    },
    keep: async () => {
      isKept = true;
      for (const [index, { rawBody }] of upstream.requests.entries())
        await writeFile(join(folder, `upstream-${index}.json`), rawBody);
      await writeFile(join(folder, 'client.log'), stage.said);
      await writeFile(join(folder, 'proxy.log'), proxy.log());
    },
    [Symbol.asyncDispose]: async () => {
      try {
        await parts.disposeAsync();
      } finally {
        if (!isKept) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      }
    },
  };
  return stage;
}
