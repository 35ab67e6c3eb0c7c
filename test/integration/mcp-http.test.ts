import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Clock, randomIds, systemClock } from '../../src/clock.ts';
import { HttpSessions, maxSessions, sessionIdleMs } from '../../src/mcp/http-sessions.ts';
import type { AskStores } from '../../src/mcp/stores.ts';
import { listArgs, listEntries } from '../../src/operations/entry-list.ts';
import type { Sessions } from '../../src/store/types.ts';
import { CliHome } from '../support/cli.ts';
import { ownerSecret, rawRequest, startServer, type TestServer } from '../support/http-server.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { memorySession } from '../support/memory-session.ts';

const token = 'of-the-clients';
const bearer = { authorization: `Bearer ${token}` };
const json = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
};

const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1' },
  },
};

function toolCall(id: number, name = 'rlm_stats'): object {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } };
}

/** Posts one message by hand. */
async function post(
  url: string,
  message: object | string,
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${url}/mcp`, {
    method: 'POST',
    headers: { ...bearer, ...json, ...headers },
    body: typeof message === 'string' ? message : JSON.stringify(message),
    ...(signal !== undefined && { signal }),
  });
}

const clients: Client[] = [];

/** The official client. */
async function connected(
  url: string,
  headers: Readonly<Record<string, string>>,
  how: { readonly mode?: 'auto'; readonly roots?: readonly string[] } = {},
): Promise<Client> {
  const { mode, roots } = how;
  const client = new Client(
    { name: 'test', version: '1' },
    {
      capabilities: roots === undefined ? {} : { roots: {} },
      ...(mode !== undefined && { versionNegotiation: { mode } }),
    },
  );
  if (roots !== undefined)
    client.setRequestHandler('roots/list', () => ({
      roots: roots.map((path) => ({ uri: pathToFileURL(path).href })),
    }));
  const requestInit = { headers: { ...bearer, ...headers } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }));
  clients.push(client);
  return client;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map(async (client) => client.close()));
});

function textOf(result: unknown): string {
  const { content } = result as { content: { text: string }[] };
  return content.map(({ text }) => text).join('\n');
}

describe('a server with stores', () => {
  const home = new CliHome();
  const project = join(home.folder, 'projekt ü');
  const other = join(home.folder, 'api');
  let server: Awaited<ReturnType<CliHome['serveHere']>>;
  const inProject = { 'x-rlm-directory': encodeURIComponent(join(project, 'src')) };

  beforeAll(async () => {
    for (const folder of [project, other]) mkdirSync(folder);
    writeFileSync(join(project, 'a.txt'), 'alpha\nthe needle lies here\nomega\n');
    writeFileSync(join(other, 'api.txt'), 'the api says needle, too\n');
    for (const folder of [project, other])
      await home.runHere(['ingest', folder, '--directory', folder]);
    server = await home.serveHere({ RLM_API_TOKEN: token });
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  });

  test.each([{}, { mode: 'auto' }] as const)(
    'the official client has tools and entries, in the protocol of %o',
    async (how) => {
      const client = await connected(server.url, inProject, how);
      expect(client.getNegotiatedProtocolVersion()).toMatch('mode' in how ? /^2026/ : /^2025/);
      const { tools } = await client.listTools();
      expect(tools.map(({ name }) => name)).toEqual([
        'rlm_get_context',
        'rlm_search',
        'rlm_find',
        'rlm_stats',
      ]);
      // Some providers' models take one type only.
      expect(JSON.stringify(tools)).not.toContain('"type":[');
      expect(JSON.stringify(tools)).toContain('"anyOf":[{"type":"string"},{"type":"number"}]');
      const told: unknown[] = [];
      const found = await client.callTool(
        { name: 'rlm_search', arguments: { pattern: 'needle', format: 'json' } },
        { onprogress: (progress) => told.push(progress) },
      );
      expect(found.structuredContent).toMatchObject({ total: 1 });
      expect(told).toHaveLength(1);
      const { resources } = await client.listResources();
      expect(resources).toMatchObject([{ name: 'e1', mimeType: 'text/plain' }]);
      const { contents } = await client.readResource({ uri: resources[0]!.uri });
      expect(contents).toMatchObject([{ text: 'alpha\nthe needle lies here\nomega\n' }]);
    },
  );

  test('roots choose the store where no header does, and without either it is said what to do', async () => {
    const rooted = await connected(
      server.url,
      {},
      { roots: [join(home.folder, 'nothing'), other] },
    );
    const find = { name: 'rlm_find', arguments: { text: 'needle' } };
    expect(textOf(await rooted.callTool(find))).toContain('the api says');
    const named = await connected(server.url, inProject, { roots: [other] });
    expect(textOf(await named.callTool(find))).toContain('needle lies here');
    for (const how of [{}, { mode: 'auto' }] as const) {
      const lost = await connected(server.url, {}, how);
      const said = await lost.callTool(find);
      expect(said.isError).toBe(true);
      expect(textOf(said)).toContain('x-rlm-directory');
    }
    const relative = await post(server.url, initialize, { 'x-rlm-directory': 'src' });
    expect(relative.status).toBe(400);
    expect(await relative.text()).toContain('not an absolute path');
    const wrong = await connected(server.url, { 'x-rlm-session': 'sess_none' });
    expect(textOf(await wrong.callTool(find))).toContain('sess_none');
  });

  test('one question needs no session, and is counted', async () => {
    const calls = async (): Promise<number> => {
      const told = await (await fetch(`${server.url}/metrics`, { headers: bearer })).text();
      return Number(/^rlm_tool_calls_total\{tool="rlm_stats"\} (\d+)$/m.exec(told)?.[1]);
    };
    const before = await calls();
    const response = await post(server.url, toolCall(7), inProject);
    expect(response.headers.get('mcp-session-id')).toBeNull();
    expect(await response.text()).toContain('"id":7');
    expect(await calls()).toBe(before + 1);
  });

  test('what is no message is refused in words of the protocol', async () => {
    const session = await post(server.url, initialize, inProject);
    const own = { 'mcp-session-id': session.headers.get('mcp-session-id')! };
    const refusals: [number, Response][] = [
      [400, await post(server.url, '{bad')],
      [400, await post(server.url, '{bad', own)],
      [400, await post(server.url, '')],
      [400, await post(server.url, 'null', own)],
      [400, await post(server.url, { jsonrpc: '2.0' }, own)],
      [400, await post(server.url, initialize, own)],
      [400, await post(server.url, toolCall(1), { ...own, 'mcp-protocol-version': '1999-01-01' })],
      [404, await post(server.url, toolCall(1), { 'mcp-session-id': 'nobody' })],
      [406, await post(server.url, toolCall(1), { ...own, accept: 'text/html' })],
      [413, await post(server.url, { ...toolCall(1), more: 'x'.repeat(1_100_000) })],
      [415, await post(server.url, toolCall(1), { 'content-type': 'text/plain' })],
    ];
    for (const [status, response] of refusals) {
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({
        jsonrpc: '2.0',
        error: { message: expect.any(String), code: expect.any(Number) },
      });
    }
    const listening = async (headers: object): Promise<number> =>
      (await rawRequest(server.url, { path: '/mcp', headers: { ...bearer, ...headers } })).status;
    expect(await listening({ accept: 'text/event-stream' })).toBe(405);
    const put = await rawRequest(server.url, { path: '/mcp', method: 'PUT', headers: bearer });
    expect([put.status, put.headers.allow]).toEqual([405, 'GET, POST, DELETE']);
    expect((await post(server.url, toolCall(1), own)).status).toBe(200);
  });
});

test('of 100,000 entries each is looked at once, page by page', async () => {
  const count = 100_000;
  const session = memorySession(
    Array.from({ length: count }, (_, at) => ({ text: `${at}\n`, path: `/p/${at}.txt` })),
  );
  let touched = 0;
  const { entries } = session.store;
  const counted = {
    ...session,
    store: {
      ...session.store,
      totals: session.store.totals,
      entries: {
        slice: (from: number, to: number) => {
          touched += to - from;
          return entries.slice(from, to);
        },
      },
      read: () => expect.unreachable('a path needs no look at the text'),
    },
  };
  const sessions = { forDirectory: async () => counted } as unknown as Sessions;
  const pages: number[] = [];
  const mcp = sessionsOver(async (operation, args) => {
    expect(operation).toBe('entries');
    const { value } = await listEntries(listArgs.parse(args), { sessions }).next();
    const { result } = value as { result: { entries: unknown[] } };
    pages.push(result.entries.length);
    return JSON.parse(JSON.stringify(result)) as unknown;
  });
  await using server = await startServer({ mcp, apiToken: token });
  const client = await connected(server.url, { 'x-rlm-directory': '/p' });
  const { resources } = await client.listResources();
  expect(new Set(resources.map(({ name }) => name)).size).toBe(count);
  expect(touched).toBe(count);
  expect(Math.max(...pages)).toBe(pages[0]);
  expect(pages.length).toBe(50);
  await expect(client.listResources({ cursor: 'x' })).rejects.toThrow(/of no page/);
});

test('whatever is sent is answered, and the server goes on', async () => {
  const mcp = sessionsOver(async (operation) =>
    operation === 'tool' ? { session: 's', text: 'found' } : { tools: [] },
  );
  await using server = await startServer({ mcp, apiToken: token });
  const own = await begun(server.url);
  const method = fc.constantFrom(
    'tools/call',
    'tools/list',
    'resources/list',
    'resources/read',
    'initialize',
    'ping',
    'notifications/cancelled',
    'notifications/progress',
    'server/discover',
    'subscriptions/listen',
    'logging/setLevel',
    '__proto__',
  );
  const params = fc.oneof(
    fc.jsonValue(),
    fc.record({ name: fc.jsonValue(), arguments: fc.jsonValue(), _meta: fc.jsonValue() }),
    fc.record({ requestId: fc.jsonValue(), uri: fc.jsonValue(), cursor: fc.jsonValue() }),
  );
  const message = fc.oneof(
    fc.jsonValue(),
    fc.record({ jsonrpc: fc.constant('2.0'), id: fc.jsonValue(), method, params }),
    fc.array(fc.record({ jsonrpc: fc.constant('2.0'), id: fc.nat(), method }), { maxLength: 3 }),
  );
  await fc.assert(
    fc.asyncProperty(message, fc.boolean(), async (body, inSession) => {
      const response = await post(server.url, JSON.stringify(body), inSession ? own : {});
      await response.text();
      expect(response.status).toBeLessThan(500);
    }),
    { numRuns: 300 },
  );
  await idle(server);
  expect((await post(server.url, toolCall(1), await begun(server.url))).status).toBe(200);
});

describe('who may', () => {
  test('a token is wanted, set or not, and no web page gets through', async () => {
    const mcp = sessionsOver(async () => ({ tools: [] }));
    await using open = await startServer({ mcp });
    await using closed = await startServer({ mcp, apiToken: token });
    const status = async (
      { url }: TestServer,
      headers: Readonly<Record<string, string>>,
    ): Promise<number> => {
      const sent = { ...json, host: '127.0.0.1', ...headers };
      const options = { path: '/mcp', method: 'POST', body: JSON.stringify(initialize) };
      return (await rawRequest(url, { ...options, headers: sent })).status;
    };
    const owner = { authorization: `Bearer ${ownerSecret}` };
    expect(await status(open, {})).toBe(401);
    expect(await status(open, { authorization: 'Bearer ' })).toBe(401);
    expect(await status(open, { authorization: 'Bearer undefined' })).toBe(401);
    expect(await status(open, owner)).toBe(200);
    expect(await status(closed, {})).toBe(401);
    expect(await status(closed, { authorization: 'Bearer wrong' })).toBe(401);
    expect(await status(closed, bearer)).toBe(200);
    expect(await status(closed, owner)).toBe(200);
    expect(await status(closed, { ...bearer, origin: 'https://evil.example' })).toBe(403);
    expect(await status(closed, { ...bearer, host: 'evil.example' })).toBe(403);
    const told = await rawRequest(open.url, { path: '/mcp', method: 'POST', headers: json });
    expect(told.body).toContain('rlm-opencode mcp');
  });
});

const disposed: HttpSessions[] = [];

afterEach(async () => {
  await Promise.all(disposed.splice(0).map(async (one) => one[Symbol.asyncDispose]()));
});

/** The protocol's side over stores that a test scripts. */
function sessionsOver(ask: AskStores, clock: Clock = systemClock): HttpSessions {
  const sessions = new HttpSessions({ version: 'test', clock, ids: randomIds, ask });
  disposed.push(sessions);
  return sessions;
}

/** Stores whose tools never answer: they count who asks and who has stopped waiting. */
class SlowStores {
  asked = 0;
  stopped = 0;
  #onChange: (() => void)[] = [];

  readonly ask: AskStores = async (_operation, _args, { signal }) => {
    this.asked += 1;
    this.#changed();
    await new Promise<void>((stop) => signal.addEventListener('abort', () => stop()));
    this.stopped += 1;
    this.#changed();
    throw signal.reason;
  };

  /** Resolves as soon as so many have asked, and so many of them stopped. */
  async reached(asked: number, stopped: number): Promise<void> {
    while (this.asked !== asked || this.stopped !== stopped)
      await new Promise<void>((resolve) => this.#onChange.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#onChange.splice(0)) resolve();
  }
}

async function begun(url: string): Promise<Record<string, string>> {
  const response = await post(url, initialize, { 'x-rlm-directory': '/p' });
  await response.text();
  return { 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' };
}

async function idle(server: TestServer): Promise<void> {
  while (server.server.liveCount > 0) await new Promise((resolve) => setImmediate(resolve));
}

describe('calls that nobody waits for', () => {
  test('a cancelled call ends its search and its stream, and no other', async () => {
    const stores = new SlowStores();
    await using server = await startServer({ mcp: sessionsOver(stores.ask), apiToken: token });
    const own = await begun(server.url);
    const [first, second] = [1, 2].map(async (id) => post(server.url, toolCall(id), own));
    await stores.reached(2, 0);
    const cancel = { method: 'notifications/cancelled', params: { requestId: 1 } };
    const told = await post(server.url, { jsonrpc: '2.0', ...cancel }, own);
    expect(told.status).toBe(202);
    await stores.reached(2, 1);
    expect(await (await first!).text()).toBe('');
    const others = await begun(server.url);
    const again = { ...cancel, params: { requestId: 2 } };
    await post(server.url, { jsonrpc: '2.0', ...again }, others);
    expect(stores.stopped).toBe(1);
    await post(server.url, { jsonrpc: '2.0', ...again }, own);
    await stores.reached(2, 2);
    await (await second!).text();
    await idle(server);
  });

  test.each([{}, { mode: 'auto' }] as const)(
    'the official client gives a call up, in the protocol of %o',
    async (how) => {
      const stores = new SlowStores();
      await using server = await startServer({ mcp: sessionsOver(stores.ask), apiToken: token });
      const client = await connected(server.url, { 'x-rlm-directory': '/p' }, how);
      const stop = new AbortController();
      const call = client.callTool({ name: 'rlm_stats', arguments: {} }, { signal: stop.signal });
      await stores.reached(1, 0);
      stop.abort();
      await expect(call).rejects.toThrow(/abort/i);
      await stores.reached(1, 1);
      await idle(server);
    },
  );

  test('a client that is gone, or ends its session, ends its searches', async () => {
    const stores = new SlowStores();
    await using server = await startServer({ mcp: sessionsOver(stores.ask), apiToken: token });
    const own = await begun(server.url);
    const gone = new AbortController();
    const call = post(server.url, toolCall(1), own, gone.signal);
    await stores.reached(1, 0);
    gone.abort();
    await expect(call.then(async (response) => response.text())).rejects.toThrow(/abort/i);
    await stores.reached(1, 1);
    const alone = new AbortController();
    const single = post(server.url, toolCall(1), { 'x-rlm-directory': '/p' }, alone.signal);
    single.then(async (response) => response.text()).catch(() => undefined);
    await stores.reached(2, 1);
    alone.abort();
    await stores.reached(2, 2);
    const left = post(server.url, toolCall(2), own);
    await stores.reached(3, 2);
    const ended = await fetch(`${server.url}/mcp`, {
      method: 'DELETE',
      headers: { ...bearer, ...own },
    });
    expect(ended.status).toBe(200);
    await stores.reached(3, 3);
    expect(await (await left).text()).toBe('');
    expect((await post(server.url, toolCall(3), own)).status).toBe(404);
    await idle(server);
  });

  test('a server that stops ends listening at once and searches after their time, with a word', async () => {
    const stores = new SlowStores();
    await using server = await startServer({ mcp: sessionsOver(stores.ask), apiToken: token });
    const own = await begun(server.url);
    const listening = await listen(server.url, own);
    const call = post(server.url, toolCall(1), own);
    const single = post(server.url, toolCall(2), { 'x-rlm-directory': '/p' });
    await stores.reached(2, 0);
    const closed = server.server.close();
    expect(await listening.text()).toContain(': waiting');
    await stores.reached(2, 2);
    for (const answered of [await call, await single])
      expect(await answered.text()).toContain('The server is stopping');
    await closed;
  });
});

async function listen(url: string, own: Record<string, string>): Promise<Response> {
  return fetch(`${url}/mcp`, { headers: { ...bearer, ...own, accept: 'text/event-stream' } });
}

describe('sessions', () => {
  test('there are so many, and who was silent for longest makes room', async () => {
    const mcp = sessionsOver(async () => ({ tools: [] }));
    await using server = await startServer({ mcp, apiToken: token });
    const all: Record<string, string>[] = [];
    for (let count = 0; count < maxSessions; count += 1) all.push(await begun(server.url));
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
    const [first, second] = all;
    expect((await post(server.url, list, first)).status).toBe(200);
    await begun(server.url);
    expect((await post(server.url, list, second)).status).toBe(404);
    expect((await post(server.url, list, first)).status).toBe(200);
  });

  test('who listens is not sent away: where all do, another has to wait', async () => {
    const mcp = sessionsOver(async () => ({ tools: [] }));
    await using server = await startServer({ mcp, apiToken: token });
    const streams = [];
    for (let count = 0; count < maxSessions; count += 1)
      streams.push(await listen(server.url, await begun(server.url)));
    const refused = await post(server.url, initialize);
    expect(refused.status).toBe(429);
    expect(await refused.text()).toContain('rlm-opencode mcp');
    // Listening takes no place of a turn.
    expect(server.server.liveCount).toBe(0);
    await streams[5]!.body?.cancel();
    while ((await post(server.url, initialize)).status !== 200);
    for (const stream of streams) await stream.body?.cancel().catch(() => undefined);
  });

  test('one that nobody uses ends after its time; one that is used does not', async () => {
    const clock = new ManualClock();
    const mcp = sessionsOver(async () => ({ tools: [] }), clock);
    await using server = await startServer({ mcp, apiToken: token });
    const own = await begun(server.url);
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
    const status = async (): Promise<number> => {
      const response = await post(server.url, list, own);
      await response.text();
      return response.status;
    };
    await idle(server);
    clock.advance(sessionIdleMs - 1);
    expect(await status()).toBe(200);
    await idle(server);
    clock.advance(sessionIdleMs - 1);
    expect(await status()).toBe(200);
    const stream = await listen(server.url, own);
    clock.advance(sessionIdleMs + 1);
    expect(await status()).toBe(200);
    await stream.body?.cancel();
    await idle(server);
    while ((await status()) === 200) clock.advance(sessionIdleMs + 1);
    expect(await status()).toBe(404);
  });
});
