import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { realFiles } from '../../src/store/disk/files.ts';
import { lockOwner, publishOwner } from '../../src/store/disk/owner.ts';
import { CliHome } from '../support/cli.ts';
import { ownerSecret, startServer } from '../support/http-server.ts';

const main = resolve(import.meta.dirname, '../../src/cli/main.ts');

const home = new CliHome();
const project = join(home.folder, 'project');
const other = join(home.folder, 'api');
const long = Array.from({ length: 9_000 }, (_, at) => `line ${at + 1} of a long log`).join('\n');

beforeAll(async () => {
  for (const folder of [project, other]) mkdirSync(folder);
  writeFileSync(join(project, 'a.txt'), 'alpha\nthe needle lies here\nomega\n');
  writeFileSync(join(project, 'long.log'), long);
  writeFileSync(join(project, 'secret.txt'), 'a text that is to be forgotten altogether\n');
  writeFileSync(join(other, 'api.txt'), 'the api says needle, too\n');
  for (const folder of [project, other])
    await home.runHere(['ingest', folder, '--directory', folder]);
});

afterAll(() => home[Symbol.dispose]());

const env = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? '',
  HOME: home.folder,
  RLM_DATA_DIR: home.dataDir,
  RLM_PORT: '0',
});

/** The official client, connected to a process of its own. */
async function connected(
  args: readonly string[] = ['--directory', project],
  roots?: readonly string[],
): Promise<{ readonly client: Client; readonly stderr: () => string } & AsyncDisposable> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [main, 'mcp', ...args],
    env: env(),
    cwd: home.folder,
    stderr: 'pipe',
  });
  let stderr = '';
  transport.stderr?.on('data', (piece: Buffer) => (stderr += piece.toString()));
  const client = new Client(
    { name: 'test', version: '1' },
    { capabilities: roots === undefined ? {} : { roots: {} } },
  );
  if (roots !== undefined)
    client.setRequestHandler('roots/list', () => ({
      roots: roots.map((path) => ({ uri: pathToFileURL(path).href })),
    }));
  await client.connect(transport);
  return { client, stderr: () => stderr, [Symbol.asyncDispose]: async () => client.close() };
}

function textOf(result: unknown): string {
  const { content } = result as { content: { text: string }[] };
  return content.map(({ text }) => text).join('\n');
}

async function call(client: Client, name: string, args: object): Promise<string> {
  return textOf(await client.callTool({ name, arguments: { ...args } }));
}

describe('on stdio', () => {
  test('the reading tools are there, described as chats have them, and answer as text and as fields', async () => {
    await using own = await connected();
    const { client } = own;
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      'rlm_get_context',
      'rlm_search',
      'rlm_find',
      'rlm_stats',
    ]);
    expect(tools[1]?.description).toContain('Search everything stored');
    expect(tools[1]?.inputSchema.properties).toHaveProperty('pattern');
    expect(await call(client, 'rlm_find', { text: 'needle' })).toContain('the needle lies here');
    const fields = await client.callTool({
      name: 'rlm_search',
      arguments: { pattern: 'needle', format: 'json' },
    });
    expect(fields.structuredContent).toMatchObject({ total: 1 });
    const wrong = await client.callTool({ name: 'rlm_search', arguments: { aggregate: 'sum' } });
    expect(wrong).toMatchObject({ isError: true });
    expect(textOf(wrong)).toContain('aggregate');
    expect(await call(client, 'rlm_search', { pattern: '(' })).toContain('plain text');
    const unknown = await client.callTool({ name: 'rlm_drop', arguments: {} });
    expect(unknown).toMatchObject({ isError: true });
    expect(textOf(unknown)).toContain('There is no tool "rlm_drop"');
    expect(own.stderr()).toBe('');
  });

  test('progress is told to who asks, and a call that is given up leaves the others alone', async () => {
    await using own = await connected();
    const { client } = own;
    const told: unknown[] = [];
    await client.callTool(
      { name: 'rlm_search', arguments: { pattern: 'needle' } },
      { onprogress: (progress) => told.push(progress) },
    );
    expect(told).toEqual([
      { progress: 1, message: expect.stringMatching(/searching [\d,]+ characters for "needle"/) },
    ]);
    const stop = new AbortController();
    const given = client.callTool(
      { name: 'rlm_search', arguments: { pattern: String.raw`(?=(\w+))\1x` } },
      { signal: stop.signal },
    );
    stop.abort();
    await expect(given).rejects.toThrow(/abort/i);
    expect(await call(client, 'rlm_find', { text: 'needle' })).toContain('needle lies here');
  });

  test('a call that is given up ends its search in the server that has it', async () => {
    const changes: (() => void)[] = [];
    const counts = { asked: 0, stopped: 0 };
    const count = (what: keyof typeof counts): void => {
      counts[what] += 1;
      for (const changed of changes.splice(0)) changed();
    };
    await using server = await startServer({
      operations: {
        async *run({ signal }) {
          count('asked');
          await new Promise<void>((stop) => signal.addEventListener('abort', () => stop()));
          count('stopped');
          yield '';
        },
      },
    });
    const reached = async (asked: number, stopped: number): Promise<void> => {
      while (counts.asked < asked || counts.stopped < stopped)
        await new Promise<void>((resolve) => changes.push(resolve));
    };
    using away = new CliHome();
    mkdirSync(away.dataDir, { recursive: true });
    await lockOwner(away.dataDir, { files: realFiles, clock: systemClock, ids: randomIds });
    await publishOwner(away.dataDir, { address: server.url, secret: ownerSecret });
    await using own = await connected(['--directory', project, '--data-dir', away.dataDir]);
    const stop = new AbortController();
    const call = { name: 'rlm_stats', arguments: {} };
    const given = own.client.callTool(call, { signal: stop.signal });
    const other = own.client.callTool(call).catch(() => undefined);
    await reached(2, 0);
    stop.abort();
    await expect(given).rejects.toThrow(/abort/i);
    await reached(2, 1);
    expect(counts).toEqual({ asked: 2, stopped: 1 });
    await own[Symbol.asyncDispose]();
    await reached(2, 2);
    await other;
  });

  test('entries are resources: listed, read whole or by ranges, and a long one says how to read on', async () => {
    await using own = await connected();
    const { client } = own;
    const { resources } = await client.listResources();
    expect(resources.map(({ name }) => name)).toEqual(['e3', 'e2', 'e1']);
    const named = (part: string) => resources.find(({ title }) => title?.includes(part))!;
    expect(named('a.txt')).toMatchObject({ mimeType: 'text/plain', description: 'file, 3 lines' });
    const { contents } = await client.readResource({ uri: named('a.txt').uri });
    expect(contents).toMatchObject([{ text: 'alpha\nthe needle lies here\nomega\n' }]);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain(
      'rlm://{session}/{entry}',
    );
    let text = '';
    let uri: string | undefined = named('long.log').uri;
    for (let parts = 0; uri !== undefined && parts < 10; parts += 1) {
      const read = await client.readResource({ uri });
      const [first, more] = read.contents as { text: string; uri: string }[];
      text += first!.text;
      expect(more?.text.includes(`Read on with ${more.uri}`)).not.toBe(false);
      uri = more?.uri;
    }
    expect(text).toBe(long);
    const lines = await client.readResource({ uri: `${named('long.log').uri}?line=7&lines=1` });
    expect(lines.contents).toMatchObject([{ text: 'line 7 of a long log\n' }]);
    for (const wrong of ['rlm://sess_x/e1', 'rlm://', 'file:///etc/passwd', 'rlm://a/../e1'])
      await expect(client.readResource({ uri: wrong })).rejects.toThrow(/not found/i);
    const none = resources[0]!.uri.replace(/e\d+$/, 'e99');
    await expect(client.readResource({ uri: none })).rejects.toThrow(/e99/);
  });

  test('what was forgotten says so, and links lead to the entries of other stores', async () => {
    const link = ['sessions', 'link', project, other, '--as', 'api'];
    expect(await runs(link)).toBe(0);
    await using own = await connected();
    const { client } = own;
    const { tools } = await client.listTools();
    expect(tools[1]?.inputSchema.properties).toHaveProperty('scope');
    expect(await call(client, 'rlm_find', { text: 'needle', scope: 'linked' })).toContain('api:e1');
    const { resources } = await client.listResources();
    const [session] = /sess_\w+/.exec(resources[0]!.uri)!;
    const { contents } = await client.readResource({ uri: `rlm://${session}/api:e1` });
    expect(contents).toMatchObject([{ text: 'the api says needle, too\n' }]);
    const secret = resources.find(({ title }) => title?.includes('secret.txt'))!;
    const forget = ['sessions', 'forget', secret.name, '--directory', project, '--yes'];
    expect(await runs(forget)).toBe(0);
    const gone = await client.readResource({ uri: secret.uri });
    expect(gone.contents).toMatchObject([{ text: expect.stringContaining('was forgotten') }]);
  });

  test('a server that starts and stops in between changes nothing, nor does a second client', async () => {
    await using first = await connected();
    await using second = await connected(['--directory', other]);
    const both = async (): Promise<void> => {
      const answers = await Promise.all([
        call(first.client, 'rlm_find', { text: 'needle' }),
        call(second.client, 'rlm_find', { text: 'needle' }),
      ]);
      expect(answers[0]).toContain('needle lies here');
      expect(answers[1]).toContain('the api says needle');
    };
    await both();
    const server = await home.serveHere();
    await both();
    await server[Symbol.asyncDispose]();
    await both();
  });

  test('the roots of the client choose the store; an empty one says what to do', async () => {
    await using own = await connected([], [join(home.folder, 'nothing'), other]);
    expect(await call(own.client, 'rlm_find', { text: 'needle' })).toContain('the api says');
    await using empty = await connected([], [join(home.folder, 'nothing')]);
    const said = await empty.client.callTool({ name: 'rlm_stats', arguments: {} });
    expect(said.isError).toBeUndefined();
    expect(textOf(said)).toMatch(/Nothing is stored for .*nothing yet.*rlm-opencode ingest PATH/);
    expect(await empty.client.listResources()).toMatchObject({ resources: [] });
  });

  test('it ends with its client, and nothing but the protocol stands on stdout', async () => {
    const child: ChildProcess = spawn(process.execPath, [main, 'mcp', '--directory', project], {
      env: env(),
      cwd: home.folder,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    child.stdout?.on('data', (piece: Buffer) => (stdout += piece.toString()));
    const send = (message: object): void => {
      child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    };
    child.stdin?.write('this is no JSON\n');
    send({
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'raw', version: '1' },
      },
    });
    send({ method: 'notifications/initialized' });
    send({ id: 2, method: 'tools/call', params: { name: 'rlm_stats', arguments: {} } });
    while (!stdout.includes('"id":2')) await once(child.stdout!, 'data');
    child.stdin?.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { id: number }).id)).toEqual([1, 2]);
  });
});

/** A command's exit code; a client that has just asked holds the stores for a moment longer. */
async function runs(args: readonly string[]): Promise<number | null> {
  const { code, stderr } = await home.runHere(args);
  expect(stderr).not.toContain('is in use');
  return code;
}
