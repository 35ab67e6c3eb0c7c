import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeRecord } from '../../src/store/format.ts';
import { calling, clientTools, resultOf, systemFor, user } from '../support/conversation.ts';
import { startPair, type TestProxy } from '../support/proxy.ts';
import { answer, callTools } from '../support/scripted-upstream.ts';
import type { Message } from '../../src/wire/types.ts';

/** 2 MB of a server's log with one error in the middle, and the request numbers of one run. */
function serverLog(lines: number, error = 'expected 200, got 503'): string {
  return Array.from({ length: lines }, (_, at) =>
    at === 9_126
      ? `2026-05-28T08:33:42Z [ERROR] ${error}`
      : `2026-05-28T08:33:42Z [INFO] GET /api/orders/${at} 200 in ${at % 90}ms`,
  ).join('\n');
}

function history(...outputs: readonly string[]): Message[] {
  return [
    systemFor('/home/dev/project'),
    ...outputs.flatMap((output, at) => [
      user(`run it ${at}`),
      calling(`call_${at}`, 'bash', { command: 'npm start' }),
      resultOf(`call_${at}`, output),
    ]),
  ];
}

describe('the stub of a large output', () => {
  it('names the line of the error in its middle, which the model then opens', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(
      callTools({ name: 'rlm_get_context', args: { entry: 'e1', line: 9_127, lines: 1 } }),
      answer('a 503'),
    );
    await proxy.ask({ messages: history(serverLog(31_904)), tools: clientTools });
    const stub = String(upstream.requests[0]?.body.messages[3]?.content);
    expect(stub).toContain('31904 lines, log');
    expect(stub).toContain('- levels: 31,903 INFO, 1 ERROR');
    expect(stub).toContain('- line 9127: 2026-05-28T08:33:42Z [ERROR] expected 200, got 503');
    expect(stub.length).toBeLessThanOrEqual(2_000);
    // The README shows what really occurs.
    const shown = /^\[rlm\] [^]*?(?=\n…)/m.exec(await readFile('README.md', 'utf8'))?.[0];
    expect(stub.slice(0, shown?.length)).toBe(shown);
    expect(String(upstream.requests[1]?.body.messages.at(-1)?.content)).toContain('got 503');
  });

  it('says what is other than when the same command ran before', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(answer('ok'), answer('ok'));
    const first = serverLog(10_000);
    await proxy.ask({ messages: history(first), tools: clientTools });
    const second = serverLog(10_000, 'expected 200, got a fish').replace(
      'orders/77 ',
      'orders/78 ',
    );
    await proxy.ask({ messages: history(first, second), tools: clientTools });
    const stub = String(upstream.requests[1]?.body.messages[6]?.content);
    expect(stub).toContain(
      '- the same command as e1: 1 line new, the first line 9127, 1 line gone',
    );
    expect(stub).toContain('1 line other in numbers only');
  });

  it('is the same after a restart, of an entry of an earlier version as that version made it', async () => {
    await using setup = await startPair();
    const { upstream } = setup;
    const messages = history(serverLog(12_000));
    upstream.script(answer('ok'), answer('ok'), answer('ok'));
    await setup.proxy.ask({ messages, tools: clientTools });
    let proxy = await setup.proxy.restart();
    await proxy.ask({ messages, tools: clientTools });
    expect(upstream.requests[1]?.rawBody).toEqual(upstream.requests[0]?.rawBody);
    await proxy.app[Symbol.asyncDispose]();
    await without(proxy.dataDir, 'outline');
    proxy = await proxy.restart();
    await proxy.ask({ messages, tools: clientTools });
    const stub = String(upstream.requests[2]?.body.messages[3]?.content);
    expect(stub).toContain('offset 0, from line 1.');
    expect(stub).not.toContain('outline (lines');
  });
});

describe('the stub of an output that came before', () => {
  const log = serverLog(12_000);
  const again =
    /^\[rlm\] This is the same text, byte for byte, as one that came before, the output of bash \{"command":"npm start"\}\. It is kept /;

  it('says so, and nothing of it changes the first: later, after a restart, in a fork', async () => {
    await using setup = await startPair();
    const { upstream } = setup;
    upstream.script(...Array.from({ length: 5 }, () => answer('ok')));
    const askAll = async (proxy: TestProxy, outputs: readonly string[], chat: string) =>
      proxy.ask({ messages: history(...outputs), tools: clientTools }, { 'x-session-id': chat });
    const stubs = (request: number): readonly string[] =>
      (upstream.requests[request]?.body.messages ?? [])
        .filter(({ role }) => role === 'tool')
        .map(({ content }) => String(content));
    await askAll(setup.proxy, [log], 'one');
    await askAll(setup.proxy, [log, 'short', log], 'one');
    const [first = '', short, second = ''] = stubs(1);
    expect(first).toBe(stubs(0)[0]);
    expect([short, first.startsWith('[rlm] The output of bash')]).toEqual(['short', true]);
    expect(second).toMatch(again);
    expect(second).toContain('entry e1: ');
    await askAll(setup.proxy, [log, 'short', log, 'more'], 'one');
    const proxy = await setup.proxy.restart();
    await askAll(proxy, [log, 'short', log, 'more', 'yet more'], 'one');
    await askAll(proxy, [log, 'short', log], 'fork');
    for (const request of [2, 3, 4])
      expect(stubs(request).slice(0, 3)).toEqual([first, short, second]);
  });

  it('does not say so where an earlier version has shown it without', async () => {
    await using setup = await startPair();
    const { upstream } = setup;
    upstream.script(answer('ok'), answer('ok'));
    const request = { messages: history(log, log), tools: clientTools };
    const chat = { 'x-session-id': 'one' };
    await setup.proxy.ask(request, chat);
    await setup.proxy.app[Symbol.asyncDispose]();
    await without(setup.proxy.dataDir, 'again');
    await (await setup.proxy.restart()).ask(request, chat);
    const [then, now] = upstream.requests.map(({ body }) => String(body.messages[6]?.content));
    expect(then).toMatch(again);
    expect(now).toBe(String(upstream.requests[0]?.body.messages[3]?.content));
  });
});

/** Makes the journals what a version that did not know a member would have written. */
async function without(dataDir: string, member: 'outline' | 'again'): Promise<void> {
  const names = await readdir(dataDir, { recursive: true });
  // It knows how long the journals were.
  for (const name of names.filter((each) => each.endsWith('checked.json')))
    await rm(join(dataDir, name));
  for (const name of names.filter((each) => each.endsWith('_entries.jsonl'))) {
    const path = join(dataDir, name);
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    const earlier = lines.map((line) => {
      const { [member]: _, crc: __, ...record } = JSON.parse(line) as Record<string, unknown>;
      return encodeRecord(record);
    });
    await writeFile(path, earlier.join(''));
  }
}
