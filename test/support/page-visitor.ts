import { spawn } from 'node:child_process';
import { rawRequest } from './http-server.ts';
import type { TestProxy } from './proxy.ts';

/** A browser that has come in by a link. */
export interface PageVisitor {
  /** `name=value`, as it is sent back. */
  readonly cookie: string;
  /** The whole header that has set it. */
  readonly setCookie: string;
  readonly get: (
    path: string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<{ readonly status: number; readonly body: string }>;
  /** The JSON of an answer that must be a good one. */
  readonly ask: <Answer>(path: string) => Promise<Answer>;
}

/** Hands in a code. */
export async function login(
  proxy: Pick<TestProxy, 'origin'>,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): ReturnType<typeof rawRequest> {
  return rawRequest(proxy.origin, {
    method: 'POST',
    path: '/page/login',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ code }),
  });
}

/** Another user than this one, where tests can be one: root alone can, and Linux tells users apart. */
export const otherUser =
  process.platform === 'linux' && process.getuid?.() === 0 ? 65_534 : undefined;

/** Hands in a code as another user. @returns The status */
export async function loginAs(
  user: number,
  { origin }: Pick<TestProxy, 'origin'>,
  code: string,
): Promise<number> {
  return statusAs(user, `${origin}/page/login`, {
    method: 'POST',
    body: JSON.stringify({ code }),
    headers: { 'content-type': 'application/json' },
  });
}

/** Asks for something as another user. @returns The status */
export async function statusAs(
  user: number,
  url: string,
  init: {
    readonly method?: string;
    readonly body?: string;
    readonly headers: Readonly<Record<string, string>>;
  },
): Promise<number> {
  const script = `fetch(${JSON.stringify(url)}, ${JSON.stringify(init)})
    .then(({ status }) => console.log(status))`;
  const child = spawn(process.execPath, ['--eval', script], {
    uid: user,
    gid: user,
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return Number((await child.stdout.setEncoding('utf8').toArray()).join(''));
}

/** Comes in as the owner does. */
export async function enterPage(proxy: TestProxy): Promise<PageVisitor> {
  const reply = await login(proxy, (await proxy.newPageCode({ isInArguments: false })).code);
  const [setCookie = ''] = reply.headers['set-cookie'] ?? [];
  const cookie = setCookie.split(';', 1)[0] ?? '';
  const get: PageVisitor['get'] = async (path, headers = {}) =>
    rawRequest(proxy.origin, { path, headers: { cookie, ...headers } });
  return {
    cookie,
    setCookie,
    get,
    ask: async <Answer>(path: string) => {
      const { status, body } = await get(path);
      if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
      return JSON.parse(body) as Answer;
    },
  };
}
