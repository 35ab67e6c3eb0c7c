import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startPair, type TestProxy } from '../support/proxy.ts';
import { answer, callTools } from '../support/scripted-upstream.ts';

const directory = '/work/restored';

/** Gives the directory a branch of its store as it was at a time. */
async function restoreTo(timeMs: number, { app: { sessions } }: TestProxy): Promise<string> {
  const { id } = (await sessions.forDirectory(directory, { create: false }))!;
  const branch = await sessions.branch(id, { timeMs });
  await sessions.restore(id, branch.id);
  return branch.id;
}

test.each(['a running server', 'a server that is started again'])(
  'after a restore a chat goes on in the other store from its next turn on: %s',
  async (how) => {
    await using setup = await startPair();
    const { upstream } = setup;
    let { proxy } = setup;
    const history: Message[] = [
      systemFor(directory),
      user('look at both'),
      calling('call_1', 'bash', { command: 'cat a' }),
      resultOf('call_1', `first needle\n${longText(30_000, 'a')}`),
    ];
    const say = async (): Promise<readonly Message[]> => {
      const { message } = await proxy.ask({ messages: history, tools: clientTools });
      history.push(message);
      return upstream.requests.at(-1)!.body.messages;
    };
    upstream.script(
      callTools({ name: 'rlm_find', args: { text: 'first needle' } }),
      answer('There it is, in the first.'),
    );
    const first = await say();
    const afterFirstMs = Date.now();
    await sleep(5);
    history.push(
      user('and the second?'),
      calling('call_2', 'bash', { command: 'cat b' }),
      resultOf('call_2', `second needle\n${longText(30_000, 'b')}`),
    );
    upstream.script(answer('There is a second one, too.'));
    const second = await say();
    expect(second.slice(0, first.length)).toEqual(first);
    if (how !== 'a running server') proxy = await proxy.restart();
    const branchId = await restoreTo(afterFirstMs, proxy);
    if (how !== 'a running server') proxy = await proxy.restart();
    history.push(user('go on'));
    upstream.script(
      callTools({ name: 'rlm_find', args: { text: 'second needle' } }),
      answer('It is there.'),
    );
    const third = await say();
    // Same stubs, same hidden steps: what the branch does not hold has come anew.
    expect(third.slice(0, second.length)).toEqual(second);
    expect(String(third.at(-1)!.content)).toContain('1 matching line');
    const { store, id } = (await proxy.app.sessions.forDirectory(directory, { create: false }))!;
    expect(id).toBe(branchId);
    expect(store.entries.map(({ id: entry, args }) => [entry, args])).toEqual([
      ['e1', expect.stringContaining('cat a')],
      ['e2', expect.stringContaining('cat b')],
    ]);
    history.push(user('and on'));
    upstream.script(answer('fine'));
    const fourth = await say();
    expect(fourth.slice(0, third.length)).toEqual(third);
    await proxy[Symbol.asyncDispose]();
  },
);
