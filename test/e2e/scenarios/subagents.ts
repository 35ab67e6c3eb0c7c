import assert from 'node:assert/strict';
import { logFile } from '../log-file.ts';
import { bash, call, say, search, textOf, type Move, type ScriptedCall } from '../model.ts';
import type { Play } from '../play.ts';

/** Two subagents at once that search what their parent has seen. */
export function subagents(): Play {
  const log = logFile('SUB5530', 100_000);
  const both = meeting(2);
  const subagent = (cue: string): readonly Move[] => [
    async (view) => {
      // Neither is answered before the other has asked: they really run at once.
      await both.arrive();
      return call(cue, search(log.token), bash(`echo ${cue}-in-the-shell`))(view);
    },
    call(cue, search('worker 3 finished')),
    say(`${cue} found it`),
  ];
  return {
    name: 'two subagents at once',
    script: {
      DELEGATE: [
        call('DELEGATE', log.print),
        call('DELEGATE', task('ALPHAJOB', 'general'), task('BETAJOB', 'general')),
        say(
          (view) =>
            `Both: ${view.results.map((result) => /\w+ found it/.exec(result)?.[0]).join(', ')}`,
        ),
      ],
      ALPHAJOB: subagent('ALPHAJOB'),
      BETAJOB: subagent('BETAJOB'),
    },
    run: async ({ stage, check }) => {
      const { upstream, relay, opencode, project } = stage;
      await log.write(project);
      const run = await opencode.run('DELEGATE please', '--title', 'Delegating');
      const ofJob = (cue: string) =>
        upstream.requests.filter(({ body }) =>
          body.messages.some((message) => message.role === 'user' && textOf(message).includes(cue)),
        );
      await check('both work, and their parent gets both results', () => {
        assert.equal(run.text, 'Both: ALPHAJOB found it, BETAJOB found it');
        assert.equal(upstream.mostOverlap, 2);
        assert.equal(
          relay.exchanges.filter(({ headers }) => headers['x-parent-session-id'] !== undefined)
            .length,
          4,
        );
      });
      await check('both find what their parent has stored: there is one store', async () => {
        assert.deepEqual(Object.keys(await stage.mappings()), [project]);
        for (const cue of ['ALPHAJOB', 'BETAJOB']) {
          const requests = ofJob(cue);
          assert.equal(requests.length, 3, cue);
          const [found] = requests[1]?.body.messages.slice(-2) ?? [];
          assert.ok(textOf(found).includes(log.line), textOf(found));
        }
      });
      await check('nothing of one is in the other', () => {
        const texts = (cue: string): string =>
          ofJob(cue)
            .map(({ rawBody }) => rawBody.toString())
            .join();
        assert.doesNotMatch(texts('ALPHAJOB'), /BETAJOB/);
        assert.doesNotMatch(texts('BETAJOB'), /ALPHAJOB/);
      });
    },
  };
}

function task(cue: string, agent: string): ScriptedCall {
  return {
    name: 'task',
    args: { description: 'Look it up', prompt: `${cue}: find it`, subagent_type: agent },
  };
}

/** A place where so many must be before any goes on. */
function meeting(size: number): { arrive(): Promise<void> } {
  const complete = Promise.withResolvers<void>();
  let present = 0;
  return {
    arrive: () => {
      present += 1;
      if (present === size) complete.resolve();
      return complete.promise;
    },
  };
}
