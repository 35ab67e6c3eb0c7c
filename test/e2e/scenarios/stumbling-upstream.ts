import assert from 'node:assert/strict';
import { cut, reply, role, status, text, type Reply } from '../../support/scripted-upstream.ts';
import { logFile } from '../log-file.ts';
import { call, say, search, type Move } from '../model.ts';
import type { Play } from '../play.ts';

/**
 * A provider in trouble: too many requests, a stream that breaks, one that just stops, each in the
 * middle of a turn.
 */
export function stumblingUpstream(): Play {
  const log = logFile('ST5150', 100_000);
  const tooMany = status(
    429,
    { error: { message: 'Rate limit reached', type: 'rate_limit_error' } },
    { 'retry-after': '1' },
  );
  return {
    name: 'an upstream that stumbles',
    script: {
      CARRYON: [
        stumbling([tooMany], call('CARRYON', log.print)),
        stumbling([reply(role(), text('Half a '), cut())], call('CARRYON', search(log.token))),
        stumbling([reply(role(), text('Half a '))], say('It has got through.')),
      ],
    },
    run: async ({ stage, check }) => {
      const { upstream, opencode, project } = stage;
      await log.write(project);
      const run = await opencode.run('CARRYON please', '--title', 'Stumbling');
      await check('the user gets the whole answer once', () => {
        assert.equal(run.text, 'It has got through.');
        assert.deepEqual(run.tools, ['bash']);
      });
      await check('and no more is asked than it takes', () => {
        // Three failures, three steps, and the hidden one again, because the answer it belonged to
        // was cut off.
        assert.ok(upstream.requests.length <= 7, `${upstream.requests.length} requests`);
      });
    },
  };
}

/** First these replies, then the move; however the request came to be repeated. */
function stumbling(replies: readonly Reply[], move: Move): Move {
  const left = [...replies];
  return (view) => left.shift() ?? move(view);
}
