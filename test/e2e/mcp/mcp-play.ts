import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  answer,
  callTools,
  type RecordedRequest,
  startScriptedUpstream,
} from '../../support/scripted-upstream.ts';
import { playedClients } from '../clients/played-clients.ts';
import type { Found, NpmProgram } from '../npm-program.ts';
import { patienceMs } from '../patience.ts';
import { type Finished, Program, runProgram } from '../process.ts';
import { startProxyProcess } from '../proxy-process.ts';
import type { Report } from '../report.ts';
import { environment, scriptedModel } from '../stage.ts';

/** The maintainers' own client, on the command line. */
export const inspector: NpmProgram = {
  id: 'mcp-inspector',
  packageName: '@modelcontextprotocol/inspector',
  version: '2.12.0',
  file: join('clients', 'launcher', 'build', 'index.js'),
};

/** Clients that are given the tools by `setup --mcp`, by their ids. */
export const mcpClients: readonly string[] = ['opencode', 'claude', 'codex'];

const token = 'of-the-clients';
const needle = 'the needle lies here';

/** A project of which something is stored, in a home of its own. */
interface Place extends AsyncDisposable {
  readonly folder: string;
  readonly project: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs our own program. @throws Error with what it said when it fails */
  ours(...args: readonly string[]): Promise<Finished>;
}

interface Programs {
  readonly packageFolder: string;
  readonly folder: string;
  readonly path: string;
}

/**
 * The tools over the Model Context Protocol, asked by programs that others have made: what cannot be
 * found is left out.
 */
export async function playMcp(
  programs: Programs,
  found: Readonly<Record<string, Found>>,
  report: Report,
): Promise<void> {
  const check = async (name: string, run: () => Promise<void>): Promise<void> => {
    await report.check(`mcp: ${name}`, run);
  };
  const pathOf = (id: string): string | undefined => {
    const one = found[id];
    return one?.ok === true ? one.path : undefined;
  };
  const asked = pathOf(inspector.id);
  if (asked !== undefined) {
    await check('the inspector, which starts the program', async () =>
      inspectStdio(programs, asked),
    );
    await check('the inspector, over HTTP', async () => inspectHttp(programs, asked));
  }
  const claude = pathOf('claude');
  if (claude !== undefined) {
    await check('Claude Code connects over HTTP', async () => {
      await using place = await openPlace(programs, 'claude');
      await using proxy = await startServer(programs, place);
      const headers = [`Authorization: Bearer ${token}`, `x-rlm-directory: ${place.project}`];
      const given = headers.flatMap((header) => ['--header', header]);
      const server = ['rlm', `${proxy.origin}/mcp`];
      await run(place, claude, ['mcp', 'add', '--transport', 'http', ...server, ...given]);
      assert.match((await run(place, claude, ['mcp', 'list'])).stdout, /^rlm: .* - ✔ Connected$/m);
    });
    await check('Claude Code connects to what `setup claude --mcp` wrote', async () => {
      await using place = await openPlace(programs, 'claude');
      await place.ours('setup', 'claude', '--mcp');
      const { stdout } = await run(place, claude, ['mcp', 'list']);
      assert.match(stdout, /^rlm-opencode: .* - ✔ Connected$/m);
      await place.ours('setup', 'uninstall', 'claude', '--mcp');
      assert.doesNotMatch((await run(place, claude, ['mcp', 'list'])).stdout, /rlm-opencode/);
    });
  }
  const codex = pathOf('codex');
  if (codex !== undefined)
    await check('Codex keeps what `setup codex --mcp` wrote when it writes its own', async () => {
      await using place = await openPlace(programs, 'codex');
      await place.ours('setup', 'codex', '--mcp');
      await run(place, codex, ['mcp', 'add', 'other', '--', '/bin/other']);
      assert.match((await run(place, codex, ['mcp', 'list'])).stdout, /^rlm-opencode .* enabled/m);
      await place.ours('setup', 'uninstall', 'codex', '--mcp');
      const { stdout } = await run(place, codex, ['mcp', 'list']);
      assert.match(stdout, /^other /m);
      assert.doesNotMatch(stdout, /rlm-opencode/);
    });
  const opencode = pathOf('opencode');
  if (opencode !== undefined)
    await check('OpenCode with a model of its own finds what is stored', async () =>
      askOpenCode(programs, opencode),
    );
}

async function inspectStdio(programs: Programs, path: string): Promise<void> {
  await using place = await openPlace(programs, 'inspector');
  const server = [
    process.execPath,
    join(programs.packageFolder, 'bin', 'rlm-opencode.js'),
    'mcp',
    '--directory',
    place.project,
    // It hands on none of the variables that say where the data are.
    '--data-dir',
    join(place.folder, 'data', 'rlm-opencode'),
  ];
  await inspect(place, path, server);
}

async function inspectHttp(programs: Programs, path: string): Promise<void> {
  await using place = await openPlace(programs, 'inspector');
  await using proxy = await startServer(programs, place);
  const named = ['--header', `x-rlm-directory: ${encodeURIComponent(place.project)}`];
  const server = [`${proxy.origin}/mcp`, '--stored-auth-only', ...named];
  await inspect(place, path, [...server, '--header', `Authorization: Bearer ${token}`]);
  const refused = await runProgram(path, ['--cli', ...server, '--method', 'tools/list'], {
    cwd: place.folder,
    env: place.env,
    timeoutMs: patienceMs,
  });
  assert.notEqual(refused.code, 0);
  assert.doesNotMatch(refused.stdout, /rlm_search/);
}

/** A server with a token. It stops by itself when it is told to, with clients or without. */
async function startServer(
  programs: Programs,
  place: Place,
): Promise<{ readonly origin: string } & AsyncDisposable> {
  const env = { ...place.env, RLM_PORT: '0', RLM_API_TOKEN: token };
  const proxy = await startProxyProcess(programs.packageFolder, { cwd: place.folder, env });
  return {
    origin: proxy.origin,
    [Symbol.asyncDispose]: async () => assert.equal(await proxy.stop(), 0),
  };
}

/** Everything that it can ask for. */
async function inspect(place: Place, path: string, server: readonly string[]): Promise<void> {
  const ask = async (...args: readonly string[]): Promise<unknown> => {
    const done = await run(place, path, ['--cli', ...server, ...args]);
    // It looks at schemas, too: what some model's provider would not take is said there.
    assert.doesNotMatch(done.stderr, /warning|error/i);
    return JSON.parse(done.stdout);
  };
  const { tools } = (await ask('--method', 'tools/list', '--strict')) as { tools: unknown[] };
  assert.equal(tools.length, 4);
  const call = ['--method', 'tools/call', '--tool-name', 'rlm_find', '--tool-arg'];
  assert.match(JSON.stringify(await ask(...call, 'text=needle')), new RegExp(needle));
  const { resources } = (await ask('--method', 'resources/list')) as {
    resources: { uri: string }[];
  };
  assert.equal(resources.length, 1);
  const whole = await ask('--method', 'resources/read', '--uri', resources[0]!.uri);
  assert.match(JSON.stringify(whole), new RegExp(needle));
}

/** The client's model is the script here, and no proxy runs. */
async function askOpenCode(programs: Programs, path: string): Promise<void> {
  await using place = await openPlace(programs, 'opencode');
  await using upstream = await startScriptedUpstream();
  const row = playedClients.find(({ id }) => id === 'opencode')!;
  await write(place, row.files ?? {});
  const other = {
    npm: '@ai-sdk/openai-compatible',
    options: { baseURL: upstream.baseURL, apiKey: 'test-key' },
    models: {
      [scriptedModel]: { tool_call: true, limit: { context: 128_000, output: 8_000 } },
    },
  };
  await write(place, { 'config/opencode/opencode.json': JSON.stringify({ provider: { other } }) });
  await place.ours('setup', 'opencode', '--mcp');
  const results: string[] = [];
  upstream.otherwise((request) => {
    const name = findTool(request);
    // It asks for a title, too.
    if (name === undefined) return answer('A title');
    const last = request.body.messages.at(-1);
    if (last?.role !== 'tool') return callTools({ name, args: { text: 'needle' }, id: 'call_1' });
    results.push(JSON.stringify(last.content));
    return answer('Found.');
  });
  const program = new Program(path, ['run', '--auto', '-m', `other/${scriptedModel}`], {
    cwd: place.project,
    env: { ...place.env, ...row.env },
    stdin: 'Where is the needle?',
  });
  const done = await program.finished(patienceMs);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /Found\./);
  assert.equal(results.length, 1);
  assert.match(results[0]!, new RegExp(needle));
}

/** Our tool as the client names it to its model. */
function findTool({ body }: RecordedRequest): string | undefined {
  const names = (body.tools ?? []).map(
    (tool) => (tool as { function?: { name?: string } }).function?.name ?? '',
  );
  return names.find((name) => name.endsWith('rlm_find'));
}

async function openPlace(programs: Programs, name: string): Promise<Place> {
  const folder = await mkdtemp(join(programs.folder, `mcp-${name}-`));
  const project = join(folder, 'ein projekt');
  await mkdir(project);
  await writeFile(join(project, 'notes.txt'), `alpha\n${needle}\nomega\n`);
  const env = environment(folder, programs);
  const bin = join(programs.packageFolder, 'bin', 'rlm-opencode.js');
  const place: Place = {
    folder,
    project,
    env,
    ours: async (...args) => run(place, process.execPath, [bin, ...args]),
    [Symbol.asyncDispose]: async () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
  await place.ours('ingest', project, '--directory', project);
  return place;
}

async function write(place: Place, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [file, content] of Object.entries(files)) {
    await mkdir(dirname(join(place.folder, file)), { recursive: true });
    await writeFile(join(place.folder, file), content);
  }
}

async function run(place: Place, command: string, args: readonly string[]): Promise<Finished> {
  const options = { cwd: place.project, env: place.env, timeoutMs: patienceMs };
  const done = await runProgram(command, args, options);
  if (done.code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${done.code}:\n${done.stderr}`);
  return done;
}
