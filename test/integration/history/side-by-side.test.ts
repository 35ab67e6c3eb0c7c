import { expect, it } from 'vitest';
import type { Message } from '../../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  ownResults,
  resultOf,
  user,
} from '../../support/conversation.ts';
import { startPair } from '../../support/proxy.ts';
import { answer, callTools } from '../../support/scripted-upstream.ts';
import { bytesOf } from '../../property/weave-checks.ts';

const projects = ['/work/one', '/work/two'];
const chats = ['first', 'second'];

/** Four chats: two in each project. */
const all = projects.flatMap((directory) =>
  chats.map((name) => ({
    'x-rlm-directory': directory,
    'x-session-id': `${directory}-${name}`,
  })),
);

it('the same history in two chats of two projects goes up alike, is stored in each project once, and read only there', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  upstream.otherwise(({ body }) => answer(`Answer ${body.messages.length}.`));
  const messages: Message[] = [{ role: 'system', content: 'You are a coding assistant.' }];
  const outputs: string[] = [];
  for (let turn = 1; turn <= 5; turn += 1) {
    const output = longText(turn % 2 === 0 ? 40_000 : 2_000, `turn-${turn}-of`);
    outputs.push(output);
    messages.push(
      user(`Question ${turn}?`),
      calling(`call-${turn}`, 'bash', { command: `run ${turn}` }),
      resultOf(`call-${turn}`, output),
    );
    const answers = await Promise.all(
      all.map(async (headers) => proxy.ask({ messages, tools: clientTools }, headers)),
    );
    const sent = upstream.requests.splice(0).map(({ body }) => bytesOf(body.messages));
    expect(sent).toHaveLength(4);
    expect(new Set(sent).size).toBe(1);
    messages.push(answers[0]!.message);
  }
  for (const directory of projects) {
    const session = await proxy.app.sessions.forDirectory(directory, { create: false });
    const entries = session?.store.entries ?? [];
    const texts = await Promise.all(entries.map(async (entry) => session?.store.readEntry(entry)));
    expect(texts).toHaveLength(outputs.length);
    expect(new Set(texts)).toEqual(new Set(outputs));
  }
});

it('what one of them goes on with is nothing to the others', async () => {
  await using setup = await startPair();
  const { upstream, proxy } = setup;
  const history = (more: string): readonly Message[] => [
    { role: 'system', content: 'You are a coding assistant.' },
    user('Look at it.'),
    calling('call-1', 'bash', { command: 'cat all' }),
    resultOf('call-1', longText(40_000, 'shared-text')),
    { role: 'assistant', content: 'Seen.' },
    user(`And ${more}?`),
    calling('call-2', 'bash', { command: 'cat more' }),
    resultOf('call-2', longText(30_000, more)),
  ];
  const words = all.map((_, at) => `own-word-${at}`);
  upstream.otherwise(answer('Seen, too.'));
  await Promise.all(
    all.map(async (headers, at) =>
      proxy.ask({ messages: history(words[at]!), tools: clientTools }, headers),
    ),
  );
  upstream.requests.length = 0;
  for (const [at, headers] of all.entries()) {
    upstream.script(
      callTools(
        ...words.map((word) => ({ name: 'rlm_find', args: { text: `${word} 1:` }, id: word })),
      ),
      answer('Found.'),
    );
    const next = [...history(words[at]!), { role: 'assistant' as const, content: 'Seen, too.' }];
    await proxy.ask({ messages: [...next, user('Find.')], tools: clientTools }, headers);
    const [first, second] = upstream.requests.splice(0);
    const prompt = bytesOf(first!.body.messages);
    expect(words.filter((word) => prompt.includes(word))).toEqual([words[at]]);
    const found = ownResults(second!.body.messages).map(({ total }) => Number(total));
    // The chats of one project share its store.
    expect(found.map((total) => total > 0)).toEqual(words.map((_, other) => other < 2 === at < 2));
  }
});
