import assert from 'node:assert/strict';
import { logFile } from '../log-file.ts';
import { call, say, search, textOf } from '../model.ts';
import type { Play } from '../play.ts';

/** What the whole request may have at most when the output has left it, bytes. */
const maxRequestBytes = 60_000;

/**
 * 2 MB of output: through the wire where OpenCode's cut is lifted, else through the file that it
 * saves.
 */
export function bigOutput({ isLifted }: { readonly isLifted: boolean }): Play {
  const log = logFile('ZX4417', 2_000_000);
  return {
    name: isLifted ? '2 MB of output, whole' : '2 MB of output, cut by OpenCode',
    stage: { liftToolOutput: isLifted },
    script: {
      FINDIT: [
        call('FINDIT', log.print),
        call('FINDIT', search('checkpoint \\w+ saved')),
        say(
          (view) => `The line is: ${/checkpoint \w+ saved[^"]*/.exec(view.results[0] ?? '')?.[0]}`,
        ),
      ],
    },
    run: async ({ stage, check }) => {
      const { upstream, relay, opencode, project } = stage;
      await log.write(project);
      const run = await opencode.run('FINDIT please', '--title', 'Finding');
      const sent = relay.exchanges.at(-1)?.requestBody.toString() ?? '';
      await check('OpenCode sent what it was set to send', () => {
        assert.equal(relay.exchanges.length, 2);
        assert.equal(sent.includes(log.line), isLifted);
        assert.equal(sent.length > 2_000_000, isLifted, `${sent.length} bytes`);
        if (!isLifted) assert.match(sent, /Full output saved to: /);
      });
      await check(`each request upstream has less than ${maxRequestBytes} bytes`, () => {
        const sizes = upstream.requests.map((request) => request.rawBody.length);
        assert.equal(sizes.length, 3);
        for (const size of sizes) assert.ok(size < maxRequestBytes, sizes.join(', '));
      });
      await check('what has left is in the store whole, and the model is told', () => {
        const stub = upstream.requests[1]?.body.messages.at(-1);
        assert.match(textOf(stub), new RegExp(`\\b${log.text.length} characters`));
      });
      await check('a search of the model finds its line', () => {
        const result = upstream.requests[2]?.body.messages.at(-1);
        assert.equal(result?.role, 'tool');
        assert.ok(String(result?.content).includes(log.line), String(result?.content));
      });
      await check('the answer reaches the user', () => {
        assert.equal(run.text, `The line is: ${log.line}`);
        assert.deepEqual(run.tools, ['bash']);
      });
    },
  };
}
