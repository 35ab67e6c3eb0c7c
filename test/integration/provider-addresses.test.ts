import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { readProxies, routeTo } from '../../src/upstream/route.ts';
import { CliHome } from '../support/cli.ts';
import { user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  type ScriptedUpstream,
  startScriptedUpstream,
  status,
} from '../support/scripted-upstream.ts';
import { openTestUpstream } from '../support/test-upstream.ts';

let upstream: ScriptedUpstream;
beforeAll(async () => {
  upstream = await startScriptedUpstream();
  upstream.otherwise(answer('hello'));
  return () => upstream[Symbol.asyncDispose]();
});
beforeEach(() => {
  upstream.models = ['scripted', 'scripted-large', 'other'];
});

const call = { signal: new AbortController().signal };
const question = { messages: [user('hi')] };

describe('what commands and errors show', () => {
  it('a key in the address is masked everywhere, and the list of models is asked beside the chat', async () => {
    using home = new CliHome();
    const env = {
      RLM_UPSTREAM_BASE_URL: `${upstream.baseURL}/chat/completions?key=SECRET-QUERY-1`,
      RLM_UPSTREAM_MODEL: 'scripted',
    };
    for (const args of [['config'], ['config', '--json'], ['doctor'], ['doctor', '--json']]) {
      const { stdout, stderr } = await home.runHere(args, env);
      expect(stdout + stderr).toContain('key=***');
      expect(stdout + stderr).not.toContain('SECRET');
    }
    const asked = upstream.otherRequests.at(-1)?.path;
    expect(asked).toBe('/v1/models?key=SECRET-QUERY-1');
    expect((await home.runHere(['doctor'], env)).stdout).toContain('answers, 3 models');
    const lines: string[] = [];
    await using proxy = await startProxy({ upstream, env, onLog: (line) => lines.push(line) });
    upstream.script(status(400, { error: { message: 'no such path: /v1?key=SECRET-QUERY-1' } }));
    const refused = await (await proxy.post({ model: 'scripted', ...question })).text();
    expect(refused).toContain('no such path');
    expect(refused).not.toContain('SECRET');
    expect(await (await fetch(`${proxy.origin}/health`)).text()).not.toContain('SECRET');
    expect(lines.join('')).toContain('request refused');
    expect(lines.join('')).not.toContain('SECRET');
  });

  it('doctor asks for the models with the very request of GET /v1/models, an address with a query and a key header of its own included', async () => {
    using home = new CliHome();
    const env = {
      RLM_UPSTREAM_BASE_URL: `${upstream.baseURL}/openai/deployments/d/?api-version=2024-10-21`,
      RLM_UPSTREAM_PROFILE: 'azure',
      RLM_UPSTREAM_API_KEY: 'azure-key-1',
      RLM_UPSTREAM_MODEL: 'scripted',
    };
    expect((await home.runHere(['doctor'], env)).stdout).toContain('answers, 3 models');
    const ofDoctor = upstream.otherRequests.at(-1);
    await using proxy = await startProxy({ env });
    expect(await (await fetch(`${proxy.baseURL}/models`)).text()).toContain('scripted-large');
    const ofServer = upstream.otherRequests.at(-1);
    expect(ofServer).not.toBe(ofDoctor);
    expect(ofDoctor?.path).toBe('/v1/openai/deployments/d/models?api-version=2024-10-21');
    expect(ofDoctor?.headers).toMatchObject({ 'api-key': 'azure-key-1' });
    expect(ofDoctor?.headers).not.toHaveProperty('authorization');
    const lineAndHeaders = (one: typeof ofDoctor) => [one?.method, one?.path, one?.headers];
    expect(lineAndHeaders(ofServer)).toEqual(lineAndHeaders(ofDoctor));
  });

  it('a base URL without /v1 is told by doctor, with the one that answers, and by the answer', async () => {
    using home = new CliHome();
    const bare = await startBareServer();
    const env = { RLM_UPSTREAM_BASE_URL: bare.origin, RLM_UPSTREAM_MODEL: 'm' };
    try {
      const { code, stdout } = await home.runHere(['doctor'], env);
      expect(code).toBe(1);
      expect(stdout).toContain('lacks its `/v1`');
      expect(stdout).toContain(`${bare.origin}/v1`);
      await using proxy = await startProxy({ env });
      const response = await proxy.post({ model: 'm', ...question });
      expect(response.status).toBe(404);
      expect(await response.text()).toContain(`${bare.origin}/v1`);
    } finally {
      bare.server.close();
    }
  });

  it('a model that the list lacks is named with the nearest ones', async () => {
    using home = new CliHome();
    const env = { RLM_UPSTREAM_BASE_URL: upstream.baseURL, RLM_UPSTREAM_MODEL: 'scriptd' };
    const { stdout } = await home.runHere(['doctor'], env);
    expect(stdout).toContain('its list has no model `scriptd`');
    expect(stdout).toMatch(/Nearest: `scripted`/);
    const { child, result } = await home.serve(env);
    const said = new Promise<void>((resolve) => {
      child.stderr?.on('data', (piece: Buffer) => {
        if (piece.toString().includes('no model `scriptd`')) resolve();
      });
    });
    await said;
    child.kill('SIGTERM');
    const { stderr } = await result;
    expect(stderr).toContain('no model `scriptd`');
    expect(stderr).toContain('`scripted`');
  });

  it('a web page or a redirect where the list should be is named', async () => {
    using home = new CliHome();
    const env = { RLM_UPSTREAM_BASE_URL: upstream.baseURL };
    const page = { ...status(200, {}), steps: [{ send: '<!doctype html><title>Sign in</title>' }] };
    upstream.models = page;
    expect((await home.runHere(['doctor'], env)).stdout).toContain('is a web page, "Sign in".');
    upstream.models = status(307, {}, { location: 'https://login.example.com/?next=1' });
    const { code, stdout } = await home.runHere(['doctor'], env);
    expect(code).toBe(1);
    expect(stdout).toContain('a redirect (307) to https://login.example.com/.');
  });
});

it('a user and a password in the address authorize chat and list', async () => {
  const address = upstream.baseURL.replace('//', '//me:pass-word-1@');
  await using opened = openTestUpstream(address);
  await opened.models(call.signal);
  await (
    await opened.complete({ model: 'm', ...question }, call)
  ).batches[Symbol.asyncIterator]().next();
  const expected = `Basic ${Buffer.from('me:pass-word-1').toString('base64')}`;
  expect(upstream.otherRequests.at(-1)?.headers['authorization']).toBe(expected);
  expect(upstream.requests.at(-1)?.headers['authorization']).toBe(expected);
});

describe('behind a forward proxy', () => {
  const forward = new ForwardProxy();
  beforeAll(async () => forward.start());
  afterAll(() => forward.server.close());
  beforeEach(() => {
    forward.seen.length = 0;
    forward.password = undefined;
  });

  /** The scripted upstream under a name that is not loopback's, which only the proxy can find. */
  const hidden = (): string => upstream.baseURL.replace('127.0.0.1', 'models.intranet');
  const open = (env: Record<string, string>, baseURL = hidden()) =>
    openTestUpstream(baseURL, { route: routeTo(baseURL, readProxies(env)) });
  const askOne = async (opened: ReturnType<typeof open>): Promise<void> => {
    const { batches } = await opened.complete({ model: 'm', ...question }, call);
    for await (const batch of batches) expect(batch.length).toBeGreaterThan(0);
  };

  it('chat and list go through it, with its credentials, which the upstream never sees', async () => {
    forward.password = 'me:secret-proxy-1';
    await using opened = open({
      http_proxy: `http://${forward.password}@127.0.0.1:${forward.port}`,
    });
    await askOne(opened);
    expect((await opened.models(call.signal)).length).toBe(3);
    expect(forward.seen).toEqual(['POST', 'GET']);
    expect(upstream.requests.at(-1)?.headers['host']).toContain('models.intranet');
    expect(upstream.requests.at(-1)?.headers['proxy-authorization']).toBeUndefined();
  });

  it('loopback and what NO_PROXY names go straight', async () => {
    const env = { http_proxy: `http://127.0.0.1:${forward.port}`, NO_PROXY: 'models.intranet' };
    await using near = open(env, upstream.baseURL);
    await askOne(near);
    await using exempt = open(env);
    await expect(askOne(exempt)).rejects.toThrow('Nobody answers');
    const error = await askOne(exempt).catch((caught: unknown) => caught as ProxyError);
    expect(error?.parts.hint).toContain('not as http_proxy says: NO_PROXY names it');
    expect(forward.seen).toEqual([]);
  });

  it('a failure says that it went through the proxy, without its password', async () => {
    forward.password = 'me:another';
    for (const port of [forward.port, 9]) {
      await using opened = open({ HTTP_PROXY: `http://me:secret-proxy-1@127.0.0.1:${port}` });
      const error = await askOne(opened).catch((caught: unknown) => caught as ProxyError);
      expect(error).toBeInstanceOf(ProxyError);
      expect(error?.message).toContain(
        `the proxy http://***@127.0.0.1:${port} that HTTP_PROXY names`,
      );
      expect(error?.message).toMatch(/407|ECONNREFUSED/);
      expect(error?.parts.hint).toContain('NO_PROXY');
    }
  });

  it('TLS goes through a tunnel', async () => {
    await using opened = open(
      { https_proxy: `http://127.0.0.1:${forward.port}` },
      hidden().replace('http:', 'https:'),
    );
    await expect(askOne(opened)).rejects.toThrow(ProxyError);
    expect(forward.seen[0]).toMatch(/^CONNECT models\.intranet:/);
  });

  it('doctor shows the way, credentials masked', async () => {
    using home = new CliHome();
    const env = {
      RLM_UPSTREAM_BASE_URL: hidden(),
      RLM_UPSTREAM_MODEL: 'scripted',
      http_proxy: `http://me:secret-proxy-1@127.0.0.1:${forward.port}`,
    };
    const { stdout } = await home.runHere(['doctor'], env);
    expect(stdout).toContain(`through http://***@127.0.0.1:${forward.port} (http_proxy)`);
    expect(stdout).toContain('answers, 3 models');
    expect(stdout).not.toContain('secret-proxy');
  });
});

/** A forward proxy to whatever listens on this machine, whatever the name it is asked for. */
class ForwardProxy {
  readonly seen: string[] = [];
  password: string | undefined;
  readonly server: Server = createServer((incoming, response) => {
    if (!this.#isAllowed(incoming)) {
      response.writeHead(407).end();
      return;
    }
    this.seen.push(incoming.method ?? '');
    const url = new URL(incoming.url ?? '');
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const onward = httpRequest(
      { port: url.port, path: url.pathname + url.search, method: incoming.method, headers },
      (answered) => {
        response.writeHead(answered.statusCode ?? 502, answered.headers);
        answered.pipe(response);
      },
    );
    incoming.pipe(onward);
  });
  port = 0;

  async start(): Promise<void> {
    this.server.on('connect', (incoming, socket) => {
      this.seen.push(`CONNECT ${incoming.url}`);
      const onward = connect(Number(incoming.url?.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        onward.pipe(socket).pipe(onward);
      });
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  #isAllowed({ headers }: IncomingMessage): boolean {
    if (this.password === undefined) return true;
    return (
      headers['proxy-authorization'] === `Basic ${Buffer.from(this.password).toString('base64')}`
    );
  }
}

/** A server whose API lies under /v1 and which has nothing elsewhere. */
async function startBareServer(): Promise<{ readonly origin: string; readonly server: Server }> {
  const server = createServer((incoming, response) => {
    const isList = incoming.url === '/v1/models';
    response.writeHead(isList ? 200 : 404, { 'content-type': 'application/json' });
    response.end(isList ? '{"data":[{"id":"m"}]}' : 'not found');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
