import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type {
  EntriesPage,
  EntryDetail,
  LinesPage,
  PageEvent,
  SessionView,
} from '../../src/page/page-protocol.ts';
import { type Files, realFiles } from '../../src/store/disk/files.ts';
import { rawRequest } from '../support/http-server.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { enterPage, login, loginAs, otherUser, statusAs } from '../support/page-visitor.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';

const hostile = '<img src=x onerror=alert(1)>\u202e"\'</script>';

async function storeAt(proxy: TestProxy, directory = '/work/page') {
  const session = await proxy.app.sessions.forDirectory(directory, { create: true });
  if (session === undefined) throw new Error('no session was made');
  return session;
}

const dataPaths = [
  '/page/sessions',
  '/page/events',
  '/page/sessions/sess_00000000/entries?from=0&count=1',
  '/page/anything',
];

describe('the way in', () => {
  test('without the cookie there is nothing but the page itself, whatever token is brought', async () => {
    await using proxy = await startProxy({ env: { RLM_API_TOKEN: 'good' } });
    await storeAt(proxy);
    for (const path of dataPaths) {
      for (const headers of [
        {},
        { authorization: 'Bearer good' },
        { cookie: `rlm_page_${new URL(proxy.origin).port}=${'0'.repeat(64)}` },
      ]) {
        const reply = await rawRequest(proxy.origin, { path, headers });
        expect([path, reply.status]).toEqual([path, 401]);
        expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'unauthorized' } });
        expect(reply.body).not.toContain('/work/page');
        expect(reply.headers['cache-control']).toBe('no-store');
      }
    }
    const visitor = await enterPage(proxy);
    expect((await visitor.get('/page/sessions')).body).toContain('/work/page');
  });

  test('a code is good once, and a cookie cannot be read by scripts or sent from other sites', async () => {
    await using proxy = await startProxy();
    const { code, lifeMs } = await proxy.newPageCode({ isInArguments: false });
    expect([code.length * 4, lifeMs]).toEqual([256, 60_000]);
    const first = await login(proxy, code);
    expect(first.status).toBe(204);
    const port = new URL(proxy.origin).port;
    expect(first.headers['set-cookie']).toEqual([
      expect.stringMatching(
        new RegExp(`^rlm_page_${port}=[0-9a-f]{64}; Path=/page; HttpOnly; SameSite=Strict$`),
      ),
    ]);
    const second = await login(proxy, code);
    expect([second.status, second.headers['set-cookie']]).toEqual([401, undefined]);
    expect((await login(proxy, '')).status).toBe(401);
  });

  test('a code is good for a minute, a cookie until nobody has come for thirty days', async () => {
    const clock = new ManualClock();
    await using proxy = await startProxy({ clock });
    const late = await proxy.newPageCode({ isInArguments: false });
    clock.advance(60_000);
    expect((await login(proxy, late.code)).status).toBe(401);
    const day = 86_400_000;
    const visitor = await enterPage(proxy);
    for (const days of [29, 29]) {
      clock.advance(days * day);
      expect((await visitor.get('/page/sessions')).status).toBe(200);
    }
    clock.advance(30 * day);
    expect((await visitor.get('/page/sessions')).status).toBe(401);
  });

  test('codes and visitors are few: the newest ones are good', async () => {
    await using proxy = await startProxy();
    const codes = [];
    for (let count = 0; count < 5; count += 1)
      codes.push((await proxy.newPageCode({ isInArguments: false })).code);
    const statuses = [];
    for (const code of codes) statuses.push((await login(proxy, code)).status);
    expect(statuses).toEqual([401, 204, 204, 204, 204]);
    const first = await enterPage(proxy);
    const others = [];
    for (let count = 0; count < 16; count += 1) others.push(await enterPage(proxy));
    expect((await first.get('/page/sessions')).status).toBe(401);
    for (const other of others) expect((await other.get('/page/sessions')).status).toBe(200);
  });

  test.skipIf(otherUser === undefined)(
    'a code that all users can see among the arguments of a browser is good for our user alone',
    async () => {
      const lines: string[] = [];
      await using proxy = await startProxy({ onLog: (line) => lines.push(line) });
      const { code } = await proxy.newPageCode({ isInArguments: true });
      expect(await loginAs(otherUser!, proxy, code)).toBe(401);
      expect(lines.join('')).toContain('another user of this machine');
      expect((await login(proxy, code)).status).toBe(204);
      const printed = await proxy.newPageCode({ isInArguments: false });
      expect(await loginAs(otherUser!, proxy, printed.code)).toBe(204);
    },
  );

  test.skipIf(otherUser === undefined)(
    'a cookie is no good in the hands of another user of the machine',
    async () => {
      const lines: string[] = [];
      await using proxy = await startProxy({ onLog: (line) => lines.push(line) });
      const { cookie, get } = await enterPage(proxy);
      const url = `${proxy.origin}/page/sessions`;
      expect(await statusAs(otherUser!, url, { headers: { cookie } })).toBe(401);
      expect(lines.join('')).toContain('another user of this machine');
      expect((await get('/page/sessions')).status).toBe(200);
    },
  );

  test('wrong codes are told in the log, without them and not each', async () => {
    const lines: string[] = [];
    await using proxy = await startProxy({ onLog: (line) => lines.push(line) });
    const { code } = await proxy.newPageCode({ isInArguments: false });
    for (let count = 0; count < 20; count += 1) await login(proxy, `wrong-${count}`);
    const told = lines.filter((line) => line.includes('wrong code'));
    expect(told).toHaveLength(5);
    expect(lines.join('')).not.toContain('wrong-');
    expect((await login(proxy, code)).status).toBe(204);
    expect(lines.join('')).not.toContain(code);
  });

  test.each([
    ['no JSON', 'x', 400],
    ['no code', '{}', 400],
    ['a code of another kind', '{"code":5}', 400],
    ['far too much', JSON.stringify({ code: 'x'.repeat(5_000) }), 413],
  ])('a login with %s is refused', async (_, body, status) => {
    await using proxy = await startProxy();
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', path: '/page/login', headers, body };
    expect((await rawRequest(proxy.origin, request)).status).toBe(status);
    const form = { ...request, headers: { 'content-type': 'text/plain' } };
    expect((await rawRequest(proxy.origin, form)).status).toBe(415);
  });

  test('a server that was started anew knows nobody', async () => {
    await using proxy = await startProxy();
    const visitor = await enterPage(proxy);
    await using again = await proxy.restart();
    const { status } = await rawRequest(again.origin, {
      path: '/page/sessions',
      headers: {
        cookie: visitor.cookie.replace(/_\d+=/, `_${new URL(again.origin).port}=`),
      },
    });
    expect(status).toBe(401);
  });
});

describe('who asks', () => {
  test('is this page alone: no other origin, site or host, also with the cookie', async () => {
    await using proxy = await startProxy({ env: { RLM_CORS_ORIGINS: 'http://localhost:3000' } });
    const { get } = await enterPage(proxy);
    const { host } = new URL(proxy.origin);
    const status = async (headers: Record<string, string>, path = '/page/sessions') =>
      (await get(path, headers)).status;
    expect(await status({ origin: proxy.origin, 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await status({ 'sec-fetch-site': 'none', 'sec-fetch-dest': 'document' })).toBe(200);
    expect(await status({ origin: 'null', 'sec-fetch-site': 'same-origin' })).toBe(200);
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'http://localhost:3000' },
      { origin: 'null' },
      { origin: 'null', 'sec-fetch-site': 'cross-site' },
      { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-origin' },
      { origin: `http://${host}.evil.example` },
      { origin: `http://127.0.0.1:1` },
      { host: 'evil.example' },
      { host: 'evil.example', origin: 'http://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
      { 'sec-fetch-site': 'same-site', 'sec-fetch-dest': 'iframe', 'sec-fetch-mode': 'navigate' },
    ]) {
      for (const path of ['/', '/page/sessions', '/page/events'])
        expect([headers, path, await status(headers, path)]).toEqual([headers, path, 403]);
    }
    const { code } = await proxy.newPageCode({ isInArguments: false });
    expect((await login(proxy, code, { origin: 'http://127.0.0.1:1' })).status).toBe(403);
    expect((await login(proxy, code, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await login(proxy, code, { origin: proxy.origin })).status).toBe(204);
    // A link in somebody's mail leads to the page, not to a refusal.
    const clicked = { 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'document' };
    expect(await status(clicked, '/')).toBe(200);
    const form = { method: 'POST', path: '/page/login', headers: clicked, body: '{}' };
    expect((await rawRequest(proxy.origin, form)).status).toBe(403);
  });

  test('reads: there is nothing that a GET or another method changes', async () => {
    await using proxy = await startProxy();
    const { cookie } = await enterPage(proxy);
    const headers = { cookie, 'content-type': 'application/json' };
    const ask = (method: string, path: string) =>
      rawRequest(proxy.origin, { method, path, headers, body: method === 'GET' ? '' : '{}' });
    expect((await ask('GET', '/page/login')).status).toBe(404);
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'])
      expect((await ask(method, '/page/sessions')).status).toBe(405);
    expect((await ask('POST', '/')).headers['allow']).toBe('GET, HEAD');
  });
});

describe('the page itself', () => {
  const policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  test('is the same for everybody, names its files by what they hold, and fits its policy', async () => {
    await using proxy = await startProxy();
    const { cookie } = await enterPage(proxy);
    const page = await rawRequest(proxy.origin, { path: '/' });
    const own = await rawRequest(proxy.origin, { path: '/', headers: { cookie } });
    expect([page.status, own.body]).toEqual([200, page.body]);
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-cache',
    });
    const assets = [...page.body.matchAll(/"(\/page\/assets\/[^"]+)"/g)].map(([, path]) => path!);
    expect(assets.length).toBeGreaterThan(1);
    for (const path of assets) {
      const file = await rawRequest(proxy.origin, { path });
      expect(file.status).toBe(200);
      expect(file.headers['cache-control']).toBe('public, max-age=31536000, immutable');
      expect(file.headers['content-security-policy']).toBe(policy);
      const head = await rawRequest(proxy.origin, { method: 'HEAD', path });
      expect([head.status, head.body]).toEqual([200, '']);
      expect(head.headers['content-length']).toBe(file.headers['content-length']);
    }
    // Nothing in it is inline.
    expect(page.body).not.toMatch(/<script>|<style|style=|onload/);
  });

  test.each([
    '/page/assets/',
    '/page/assets/nothing.js',
    '/page/assets/../index.html',
    '/page/assets/../../../package.json',
    '/page/assets/..%2f..%2f..%2fpackage.json',
    '/page/assets/%2e%2e/%2e%2e/package.json',
    '/page/assets/..\\..\\package.json',
    '/page/assets//etc/passwd',
    '/page/assets/%00',
    '/page/assets/__proto__',
    '/page/assets/constructor',
  ])('%s leads nowhere', async (path) => {
    await using proxy = await startProxy();
    const { cookie } = await enterPage(proxy);
    const reply = await rawRequest(proxy.origin, { path, headers: { cookie } });
    expect(reply.status).toBe(404);
    expect(reply.body).not.toContain('"dependencies"');
  });
});

describe('what it shows', () => {
  test('stores, entries and lines, with whatever is in them as data', async () => {
    await using proxy = await startProxy();
    const session = await storeAt(proxy, `/work/${hostile.replaceAll('/', '')}`);
    const [entry] = await session.store.append([
      {
        kind: 'tool_result',
        tool: hostile,
        path: hostile,
        text: `${hostile}\nsecond\r\n\n`,
        outline: { kind: 'log', items: [`line 2: ${hostile}`, 'no line'] },
      },
    ]);
    const { ask, get } = await enterPage(proxy);
    expect(await ask<SessionView[]>('/page/sessions')).toEqual([
      {
        id: session.id,
        directory: session.directory,
        entries: 1,
        chars: session.store.totals.chars,
        bytes: expect.any(Number),
        createdAtMs: session.createdMs,
        updatedAtMs: expect.any(Number),
      },
    ]);
    const entries = `/page/sessions/${session.id}/entries`;
    const shown = {
      id: entry!.id,
      kind: hostile,
      title: expect.stringContaining('onerror=alert(1)'),
      chars: entry!.lengthChars,
      lines: 3,
      addedAtMs: entry!.timeMs,
    };
    expect(await ask<EntriesPage>(`${entries}?from=0&count=200`)).toEqual({
      total: 1,
      from: 0,
      entries: [shown],
    });
    expect(await ask<EntryDetail>(`${entries}/e1`)).toEqual({
      ...shown,
      outlineKind: 'log',
      outline: [{ line: 2, text: hostile }, { text: 'no line' }],
    });
    expect(await ask<LinesPage>(`${entries}/e1/lines?from=1&count=200`)).toEqual({
      from: 1,
      total: 3,
      lines: [hostile, 'second\r', ''],
      cutLines: [],
    });
    const data = await get(`${entries}/e1`);
    expect(data).toMatchObject({
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      },
    });
  });

  test('entries newest first, a page at a time; a page looks at no others', async () => {
    await using proxy = await startProxy();
    const session = await storeAt(proxy);
    await session.store.append(
      Array.from({ length: 3_000 }, (_, index) => ({
        kind: 'user_text' as const,
        text: `text ${index + 1}\n`,
      })),
    );
    const { ask } = await enterPage(proxy);
    const page = async (from: number, count: number) => {
      const path = `/page/sessions/${session.id}/entries?from=${from}&count=${count}`;
      const { total, entries } = await ask<EntriesPage>(path);
      return [total, entries.map(({ title }) => title)];
    };
    expect(await page(0, 2)).toEqual([3_000, ['text 3000', 'text 2999']]);
    expect(await page(2_998, 200)).toEqual([3_000, ['text 2', 'text 1']]);
    expect(await page(3_000, 200)).toEqual([3_000, []]);
    expect(await page(9_007_199_254_740_991, 1)).toEqual([3_000, []]);
    let looked = 0;
    const { entries } = session.store;
    const slice = entries.slice.bind(entries);
    Object.defineProperty(entries, 'slice', {
      configurable: true,
      value: (...range: [number, number]) => {
        const part = slice(...range);
        looked += part.length;
        return part;
      },
    });
    await page(1_000, 20);
    expect(looked).toBe(20);
  });

  test('of a text of one huge line its beginning, of many long lines each, of millions those asked for', async () => {
    const counter = new ReadCounter();
    await using proxy = await startProxy({ files: counter.files });
    const session = await storeAt(proxy);
    const half = '\ud83d\ude00';
    await session.store.append([
      { kind: 'file', text: 'x'.repeat(100_000_000) },
      { kind: 'file', text: `${'a'.repeat(1_999)}${half}\n${'b'.repeat(300_000)}\nlast` },
      {
        kind: 'file',
        text: Array.from({ length: 2_000_000 }, (_, line) => `line ${line + 1}`).join('\n'),
      },
    ]);
    const { ask } = await enterPage(proxy);
    const lines = async (entry: string, from: number, count: number) => {
      counter.bytes = 0;
      const path = `/page/sessions/${session.id}/entries/${entry}/lines?from=${from}&count=${count}`;
      return ask<LinesPage>(path);
    };
    const one = await lines('e1', 1, 200);
    expect(one).toMatchObject({ total: 1, cutLines: [1], lines: ['x'.repeat(2_000)] });
    expect(counter.bytes).toBeLessThan(300_000);
    const long = await lines('e2', 1, 200);
    expect(long).toMatchObject({ total: 3, cutLines: [1, 2] });
    expect(long.lines).toEqual(['a'.repeat(1_999), 'b'.repeat(2_000), 'last']);
    const many = await lines('e3', 1_234_567, 1_000);
    expect(many).toMatchObject({ total: 2_000_000, from: 1_234_567, cutLines: [] });
    expect(many.lines).toEqual(Array.from({ length: 1_000 }, (_, at) => `line ${1_234_567 + at}`));
    expect(counter.bytes).toBeLessThan(300_000);
    expect((await lines('e3', 2_000_000, 200)).lines).toEqual(['line 2000000']);
    expect((await lines('e3', 2_000_001, 200)).lines).toEqual([]);
  });

  test('of a text that was forgotten that it was there', async () => {
    await using proxy = await startProxy();
    const session = await storeAt(proxy);
    await session.store.append([{ kind: 'file', path: '/a', text: 'the secret\n' }]);
    await proxy.app.sessions.forget(session.id, { whole: [1], why: 'asked', mayComeAgain: true });
    const { ask, get } = await enterPage(proxy);
    const entries = `/page/sessions/${session.id}/entries`;
    const detail = await ask<EntryDetail>(`${entries}/e1`);
    expect(detail.forgotten).toContain('a person asked for it');
    expect(await ask(`${entries}/e1/lines?from=1&count=9`)).toMatchObject({ total: 0, lines: [] });
    expect((await get(`${entries}?from=0&count=9`)).body).not.toContain('the secret');
  });

  test.each([
    ['entries?from=-1&count=1', 400],
    ['entries?from=0&count=0', 400],
    ['entries?from=0&count=1001', 400],
    ['entries?from=NaN&count=1', 400],
    ['entries?from=1e3&count=1', 400],
    ['entries?from=0', 400],
    ['entries?from=99999999999999999999&count=1', 400],
    ['entries/e1/lines?from=0&count=1', 400],
    ['entries/e1/lines?from=1&count=99999', 400],
    ['entries/e9', 404],
    ['entries/__proto__', 404],
    ['entries/e1/lines/more?from=1&count=1', 404],
    ['entries/e1/other', 404],
    ['other', 404],
  ])('%s is refused with %i', async (path, status) => {
    await using proxy = await startProxy();
    const session = await storeAt(proxy);
    await session.store.append([{ kind: 'file', text: 'x' }]);
    const { get } = await enterPage(proxy);
    const reply = await get(`/page/sessions/${session.id}/${path}`);
    expect([reply.status, JSON.parse(reply.body)]).toMatchObject([status, { error: {} }]);
  });

  test('a store that is not there, or not any more, is unknown; looking makes none', async () => {
    await using proxy = await startProxy();
    const { get } = await enterPage(proxy);
    const names = () => readdirSync(join(proxy.dataDir, 'sessions'));
    for (const id of ['sess_0123456789abcdef', '..%2f..', 'x', '%00']) {
      const reply = await get(`/page/sessions/${id}/entries?from=0&count=1`);
      expect([id, reply.status]).toEqual([id, 404]);
    }
    expect(names()).toEqual([]);
    const session = await storeAt(proxy);
    await session.store.append([{ kind: 'file', text: 'x' }]);
    const path = `/page/sessions/${session.id}/entries?from=0&count=1`;
    expect((await get(path)).status).toBe(200);
    await proxy.app.sessions.remove(session.id);
    expect((await get(path)).status).toBe(404);
    expect(names()).toEqual([]);
  });

  test('a damaged store says why, and keeps the others from nothing', async () => {
    await using first = await startProxy();
    const damaged = await storeAt(first, '/work/damaged');
    const sound = await storeAt(first, '/work/sound');
    for (const { store } of [damaged, sound]) await store.append([{ kind: 'file', text: 'x' }]);
    await using proxy = await first.restart();
    rmSync(join(proxy.dataDir, 'sessions', `${damaged.id}_context.txt`));
    const { ask, get } = await enterPage(proxy);
    const entries = (id: string) => get(`/page/sessions/${id}/entries?from=0&count=1`);
    expect((await entries(sound.id)).status).toBe(200);
    const reply = await entries(damaged.id);
    expect(reply.status).toBe(500);
    expect(reply.body).toContain('store_corrupt');
    expect(await ask<SessionView[]>('/page/sessions')).toHaveLength(2);
  });

  test('events greet with all there is, and end with the server', async () => {
    await using proxy = await startProxy();
    await storeAt(proxy);
    const { cookie } = await enterPage(proxy);
    const reply = await fetch(`${proxy.origin}/page/events`, { headers: { cookie } });
    expect(reply.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(reply.headers.get('cache-control')).toBe('no-store');
    const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
    const { value = '' } = await reader.read();
    expect(value).toMatch(/^data: .*\n\n$/);
    const hello = JSON.parse(value.slice('data: '.length)) as PageEvent;
    expect(hello).toMatchObject({
      type: 'hello',
      server: { version: 'test', status: 'ok', upstreams: ['demo'] },
      sessions: [{ directory: '/work/page' }],
    });
    const closed = proxy.app.server.close();
    let rest = '';
    for (let piece = await reader.read(); !piece.done; piece = await reader.read())
      rest += piece.value;
    expect(rest).toMatch(/: over\n\n$/);
    await closed;
  });
});

/** Counts what is read of the stores' files. */
class ReadCounter {
  bytes = 0;
  readonly files: Files = {
    ...realFiles,
    open: async (...args) => {
      const file = await realFiles.open(...args);
      const count = (bytes: number): number => {
        this.bytes += bytes;
        return bytes;
      };
      return new Proxy(file, {
        get: (target, name: keyof typeof file) => {
          if (name === 'read')
            return async (...asked: Parameters<typeof file.read>) =>
              count(await target.read(...asked));
          if (name === 'readNow')
            return (...asked: Parameters<typeof file.readNow>) => count(target.readNow(...asked));
          const value = target[name];
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  };
}
