import { describe, expect, it } from 'vitest';
import {
  calling,
  clientTools,
  longText,
  outputRequest,
  ownResults,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startPair, startProxy, windowOf } from '../support/proxy.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { storedTexts } from '../support/stored-texts.ts';
import { isSearchResult, toolResult } from '../support/tool-results.ts';

const needle = 'token-7f3a-π🙂';

describe('a large output or message', () => {
  it('a model that asks for a tool to delete text gets a sentence; nothing is lost, nothing hangs', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(
      callTools({ name: 'rlm_forget', args: { offset: 0, length: 5 } }),
      answer('fine'),
    );
    const output = longText(20_000);
    const { message } = await proxy.ask(outputRequest(output));
    expect(message.content).toBe('fine');
    const told = upstream.requests[1]?.body.messages.at(-1);
    expect(told?.role).toBe('tool');
    expect(toolResult(told?.content)['error']).toMatch(/no tool "rlm_forget".*rlm_search/);
    expect(await storedTexts(proxy)).toEqual([`${output}\n`]);
    expect((await fetch(`${proxy.origin}/health`)).status).toBe(200);
  });

  it('a message larger than the window keeps its question, and all of it can be found', async () => {
    await using setup = await startPair(windowOf(32_000));
    const { upstream, proxy } = setup;
    const middle = longText(150_000, needle);
    const question = 'So which of these lines has the error?';
    upstream.script(
      callTools({ name: 'rlm_find', args: { text: `${needle} 77:` } }),
      answer('line 77'),
    );
    await proxy.ask({ messages: [user(`${middle}\n${longText(150_000)}\n\n${question}`)] });
    const [first, second] = upstream.requests;
    expect(first?.rawBody.length).toBeLessThan(40_000);
    expect(String(first?.body.messages.at(-1)?.content)).toContain(question);
    expect(ownResults(second?.body.messages ?? [])[0]).toMatchObject({ total: 1 });
  });

  it('a large output leaves the prompt at once; its stub names entry, size and both ends', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(answer('ok'));
    await proxy.ask(outputRequest(`the very first line\n${longText(194_000)}\nthe very last line`));
    const [request] = upstream.requests;
    expect(request?.rawBody.length).toBeLessThan(20_000);
    const stub = String(request?.body.messages[3]?.content);
    expect(stub).toMatch(/entry e1: 194\d{3} characters/);
    expect(stub).toContain('the very first line');
    expect(stub).toContain('the very last line');
    expect(request?.body.messages.slice(1, 3)).toEqual(outputRequest('').messages.slice(1, 3));
  });

  it('the end of an output over 50,000 characters is stored, too', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(callTools({ name: 'rlm_find', args: { text: needle } }), answer('found'));
    await proxy.ask(outputRequest(`${longText(60_000)}\n${needle}`));
    expect(ownResults(upstream.requests[1]?.body.messages ?? [])[0]).toMatchObject({
      total: 1,
      matches: [{ text: needle, entry: 'e1' }],
    });
  });

  it('two chats with the same first words in different directories share nothing', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise((request) =>
      request.body.messages.at(-1)?.role === 'tool' &&
      isSearchResult(request.body.messages.at(-1)?.content)
        ? answer('done')
        : callTools({
            name: 'rlm_find',
            args: { text: needle },
            id: `f${upstream.requests.length}`,
          }),
    );
    await proxy.ask(outputRequest(`${longText(20_000)}\n${needle}`, '/work/a'), {
      'x-session-id': 'ses_a',
    });
    await proxy.ask(outputRequest(longText(20_000, 'other'), '/work/b'), {
      'x-session-id': 'ses_b',
    });
    const totals = upstream.requests
      .flatMap((request) => ownResults(request.body.messages))
      .map((result) => result['total']);
    expect(totals).toEqual([1, 0]);
  });

  it('a rewritten beginning of the history finds the old entries', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(
      answer('one'),
      callTools({ name: 'rlm_find', args: { text: needle } }),
      answer('two'),
    );
    const headers = { 'x-session-id': 'ses_a' };
    await proxy.ask(outputRequest(`${longText(20_000)}\n${needle}`), headers);
    const compacted = [
      systemFor('/work/project'),
      user('What did we do so far?'),
      { role: 'assistant' as const, content: 'We ran the tests.' },
      user('go on'),
    ];
    await proxy.ask({ messages: compacted, tools: clientTools }, headers);
    expect(ownResults(upstream.requests[2]?.body.messages ?? [])[0]).toMatchObject({ total: 1 });
  });

  it('a restart and a resent history store nothing twice; a shorter history that grows stores what is new', async () => {
    await using upstream = await startScriptedUpstream();
    upstream.otherwise(answer('ok'));
    const first = await startProxy({ upstream });
    const outputs = [longText(20_000, 'a'), longText(20_000, 'b')];
    const history = [
      systemFor('/work/project'),
      user('go'),
      ...outputs.flatMap((output, index) => [
        calling(`call_${index}`, 'bash', { index }),
        resultOf(`call_${index}`, output),
      ]),
    ];
    await first.ask({ messages: history, tools: clientTools });
    await using second = await first.restart();
    await second.ask({ messages: history, tools: clientTools });
    const shorter = [
      ...history.slice(0, 4),
      calling('call_9', 'bash', {}),
      resultOf('call_9', longText(20_000, 'c')),
    ];
    await second.ask({ messages: shorter, tools: clientTools });
    const texts = [...outputs, longText(20_000, 'c')];
    expect(await storedTexts(second)).toEqual([texts.map((each) => `${each}\n`).join('')]);
    expect(
      upstream.requests[1]?.rawBody.equals(upstream.requests[0]?.rawBody ?? Buffer.alloc(0)),
    ).toBe(true);
  });

  it('offset and length read back exactly what was stored, in any script', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const output = `${'日本語テキスト🙂é '.repeat(2_000)}\n${needle}\n${'العربية 🏳️‍🌈 '.repeat(500)}`;
    upstream.script(
      callTools({ name: 'rlm_find', args: { text: needle, format: 'json' } }),
      (request) => {
        const [found] = ownResults(request.body.messages) as { matches: { offset: number }[] }[];
        const hit = found?.matches[0];
        return callTools({
          name: 'rlm_get_context',
          args: { offset: hit?.offset, length: Array.from(needle).length, format: 'json' },
          id: 'read',
        });
      },
      answer('ok'),
    );
    await proxy.ask(outputRequest(output));
    expect(ownResults(upstream.requests[2]?.body.messages ?? [])[1]).toMatchObject({
      text: needle,
      total: Array.from(output).length + 1,
    });
  });

  it('what was searched for is not found because it was searched for', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const find = (id: string) =>
      callTools({ name: 'rlm_find', args: { text: 'absent-word-99' }, id });
    upstream.script(find('f1'), find('f2'), answer('none'), find('f3'), answer('none'));
    const request = outputRequest(longText(20_000));
    await proxy.ask(request);
    await proxy.ask({
      ...request,
      messages: [...request.messages, { role: 'assistant', content: 'none' }, user('again')],
    });
    const last = ownResults(upstream.requests.at(-1)?.body.messages ?? []);
    expect(last.map((result) => result['total'])).toEqual([0, 0, 0]);
  });
});
