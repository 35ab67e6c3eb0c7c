import { callName } from '../../../src/wire/calls.ts';
import assert from 'node:assert/strict';
import { logFile } from '../log-file.ts';
import { bash, call, say, search, textOf } from '../model.ts';
import type { Play } from '../play.ts';

/**
 * A chat whose history OpenCode rewrites (plan, build, fork), in a directory that is no repository
 * and has a name of all kinds.
 */
export function oddDirectory(): Play {
  const log = logFile('OD1208', 100_000);
  return {
    name: 'plan, build and fork in an odd directory',
    stage: { project: 'мой проект ü 项目 (100%)', isGit: false },
    script: {
      PLANNING: [
        call('PLANNING', log.print),
        call('PLANNING', search(log.token), bash('echo planned')),
        say('The plan is to look at the checkpoint once more.'),
      ],
      BUILDING: [
        call('BUILDING', search(log.token), bash('echo built')),
        say('It is built as the plan has said it.'),
      ],
      FORKING: [
        call('FORKING', search(log.token), bash('echo forked')),
        say('The fork knows all of it too.'),
      ],
    },
    run: async ({ stage, check }) => {
      const { upstream, opencode, project } = stage;
      await log.write(project);
      const plan = await opencode.run('PLANNING please', '--agent', 'plan', '--title', 'Odd');
      const build = await opencode.run('BUILDING please', '--continue', '--agent', 'build');
      const fork = await opencode.run('FORKING please', '--continue', '--fork');
      await check('each of them answers', () => {
        assert.match(plan.text, /^The plan/);
        assert.match(build.text, /^It is built/);
        assert.match(fork.text, /^The fork/);
        assert.notEqual(fork.events[0]?.sessionID, build.events[0]?.sessionID);
      });
      await check('the plan had its reminder, which was gone later', () => {
        const first = upstream.requests.map(({ body }) => textOf(body.messages[1]));
        assert.match(first[0] ?? '', /<system-reminder>/);
        assert.doesNotMatch(first.at(-1) ?? '', /<system-reminder>/);
      });
      await check('the store is that of the directory: all three find the line', async () => {
        assert.deepEqual(Object.keys(await stage.mappings()), [project]);
        const found = upstream.requests.filter(({ body }) =>
          body.messages.slice(-2).some((message) => textOf(message).includes(log.line)),
        );
        assert.equal(found.length, 3);
      });
      await check('hidden steps are woven back after plan, build and fork', () => {
        for (const request of upstream.requests.slice(3)) {
          const calls = request.body.messages.flatMap((message) => message.tool_calls ?? []);
          const names = calls.map(callName);
          assert.deepEqual(names.slice(0, 3), ['bash', 'rlm_search', 'bash']);
        }
      });
    },
  };
}
