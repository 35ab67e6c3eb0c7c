import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { logFile } from '../log-file.ts';
import { call, say, search, textOf } from '../model.ts';
import type { Play } from '../play.ts';
import { requestOf } from '../relay.ts';

/**
 * Large texts that come in other ways than from the shell: a file beside the question, a page whose
 * end OpenCode cuts off.
 */
export function attachedAndFetched(): Play {
  const attached = logFile('AT3306', 40_000);
  const page = logFile('WF8181', 400_000);
  const pages = createServer((_, response) => {
    response.setHeader('content-type', 'text/plain').end(page.text);
  });
  return {
    name: 'an attached file and a fetched page',
    script: {
      LOOKINTO: [
        call('LOOKINTO', search(attached.token)),
        (view) =>
          call('LOOKINTO', {
            name: 'webfetch',
            args: { url: originOf(pages), format: 'text' },
          })(view),
        call('LOOKINTO', search(page.token)),
        say('Both are found.'),
      ],
    },
    run: async ({ stage, check }) => {
      const { upstream, relay, opencode, project } = stage;
      await attached.write(project);
      await using stack = new AsyncDisposableStack();
      stack.adopt(await listening(pages), closed);
      const run = await opencode.run('LOOKINTO please', '--title', 'Looking', '-f', attached.name);
      const [first, second, third, fourth] = upstream.requests.map(({ body }) => body);
      await check('the file leaves the prompt and the question stays', () => {
        const sent = textOf(requestOf(relay.exchanges[0]!).messages[1]);
        assert.ok(sent.includes(attached.line), 'OpenCode has sent it');
        const got = textOf(first?.messages[1]);
        assert.ok(!got.includes(attached.line) && got.length < 10_000, `${got.length} characters`);
        assert.match(got, /LOOKINTO please/);
      });
      await check('its line is found', () => {
        assert.ok(textOf(second?.messages.at(-1)).includes(attached.line));
      });
      await check('the page is stored whole, though OpenCode has sent its beginning only', () => {
        const sent = textOf(requestOf(relay.exchanges[1]!).messages.at(-1));
        assert.match(sent, /Full output saved to: /);
        assert.ok(!sent.includes(page.line));
        assert.match(
          textOf(third?.messages.at(-1)),
          new RegExp(`\\b${page.text.length} characters`),
        );
      });
      await check('its line is found too, and the user gets the answer', () => {
        assert.ok(textOf(fourth?.messages.at(-1)).includes(page.line));
        assert.equal(run.text, 'Both are found.');
        assert.deepEqual(run.tools, ['webfetch']);
      });
    },
  };
}

async function listening(server: Server): Promise<Server> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/page`;
}
