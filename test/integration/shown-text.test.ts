import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { clientTools, longText, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';

/** What the client has seen is what the model has: in its prompt, or in the store with a stub. */

const inProject = { 'x-rlm-directory': '/work/shown', 'x-session-id': 'shown' };
const paste = user(`Settings:\n${longText(12_000)}`);
const list = 'alpha, beta, gamma';

function lastText(messages: readonly Message[]): string {
  return String(messages.findLast(({ role }) => role === 'assistant')?.content);
}

describe('a text that a program handed to the user', () => {
  it('stands in the next prompt where it was shown, after a restart too', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.script(
      callTools({ id: 'x1', name: 'rlm_exec', args: { code: `answer(${JSON.stringify(list)})` } }),
      answer('These are the settings:'),
    );
    upstream.otherwise(answer('Gamma.'));
    const { message } = await proxy.ask({ messages: [paste], tools: clientTools }, inProject);
    expect(message.content).toBe(`These are the settings:\n\n${list}`);
    const next = [paste, message, user('What is the third in your list?')];
    await proxy.ask({ messages: next, tools: clientTools }, inProject);
    const sent = upstream.requests.at(-1)?.body.messages ?? [];
    expect(lastText(sent)).toBe(message.content);
    expect(sent.some((each) => each.tool_call_id === 'x1')).toBe(true);
    await using after = await proxy.restart();
    await after.ask({ messages: next, tools: clientTools }, inProject);
    expect(upstream.requests.at(-1)?.body.messages).toEqual(sent);
  });

  it('has an entry and a stub where it is long', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const code = 'answer(Array.from({length: 4000}, (_, i) => `owner ${i}`).join("\\n"))';
    upstream.script(
      callTools({ id: 'x1', name: 'rlm_exec', args: { code } }),
      answer('All owners:'),
    );
    const { message } = await proxy.ask({ messages: [paste], tools: clientTools }, inProject);
    expect(String(message.content)).toContain('owner 3999');
    upstream.script(callTools({ id: 'x2', name: 'rlm_find', args: { text: 'owner 2345' } }));
    upstream.otherwise(answer('It is there.'));
    const next = [paste, message, user('Was owner 2345 in your list?')];
    await proxy.ask({ messages: next, tools: clientTools }, inProject);
    const sent = upstream.requests.at(-1)?.body.messages ?? [];
    const said = String(
      sent.find(({ content }) => String(content).startsWith('All owners:'))?.content,
    );
    expect(said.length).toBeLessThan(3_000);
    expect(said).toMatch(/entry e\d+: \d+ characters/);
    expect(said).toContain('owner 3999');
    expect(sent.find((each) => each.tool_call_id === 'x2')?.content).toContain('owner 2345');
  });
});

it('the sentence of a limit stands in the next prompt', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env: { RLM_MAX_STEPS: '2' } });
  upstream.script(
    callTools({ id: 'x1', name: 'rlm_find', args: { text: 'fox' } }),
    answer('So far I have this.'),
  );
  upstream.otherwise(answer('Go on.'));
  const { message } = await proxy.ask({ messages: [paste], tools: clientTools }, inProject);
  expect(message.content).toContain('[rlm-opencode] Stopped by the limit');
  const next = [paste, message, user('Why did you stop?')];
  await proxy.ask({ messages: next, tools: clientTools }, inProject);
  expect(lastText(upstream.requests.at(-1)?.body.messages ?? [])).toBe(message.content);
});

describe('what a chat is told of the store', () => {
  it('is what was there before it, and nothing of its own', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(answer('Seen.'));
    const told = async (messages: readonly Message[], id: string): Promise<string> => {
      const headers = { ...inProject, 'x-session-id': id };
      await proxy.ask({ messages, tools: clientTools }, headers);
      return String(upstream.requests.at(-1)?.body.messages[0]?.content);
    };
    expect(await told([paste], 'first')).toContain(
      'It was empty at the start of this conversation',
    );
    // A new chat is told when its model has opened the store.
    upstream.script(callTools({ id: 'x1', name: 'rlm_search', args: {} }));
    const second = await told([user('What is there?')], 'second');
    expect(second).toMatch(
      /1 entry, from earlier work in this project:\n- e1 user_text .+: \d+ characters, 0 min old\n/,
    );
    // Its own small texts are stored long before the large one that activates it.
    const small = [user('x'.repeat(600)), { role: 'assistant' as const, content: 'Hm.' }];
    await told(small.slice(0, 1), 'third');
    const third = await told([...small, user(longText(15_000, 'mine'))], 'third');
    expect(third).toContain('1 entry, from earlier work in this project');
  });
});

describe('a project behind a symbolic link', () => {
  it('has one store, by whichever name it is called, and one that had the link’s name is still found', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rlm-link-'));
    try {
      const [real, link] = [join(folder, 'real'), join(folder, 'link')];
      await mkdir(real);
      await symlink(real, link);
      await using upstream = await startScriptedUpstream();
      await using proxy = await startProxy({ upstream });
      upstream.otherwise(answer('Seen.'));
      await proxy.ask({ messages: [paste], tools: clientTools }, { 'x-rlm-directory': link });
      const { sessions } = proxy.app;
      const ids = await Promise.all(
        [real, link, `${link}/`].map(async (name) =>
          sessions.forDirectory(name, { create: false }).then((session) => session?.id),
        ),
      );
      expect(new Set(ids).size).toBe(1);
      expect(ids[0]).toMatch(/^sess_/);
      const gone = await sessions.forDirectory('/not/on/this/machine', { create: true });
      expect(gone?.directory).toBe('/not/on/this/machine');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
