import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Files, realFiles } from '../../src/store/files.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

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

const request = {
  messages: [
    systemFor('/work/project'),
    user('What went wrong?'),
    calling('call_1', 'bash', { command: 'npm test' }),
    resultOf('call_1', longText(60_000)),
  ],
  tools: clientTools,
};

const health = async (origin: string): Promise<{ status: string; lastStoreFault?: string }> =>
  (await (await fetch(`${origin}/health`)).json()) as { status: string };

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
    expect(await health(proxy.origin)).toMatchObject({ status: 'degraded', lastStoreFault: name });
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
    expect((await health(proxy.origin)).status).toBe('ok');
  },
);

test('a directory that this user may not use is a fault of the start', async () => {
  const disk = new Disk();
  disk.fault = 'EACCES';
  await expect(startProxy({ files: disk.files })).rejects.toThrow('may not use');
});
