import assert from 'node:assert/strict';
import { assertUntouched } from '../laws.ts';
import { bash, call, kindOf, say } from '../model.ts';
import { modelName } from '../opencode.ts';
import type { Play } from '../play.ts';
import { requestOf } from '../relay.ts';

/** A chat with nothing large in it costs nothing: what OpenCode sends is what the upstream gets. */
export function smallChat(): Play {
  return {
    name: 'a small chat',
    script: {
      SMALLTALK: [call('SMALLTALK', bash('echo hello')), say('It said hello.')],
    },
    run: async ({ stage, check }) => {
      const { upstream, relay, opencode } = stage;
      const listed = await opencode.command('models');
      await check('opencode models lists ours after the installer has run', () => {
        assert.equal(listed.code, 0, listed.stderr);
        assert.ok(listed.stdout.split('\n').includes(modelName), listed.stdout);
      });
      const run = await opencode.run('SMALLTALK please');
      const sent = relay.exchanges.map(requestOf);
      await check('one request upstream for each of OpenCode, none of them changed', () => {
        const got = upstream.requests.map(({ body }) => body);
        assert.deepEqual(sent.map(kindOf).toSorted(), ['main', 'main', 'title']);
        assert.equal(got.length, 3);
        for (const kind of ['main', 'title'] as const) {
          const [sentOfKind, gotOfKind] = [sent, got].map((all) =>
            all.filter((body) => kindOf(body) === kind),
          );
          for (const [index, body] of (sentOfKind ?? []).entries())
            assertUntouched(body, gotOfKind?.[index] ?? body);
        }
      });
      await check('the answer reaches the user', () => assert.equal(run.text, 'It said hello.'));
    },
  };
}
