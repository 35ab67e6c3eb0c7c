import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Files, realFiles } from '../../src/store/disk/files.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  user,
  outputRequest,
} from '../support/conversation.ts';
import { faultyFiles } from '../faults/faulty-files.ts';
import { startProxy, windowOf } from '../support/proxy.ts';
import {
  answer,
  done,
  finish,
  reply,
  role,
  startScriptedUpstream,
  text,
} from '../support/scripted-upstream.ts';

/** A disk on which nothing can be written while `fault` is set. */
class Disk {
  fault: string | undefined;

  readonly files: Files = {
    ...realFiles,
    makeDirectory: (path) => this.#or(() => realFiles.makeDirectory(path)),
    createExclusive: (path, bytes) => this.#or(() => realFiles.createExclusive(path, bytes)),
  };

  async #or<T>(work: () => Promise<T>): Promise<T> {
    if (this.fault === undefined) return work();
    throw Object.assign(new Error(this.fault), { code: this.fault });
  }
}

const request = outputRequest(longText(60_000));

test.each([
  ['ENOSPC', 'store_full'],
  ['EROFS', 'internal'],
])(
  'a start with %s serves without a store, says so, and stores when it can again',
  async (code, name) => {
    const disk = new Disk();
    disk.fault = code;
    let nowMs = 0;
    const lines: string[] = [];
    await using upstream = await startScriptedUpstream();
    upstream.otherwise(answer('hello'));
    await using proxy = await startProxy({
      upstream,
      files: disk.files,
      clock: { ...systemClock, elapsedMs: () => systemClock.elapsedMs() + nowMs },
      onLog: (line) => lines.push(line),
    });
    expect(await proxy.health()).toMatchObject({ status: 'degraded', lastStoreFault: name });
    expect(lines.join('')).toContain('starts without a store');
    expect(lines.join('')).toContain(code);
    expect((await proxy.ask(request)).message.content).toBe('hello');
    expect(upstream.requests.at(-1)?.body.messages.at(-1)?.content).toBe(longText(60_000));

    disk.fault = undefined;
    nowMs += 11_000;
    expect((await proxy.ask(request)).message.content).toBe('hello');
    expect(
      readdirSync(`${proxy.dataDir}/sessions`).some((file) => file.endsWith('_context.txt')),
    ).toBe(true);
    expect((await proxy.health()).status).toBe('ok');
  },
);

test('a directory that this user may not use is a fault of the start', async () => {
  const disk = new Disk();
  disk.fault = 'EACCES';
  await expect(startProxy({ files: disk.files })).rejects.toThrow('may not use');
});

/** Says nothing about tokens, so that what the window holds stays what it was. */
const uncounted = reply(role(), text('hello'), finish(), done());

test('while nothing can be stored, texts are cut to fit the window, the same in the next turn, and the gap is named', async () => {
  const windowTokens = 32_000;
  const disk = new Disk();
  disk.fault = 'ENOSPC';
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(uncounted);
  await using proxy = await startProxy({
    upstream,
    files: disk.files,
    env: windowOf(windowTokens),
    onLog: (line) => lines.push(line),
  });
  const { messages } = outputRequest(`FIRST WORDS\n${longText(2_000_000)}\nLAST WORDS`);
  const { message } = await proxy.ask({ messages, tools: clientTools });
  const next = [...messages, message, user('And now?')];
  await proxy.ask({ messages: next, tools: clientTools });
  const [first, second] = upstream.requests;
  for (const request of [first!, second!])
    expect(request.rawBody.length).toBeLessThan(windowTokens * 0.7 * 3.6);
  const sent = first!.body.messages;
  expect(sent.slice(0, 3)).toEqual(messages.slice(0, 3));
  const result = String(sent[3]?.content);
  expect(result).toMatch(/^FIRST WORDS/);
  expect(result).toMatch(/LAST WORDS$/);
  expect(result).toMatch(/\d{7} characters of this text are left out here.*they are kept nowhere/);
  // No more than has to go.
  expect(result.length).toBeGreaterThan(30_000);
  expect(second!.body.messages.slice(0, 4)).toEqual(sent);
  expect(lines.join('')).toContain('texts were cut to fit the window');
  expect(await proxy.health()).toMatchObject({
    status: 'degraded',
    lastStoreFault: 'store_full',
  });

  // A pasted text that is the newest question itself keeps its ends, and what was cut before does
  // not change.
  const pasted = [
    ...next,
    { role: 'assistant' as const, content: 'hello' },
    user(`PASTED\n${longText(300_000)}\nMy question.`),
  ];
  await proxy.ask({ messages: pasted, tools: clientTools });
  const third = upstream.requests[2]!;
  expect(third.rawBody.length).toBeLessThan(windowTokens * 0.7 * 3.6);
  expect(third.body.messages.at(-1)?.content).toMatch(/^PASTED[^]*kept nowhere[^]*My question\.$/);
});

test('where only the store of this chat fails, its texts are bounded too', async () => {
  const windowTokens = 32_000;
  let isFull = false;
  const { files } = faultyFiles(({ name }) =>
    isFull && name === 'write' ? { kind: 'error', code: 'ENOSPC' } : { kind: 'none' },
  );
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(uncounted);
  await using proxy = await startProxy({
    upstream,
    files,
    env: windowOf(windowTokens),
  });
  const { message } = await proxy.ask(request);
  isFull = true;
  const next = [
    ...request.messages,
    message,
    user('Again.'),
    calling('call_2', 'bash', { command: 'npm test' }),
    resultOf('call_2', longText(1_000_000, 'other')),
  ];
  await proxy.ask({ messages: next, tools: clientTools });
  await proxy.ask({ messages: [...next, message, user('And?')], tools: clientTools });
  const [, second, third] = upstream.requests;
  expect(second!.rawBody.length).toBeLessThan(windowTokens * 0.75 * 3.6);
  expect(String(second!.body.messages.at(-1)?.content)).toContain('they are kept nowhere');
  const sent = second!.body.messages;
  expect(third!.body.messages.slice(0, sent.length)).toEqual(sent);
});
