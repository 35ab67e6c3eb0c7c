import { expect, it } from 'vitest';
import { realFiles, type Files } from '../../../src/store/disk/files.ts';
import type { Message } from '../../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../../support/conversation.ts';
import { startPair, windowOf } from '../../support/proxy.ts';
import { answer } from '../../support/scripted-upstream.ts';
import { bytesOf, expectPrefix, expectWellFormed } from '../../property/weave-checks.ts';

/** The real disk, on which texts cannot be read while `isBroken`. */
class Disk {
  isBroken = false;

  readonly files: Files = {
    ...realFiles,
    open: async (path, options) => {
      const file = await realFiles.open(path, options);
      return {
        ...file,
        read: async (...args) => {
          this.#check(path);
          return file.read(...args);
        },
        readNow: (...args) => {
          this.#check(path);
          return file.readNow(...args);
        },
      };
    },
  };

  #check(path: string): void {
    if (!this.isBroken) return;
    throw Object.assign(new Error(`EIO: ${path}`), { code: 'EIO' });
  }
}

const headers = { 'x-session-id': 'takes-back' };
const said = { role: 'assistant' as const, content: 'Go on.' };

/** Turns with outputs of this length. */
function turns(from: number, to: number, outputChars: number): readonly Message[] {
  const messages: Message[] = [];
  for (let turn = from; turn <= to; turn += 1)
    messages.push(
      user(`Request ${turn}`),
      calling(`call-${turn}`, 'bash', { command: `run ${turn}` }),
      resultOf(`call-${turn}`, longText(outputChars, `output-${turn}-of`)),
      said,
    );
  return messages;
}

it.each([
  ['whole', 5_000],
  ['as stubs', 20_000],
])(
  'old turns come back %s though the store cannot be read: that costs one request at most, and not the chat',
  async (_, outputChars) => {
    const disk = new Disk();
    await using setup = await startPair(windowOf(32_000), { files: disk.files });
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Go on.'));
    const early = [systemFor('/work/window'), ...turns(1, 4, outputChars), user('And now?')];
    await proxy.ask({ messages: early, tools: clientTools }, headers);
    const later: Message[] = [...early, said, ...turns(5, 90, outputChars), user('And now?')];
    // The second time it is known that the first turns have left; the third time their bytes are
    // not even kept.
    for (let times = 0; times < 3; times += 1) {
      await proxy.ask({ messages: later, tools: clientTools }, headers);
      later.push(said, user(`And now ${times}?`));
    }
    upstream.requests.length = 0;
    disk.isBroken = true;
    const request = { model: 'm', messages: early, tools: clientTools };
    const first = await proxy.post(request, headers);
    expect([200, 500]).toContain(first.status);
    await first.text();
    // Its bytes come with the next request, which needs no store for them.
    await proxy.ask(request, headers);
    const again = upstream.requests.at(-1)!.body.messages;
    expectWellFormed(again);
    expect(bytesOf(again)).toContain('output-4-of 7:');
    disk.isBroken = false;
    await proxy.ask(
      { messages: [...early, said, user('Still there?')], tools: clientTools },
      headers,
    );
    expectPrefix(upstream.requests.at(-1)!.body.messages, bytesOf(again));
  },
);
