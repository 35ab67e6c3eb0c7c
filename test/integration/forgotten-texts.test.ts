import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { callOver } from '../../src/cli/operations-client.ts';
import { systemClock } from '../../src/clock.ts';
import type { ForgetAnswer } from '../../src/operations/forget.ts';
import { createOperations } from '../../src/operations/operations.ts';
import type { Message } from '../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  outputRequest,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { exported, imported } from '../support/archives.ts';
import { filesHolding } from '../support/files-below.ts';
import { startPair, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  Gate,
  reply,
  type ScriptedUpstream,
  text,
} from '../support/scripted-upstream.ts';
import { readTraces } from '../support/trace.ts';

const secret = 'the-launch-code-is-0451-zebra-quartz';
const directory = '/work/forgetting';

/** What the running server does for the command. */
async function forgetting({ app }: TestProxy, args: object): Promise<ForgetAnswer> {
  const { sessions, search } = app;
  const call = callOver(createOperations({ sessions, search, clock: systemClock }));
  return (await call('forget', { directory, isTrial: false, ...args })) as ForgetAnswer;
}

const filesWith = async ({ dataDir }: TestProxy, text: string): Promise<readonly string[]> =>
  filesHolding(dataDir, text);

/** A chat in which a command has put out a secret, and the model has looked for it. */
async function chatWithSecret(setup: {
  readonly upstream: ScriptedUpstream;
  readonly proxy: TestProxy;
}): Promise<readonly Message[]> {
  const { upstream, proxy } = setup;
  const output = `${longText(20_000)}\n${secret}\n${longText(20_000)}`;
  const messages: Message[] = [
    systemFor(directory),
    user('print it'),
    calling('call_1', 'bash', { command: 'cat launch.txt' }),
    resultOf('call_1', output),
  ];
  upstream.script(
    callTools({ name: 'rlm_find', args: { text: 'launch-code' } }),
    answer('The code is in the output, line 300.'),
  );
  const { message } = await proxy.ask({ messages, tools: clientTools });
  return [...messages, message, user('and now?')];
}

describe('a text that was forgotten while a chat goes on', () => {
  test('its message shows that it is gone from the next turn on; it does not come back', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const messages = await chatWithSecret(setup);
    const trial = await forgetting(proxy, { entries: ['e1'], isTrial: true });
    expect(trial).toMatchObject({ entries: 1, masked: 0, isTrial: true });
    expect(trial.chatRecords).toBeGreaterThan(0);
    expect(trial.named).toEqual([{ id: 'e1', what: expect.stringContaining('cat launch.txt') }]);
    expect((await filesWith(proxy, secret)).length).toBeGreaterThan(0);
    await forgetting(proxy, { entries: ['e1'] });
    expect(await filesWith(proxy, secret)).toEqual([]);
    for (let turn = 0; turn < 2; turn += 1) {
      upstream.script(answer('fine'));
      await proxy.ask({ messages, tools: clientTools });
      const { body, rawBody } = upstream.requests.at(-1)!;
      expect(String(rawBody)).not.toContain(secret);
      expect(String(rawBody)).not.toContain('launch-code');
      const shown = body.messages.find(({ role }) => role === 'tool');
      expect(shown?.content).toMatch(/^\[rlm\] The text of e1 was forgotten on .*It had 40,?\d/);
    }
    const [first, second] = upstream.requests.slice(-2).map(({ rawBody }) => String(rawBody));
    expect(second).toBe(first);
    expect(await filesWith(proxy, secret)).toEqual([]);
    const restarted = await proxy.restart();
    upstream.script(answer('fine'));
    await restarted.ask({ messages, tools: clientTools });
    expect(String(upstream.requests.at(-1)!.rawBody)).toBe(first);
    expect(await filesWith(restarted, secret)).toEqual([]);
    await restarted[Symbol.asyncDispose]();
  });

  test('it does not come back with the same chat on another machine, either', async () => {
    await using setup = await startPair();
    const messages = await chatWithSecret(setup);
    const { session } = await forgetting(setup.proxy, { entries: ['e1'] });
    const archive = await exported(setup.proxy.app.sessions, session);
    await using other = await startPair();
    await imported(other.proxy.app.sessions, archive);
    other.upstream.script(answer('fine'));
    await other.proxy.ask({ messages, tools: clientTools });
    const { body } = other.upstream.requests.at(-1)!;
    const shown = body.messages.find(({ role }) => role === 'tool');
    expect(shown?.content).toMatch(/^\[rlm\] The text of e1 was forgotten on /);
    expect(await filesWith(other.proxy, secret)).toEqual([]);
  });

  test('programs do not hold it in variables, and are told that these are gone', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const messages = await chatWithSecret(setup);
    const program = (code: string): void =>
      upstream.script(callTools({ name: 'rlm_exec', args: { code } }), answer('fine'));
    program('let held = context.text("e1"); held.length');
    await proxy.ask({ messages, tools: clientTools });
    const trial = await forgetting(proxy, { entries: ['e1'], isTrial: true });
    expect(trial).toMatchObject({ programs: 1, traces: 0 });
    expect(await forgetting(proxy, { entries: ['e1'] })).toMatchObject({ programs: 1 });
    program('typeof held');
    await proxy.ask({ messages, tools: clientTools });
    const told = String(upstream.requests.at(-1)!.body.messages.at(-1)?.content);
    expect(told).toBe(
      '[variables of earlier calls were dropped because texts were forgotten: held]\n=> undefined',
    );
  });

  test('it is in no trace, either: those of other turns stay', async () => {
    const traces = await mkdtemp(join(tmpdir(), 'rlm-trace-'));
    onTestFinished(async () => rm(traces, { recursive: true, force: true }));
    await using setup = await startPair({ RLM_TRACE_DIR: traces });
    const { upstream, proxy } = setup;
    upstream.script(answer('fine'));
    await proxy.ask(outputRequest(`other ${longText(30_000)}`, directory));
    const messages = await chatWithSecret(setup);
    // The model says it in pieces, none of which is it.
    upstream.script(
      reply(...secret.match(/.{1,5}/g)!.map((piece) => text(piece)), finish(), done()),
    );
    await proxy.ask(outputRequest(`third ${longText(30_000, 'third')}`, directory));
    await vi.waitFor(async () => expect(await readTraces(traces)).toHaveLength(3));
    const args = { pattern: secret, literal: true };
    expect(await forgetting(proxy, { ...args, isTrial: true })).toMatchObject({ traces: 2 });
    expect(await readTraces(traces)).toHaveLength(3);

    // A turn that is being answered holds it, too.
    const gate = new Gate();
    upstream.script(reply(text('fi'), gate, text('ne'), finish(), done()));
    const live = proxy.ask({ messages, tools: clientTools });
    await upstream.nthRequest(upstream.requests.length + 1);
    expect(await forgetting(proxy, args)).toMatchObject({ traces: 2 });
    gate.open();
    await live;
    expect(await filesWith(proxy, secret)).toEqual([]);
    expect(await filesHolding(traces, secret)).toEqual([]);
    expect(await filesHolding(traces, 'launch-code')).toEqual([]);
    expect(await readTraces(traces)).toHaveLength(1);
    upstream.script(answer('fine'));
    await proxy.ask({ messages, tools: clientTools });
    await vi.waitFor(async () => expect(await readTraces(traces)).toHaveLength(2));
  });

  test('of a part as many other characters are shown, stored and found', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const messages = await chatWithSecret(setup);
    const outcome = await forgetting(proxy, { pattern: 'the-launch-code[a-z0-9-]*' });
    expect(outcome).toMatchObject({ entries: 0, masked: 1, bytes: secret.length });
    expect(await filesWith(proxy, secret)).toEqual([]);
    upstream.script(
      callTools(
        { name: 'rlm_find', args: { text: '####' } },
        { name: 'rlm_find', args: { text: 'launch-code' } },
      ),
      answer('fine'),
    );
    await proxy.ask({ messages, tools: clientTools });
    const last = String(upstream.requests.at(-1)!.rawBody);
    expect(last).not.toContain(secret);
    expect(last).toContain('#'.repeat(secret.length));
    expect(last).toContain('0 matching lines');
    expect(await filesWith(proxy, secret)).toEqual([]);
  });

  test('of a line all goes but its end, whatever that is', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const lines = Array.from({ length: 900 }, (_, n) => `line ${n} of a file from another system`);
    upstream.script(answer('fine'));
    await proxy.ask(outputRequest(lines.join('\r\n'), directory));
    await forgetting(proxy, { entries: ['e1:2-3'] });
    const session = await proxy.app.sessions.forDirectory(directory, { create: false });
    const [entry] = session!.store.entries;
    const left = (await session!.store.readEntry(entry!)).split('\r\n');
    expect(left.slice(0, 4)).toEqual([
      lines[0],
      '#'.repeat(lines[1]!.length),
      '#'.repeat(lines[2]!.length),
      lines[3],
    ]);
    expect(left).toHaveLength(900);
  });

  test('keys and tokens are found by their forms, and only they go', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const token = ['ghp', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('_');
    const output = `${longText(20_000)}\nGITHUB_TOKEN=${token} # for ci\n${longText(20_000)}`;
    upstream.script(answer('fine'));
    const request = outputRequest(output, directory);
    await proxy.ask(request);
    const outcome = await forgetting(proxy, { secrets: true });
    expect(outcome).toMatchObject({ entries: 0, masked: 1, named: [{ id: 'e1', parts: 1 }] });
    expect(await filesWith(proxy, token)).toEqual([]);
    expect(await filesWith(proxy, 'GITHUB_TOKEN=#')).toContainEqual(
      expect.stringContaining('_context.txt'),
    );
    upstream.script(answer('fine'));
    await proxy.ask(request);
    expect(String(upstream.requests.at(-1)!.rawBody)).not.toContain(token);
    await expect(forgetting(proxy, { secrets: true })).rejects.toThrow(/No key, token/);
  });

  test('secrets that stand only in calls are found, too: of the client, and hidden ones', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const token = ['ghp', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('_');
    const messages: Message[] = [
      systemFor(directory),
      user('fetch it'),
      calling('call_1', 'bash', { command: `curl -H "x-token: ${token}" host` }),
      resultOf('call_1', longText(30_000)),
    ];
    upstream.script(callTools({ name: 'rlm_find', args: { text: token } }), answer('fine'));
    const { message } = await proxy.ask({ messages, tools: clientTools });
    expect((await filesWith(proxy, token)).length).toBe(2);
    const trial = await forgetting(proxy, { secrets: true, isTrial: true });
    expect(trial).toMatchObject({ entries: 0, masked: 0, calls: 1, chatRecords: 1 });
    expect(trial.named).toEqual([
      { id: 'e1', what: expect.stringContaining('curl -H "x-token: ####'), ofCall: true },
    ]);
    expect((await filesWith(proxy, token)).length).toBe(2);
    await forgetting(proxy, { secrets: true });
    expect(await filesWith(proxy, token)).toEqual([]);
    const session = await proxy.app.sessions.forDirectory(directory, { create: false });
    expect(session!.store.entries[0]).toMatchObject({
      tool: 'bash',
      toolCallId: 'call_1',
      args: expect.stringMatching(/^\{"command":"curl -H \\"x-token: #+\\" host"\}$/),
    });
    await expect(forgetting(proxy, { secrets: true })).rejects.toThrow(/No key, token/);
    // The chat goes on, and what the client sends again is known.
    upstream.script(answer('fine'));
    await proxy.ask({ messages: [...messages, message, user('and now?')], tools: clientTools });
    expect(session!.store.entries).toHaveLength(1);
    expect(await filesWith(proxy, token)).toEqual([]);
  });

  test('a secret that only a hidden step holds is found and goes', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const token = ['ghp', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('_');
    upstream.script(callTools({ name: 'rlm_find', args: { text: token } }), answer('fine'));
    await proxy.ask(outputRequest(longText(30_000), directory));
    expect(await forgetting(proxy, { secrets: true })).toMatchObject({
      entries: 0,
      masked: 0,
      calls: 0,
      chatRecords: 1,
    });
    expect(await filesWith(proxy, token)).toEqual([]);
  });

  test('a model that asks for it is told so, by every tool; programs, too', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    await chatWithSecret(setup);
    await forgetting(proxy, { entries: ['e1'] });
    upstream.script(
      callTools(
        { name: 'rlm_get_context', args: { entry: 'e1' } },
        { name: 'rlm_get_context', args: { offset: 100, length: 50 } },
        { name: 'rlm_search', args: { pattern: 'launch' } },
        { name: 'rlm_stats', args: {} },
      ),
      answer('fine'),
    );
    // Another long output keeps our tools in the chat.
    const request = outputRequest(`other ${longText(30_000)}`, directory);
    await proxy.ask(request);
    const results = upstream.requests
      .at(-1)!
      .body.messages.slice(-4)
      .map(({ content }) => String(content));
    expect(results[0]).toMatch(/text of e1 was forgotten/);
    expect(results[1]).toMatch(/text of e1 was forgotten/);
    expect(results[2]).toMatch(/One text that was here was forgotten/);
    expect(results[3]).toContain('forgotten');
  });

  test('what is chosen wrong is said in words, and nothing is changed', async () => {
    await using setup = await startPair();
    const { proxy } = setup;
    await chatWithSecret(setup);
    const wrong: readonly [object, RegExp][] = [
      [{}, /not said what is to be forgotten/],
      [{ entries: ['e9'] }, /"e9" names no entry/],
      [{ entries: ['banana'] }, /names no entry/],
      [{ entries: ['e1:9999999-9999999'] }, /e1 has \d+ lines/],
      [{ pattern: 'never there' }, /matches nothing that is stored/],
      [{ tool: 'nonesuch' }, /nonesuch/],
    ];
    for (const [args, words] of wrong) {
      await expect(forgetting(proxy, args)).rejects.toThrow(words);
    }
    expect((await filesWith(proxy, secret)).length).toBeGreaterThan(0);
  });
});
