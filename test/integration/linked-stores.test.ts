import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { CliHome, type CliResult } from '../support/cli.ts';
import { clientTools, user } from '../support/conversation.ts';
import {
  answer,
  callTools,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

/** Stores that people have linked, as a chat's model and the commands reach them. */

const line = 'retry limit is 17 in the api';

/** A home with the stores of two projects, `shop` and `api`, behind a server. */
async function linkedHome() {
  const home = new CliHome();
  const upstream = await startScriptedUpstream();
  const env = {
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_MODEL: 'scripted',
    RLM_UPSTREAM_API_KEY: 'key',
  };
  let server = await home.serveHere(env);
  const directory = (name: string): string => join(home.folder, name);
  const run = async (...args: string[]): Promise<CliResult> => home.runHere(args);
  for (const [name, text] of [
    ['shop', 'a shop\nits retry limit is 3\n'],
    ['api', `an api\n${line}\n`],
  ] as const) {
    mkdirSync(directory(name));
    writeFileSync(join(directory(name), 'notes.txt'), text);
    await run('ingest', join(directory(name), 'notes.txt'), '--directory', directory(name));
  }
  return {
    upstream,
    home,
    directory,
    run,
    restart: async () => {
      await server[Symbol.asyncDispose]();
      server = await home.serveHere(env);
    },
    post: async (messages: readonly Message[], chat: string): Promise<Message & Usage> => {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-rlm-directory': directory('shop'),
          'x-session-id': chat,
        },
        body: JSON.stringify({ model: 'scripted', messages, tools: clientTools }),
      });
      expect(response.status).toBe(200);
      const { choices, usage } = (await response.json()) as {
        readonly choices: readonly { readonly message: Message }[];
        readonly usage: unknown;
      };
      return { ...(choices[0]?.message as Message), usage };
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    },
  };
}

interface Usage {
  readonly usage: unknown;
}

/** Definitions of our tools in each request that went up, as bytes. */
function definitionsIn({ requests }: ScriptedUpstream): readonly string[] {
  return requests.map(({ body }) => JSON.stringify(body.tools?.slice(clientTools.length)));
}

function lastResult({ requests }: ScriptedUpstream): string {
  const { content } = requests.at(-1)!.body.messages.at(-1)!;
  return typeof content === 'string' ? content : JSON.stringify(content);
}

describe('a chat in a store that is linked to another one', () => {
  test('searches both, reads back what is shown, and what it cites is found there', async () => {
    await using bench = await linkedHome();
    const { upstream, run, post, directory } = bench;
    expect(await run('sessions', 'link', directory('shop'), directory('api'))).toMatchObject({
      code: 0,
    });
    const said = `The limit is 17, api:e1:\n> ${line}`;
    const turn = async (): Promise<Message & Usage> => {
      upstream.script(
        callTools({ name: 'rlm_search', args: { words: 'limit' } }),
        callTools({ name: 'rlm_search', args: { pattern: 'retry limit', scope: 'linked' } }),
        callTools({ name: 'rlm_get_context', args: { entry: 'api:e1', line: 2, lines: 1 } }),
        answer(said),
      );
      return post([user('What is the retry limit?')], `chat-${upstream.requests.length}`);
    };
    const { content, usage } = await turn();
    expect(content).toBe(said);
    const [dormant, ...active] = definitionsIn(upstream);
    expect(dormant).not.toContain('scope');
    expect(active[0]).toContain('all linked stores. Or');
    expect(new Set(active).size).toBe(1);
    const results = upstream.requests.at(-1)!.body.messages.filter(({ role }) => role === 'tool');
    expect(results.at(-2)?.content).toContain('2 matching lines in 2 stores (this one 1, api 1):');
    expect(results.at(-2)?.content).toContain(`api:e1 ${join(directory('api'), 'notes.txt')}`);
    expect(results.at(-1)?.content).toMatch(/^\[api:e1 .*lines 2-2 of 2.*\]\nretry limit is 17/);
    const system = JSON.stringify(upstream.requests.at(-1)!.body.messages[0]);
    expect(system).toContain(`api (${directory('api')})`);
    // A machine that is very busy leaves some quotes unchecked, and says so.
    const quotes = (of: unknown): unknown =>
      (of as { readonly rlm?: { readonly quotes?: unknown } } | undefined)?.rlm?.quotes;
    let told = quotes(usage);
    for (let tries = 0; tries < 5 && JSON.stringify(told).includes('"found":0'); tries += 1)
      told = quotes((await turn()).usage);
    expect(told).toMatchObject({ found: 1, places: [{ quote: line, entry: 'api:e1', line: 2 }] });
  });

  test('has the same definitions in every turn, whatever is linked and unlinked meanwhile', async () => {
    await using bench = await linkedHome();
    const { upstream, run, post, directory } = bench;
    const [shop, api] = [directory('shop'), directory('api')];
    const history: Message[] = [];
    const turn = async (chat: string, args: object): Promise<string> => {
      upstream.script(callTools({ name: 'rlm_search', args }), answer('Ah.'));
      history.push(user(`Look for ${JSON.stringify(args)}.`));
      const { usage: _usage, ...message } = await post(history, chat);
      const result = lastResult(upstream);
      history.push(message);
      return result;
    };
    await turn('old', { words: 'limit' });
    const before = definitionsIn(upstream).at(-1);
    expect(before).not.toContain('scope');
    await run('sessions', 'link', shop, api);
    // It was told nothing of links: a search that finds nothing says that there are some.
    expect(await turn('old', { pattern: '17' })).toContain('"scope": "linked" searches them');
    expect(await turn('old', { pattern: '17', scope: 'linked' })).toContain(`api:e1`);
    expect(definitionsIn(upstream).at(-1)).toBe(before);
    history.length = 0;
    await turn('new', { words: 'limit' });
    const linked = definitionsIn(upstream).at(-1);
    expect(linked).toContain('scope');
    await run('sessions', 'unlink', shop, 'api');
    const unlinked = await turn('new', { pattern: '17', scope: 'linked' });
    expect(unlinked).toMatch(/^0 matching lines: .*\nnote: No stores are linked to this one/);
    await bench.restart();
    await turn('new', { pattern: 'api:' });
    expect(definitionsIn(upstream).at(-1)).toBe(linked);
    await run('sessions', 'link', shop, api, '--as', 'other');
    expect(await turn('new', { pattern: '17', scope: 'linked' })).toContain('other:e1');
    expect(await turn('new', { pattern: '17', scope: 'api' })).toBe(
      'error: There is no linked store "api" here; there is other.',
    );
    expect(definitionsIn(upstream).at(-1)).toBe(linked);
  });
});

describe('commands', () => {
  test('link, show and unlink say whose is what, and what is wrong is answered', async () => {
    await using bench = await linkedHome();
    const { run, directory } = bench;
    const [shop, api] = [directory('shop'), directory('api')];
    const fault = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await run('sessions', ...args);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await fault('link', shop, directory('ap'))).toMatch(
      /There is no store of .*\/ap\.\s+The nearest there are: .*\/api/,
    );
    expect(await fault('link', shop, shop)).toContain('need not be linked to itself');
    for (const name of ['e7', 'Api', 'a b', 'linked', '12', '-a', 'x'.repeat(40)])
      expect(await fault('link', shop, api, `--as=${name}`)).toContain('The name "');
    expect((await run('sessions', 'link', shop, api)).stdout).toContain(
      '~/shop reads ~/api as api.',
    );
    expect(await fault('link', shop, api)).toContain('is linked already, as api.');
    expect((await run('sessions', 'link', api, shop, '--json')).stdout).toContain('"as": "shop"');
    const shown = (await run('sessions', 'show', shop)).stdout;
    expect(shown).toContain('reads:\n  api: ~/api\n');
    expect(shown).toContain('is read by:\n  ~/api\n    as shop\n');
    expect((await run('sessions')).stdout).toContain('  reads api: ~/api');
    expect(await fault('unlink', shop, 'apo')).toMatch(/has no link to apo\.\s+Its links are: api/);
    expect((await run('sessions', 'unlink', shop, api)).stdout).toContain(
      'not read as api any more',
    );
    expect((await run('sessions', 'show', shop, '--json')).stdout).toContain('"links": []');
  });

  test('search, find, get and stats reach linked stores, and all stores of the machine', async () => {
    await using bench = await linkedHome();
    const { run, directory } = bench;
    const [shop, api] = [directory('shop'), directory('api')];
    const inShop = async (...args: string[]): Promise<string> =>
      (await run(...args, '--directory', shop)).stdout;
    const files = { shop: join(shop, 'notes.txt'), api: join(api, 'notes.txt') };
    const lines = `${files.shop}:2:its retry limit is 3\napi:${files.api}:2:${line}\n`;
    expect(await inShop('search', '--all', 'limit')).toBe(lines);
    await run('sessions', 'link', shop, api);
    expect(await inShop('search', '--scope', 'linked', 'limit')).toBe(lines);
    expect(await inShop('find', '--scope', 'linked', 'is 17')).toContain(`api:${files.api}:2:`);
    expect(await inShop('search', '--scope', 'linked', '-c', 'limit')).toBe('2\n');
    expect(await inShop('search', '--scope', 'linked', '-l', 'limit')).toContain(
      `api:${files.api}`,
    );
    // What was printed is a place that `get` takes.
    const place = `api:${files.api}:2`;
    expect(await inShop('get', place, '-C', '0')).toBe(`${line}\n`);
    expect(await inShop('get', 'api:e1:2', '-C', '0')).toBe(`${line}\n`);
    expect(await inShop('get', 'e1', '--scope', 'api')).toBe(`an api\n${line}\n`);
    const json = (await inShop('search', '--scope', 'linked', '--json', 'is 17')).split('\n');
    expect(JSON.parse(json[0]!)).toMatchObject({ type: 'match', store: 'api', entry: 'api:e1' });
    const stats = await inShop('stats');
    expect(stats).toContain('api: 1 entry, 36 characters, ~/api');
    expect(await inShop('stats', '--scope', 'linked')).toContain('--- linked as api: ~/api');
    const nothing = await run('search', 'is 17', '--directory', shop);
    expect(nothing.stderr).toContain('`--scope linked` searches them, too');
    // A place that has no store of its own sees all of them by their names.
    const elsewhere = await run('search', '--all', 'limit', '--directory', bench.home.folder);
    expect(elsewhere.stdout).toBe(`shop:${lines}`);
    const listed = JSON.parse((await run('sessions', '--json')).stdout) as readonly {
      readonly id: string;
      readonly directory: string;
    }[];
    const id = listed.find((one) => one.directory === api)?.id ?? '';
    await run('sessions', 'rm', id, '--yes');
    expect((await run('sessions', 'show', shop)).stdout).toContain('    DELETED: nothing of it');
    expect((await run('sessions')).stdout).toContain('    DELETED: nothing of it');
    const gone = await run('search', '--scope', 'linked', 'limit', '--directory', shop);
    expect(gone.stdout).toBe(`${files.shop}:2:its retry limit is 3\n`);
    expect(gone.stderr).toContain(`The linked store api (${api}) was deleted`);
    expect((await run('sessions', 'unlink', shop, 'api')).code).toBe(0);
  });
});
