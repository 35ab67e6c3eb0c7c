import { callName } from '../../../src/wire/calls.ts';
import assert from 'node:assert/strict';
import type { PlainRequest } from '../../../src/wire/types.ts';
import { assertExtends, assertUntouched } from '../laws.ts';
import { logFile } from '../log-file.ts';
import { bash, call, kindOf, say, search, textOf } from '../model.ts';
import type { Play } from '../play.ts';
import { requestOf } from '../relay.ts';

/**
 * One turn with a mixed step and a hidden one, then the chat goes on in another OpenCode and
 * another proxy.
 */
export function mixedStep(): Play {
  const log = logFile('QR9021', 100_000);
  const pasted = logFile('PA6402', 20_000);
  return {
    name: 'a mixed step, then --continue',
    script: {
      FIRSTTURN: [
        call('FIRSTTURN', log.print),
        call('FIRSTTURN', search(log.token), bash('echo from-the-shell')),
        call('FIRSTTURN', search('worker 3'), search('no such line')),
        say('The first answer, after a mixed step and a hidden one.'),
      ],
      SECONDTURN: [
        call('SECONDTURN', search(log.token)),
        say('The second answer, from what the first turn has stored.'),
      ],
      THIRDTURN: [say('The third answer.')],
      OTHERCHAT: [call('OTHERCHAT', search(log.token)), say('Another chat knows it at once.')],
    },
    run: async ({ stage, check }) => {
      const { upstream, relay, opencode, project } = stage;
      await log.write(project);
      const first = await opencode.run('FIRSTTURN please', '--title', 'Mixed');
      await check('OpenCode runs its own call of the mixed step and nothing else', () => {
        assert.deepEqual(first.tools, ['bash', 'bash']);
        assert.match(first.text, /^The first answer/);
      });
      await check('the next request has both calls and both results, in order', () => {
        const tail = upstream.requests[2]?.body.messages.slice(-3) ?? [];
        const [turn, found, shell] = tail;
        const names = turn?.tool_calls?.map(callName);
        assert.deepEqual(names, ['rlm_search', 'bash']);
        assert.ok(textOf(found).includes(log.line), textOf(found));
        assert.equal(textOf(shell).trim(), 'from-the-shell');
      });
      await stage.restartProxy();
      const second = await opencode.run('SECONDTURN please', '--continue');
      await opencode.run('THIRDTURN please', '--continue');
      await check('each request begins with the bytes of the one before', () => {
        const [, ...active] = upstream.requests;
        assert.equal(upstream.requests.length, 7);
        for (const [index, request] of active.slice(1).entries())
          assertExtends(active[index] ?? request, request);
      });
      await check('though OpenCode never had the hidden steps', () => {
        assert.match(second.text, /^The second answer/);
        const replayed = requestOf(relay.exchanges.at(-1)!).messages;
        const calls = replayed.flatMap((message) => message.tool_calls ?? []);
        assert.deepEqual(calls.map(callName), ['bash', 'bash']);
      });
      const played = { sent: relay.exchanges.length, got: upstream.requests.length };
      await opencode.run(`${pasted.text}\nOTHERCHAT please`);
      await check('another chat in the directory searches from its first request on', () => {
        const main = upstream.requests
          .slice(played.got)
          .map(({ body }) => body)
          .filter((body) => kindOf(body) === 'main')[1];
        assert.ok(textOf(main?.messages.at(-1)).includes(log.line), 'what the search has found');
      });
      await check('what was pasted into it leaves the prompt, the question stays', () => {
        const asked = upstream.requests.map(({ body }) => textOf(body.messages[1])).at(-1) ?? '';
        assert.match(asked, /OTHERCHAT please/);
        assert.doesNotMatch(asked, new RegExp(pasted.line));
      });
      await check('but its title is asked for as OpenCode has done it', () => {
        const isTitle = (body: PlainRequest): boolean => kindOf(body) === 'title';
        const sent = relay.exchanges.slice(played.sent).map(requestOf).find(isTitle);
        const got = upstream.requests.map(({ body }) => body).filter(isTitle);
        assert.equal(got.length, 1);
        assertUntouched(sent as PlainRequest, got[0] as PlainRequest);
      });
    },
  };
}
