import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { everyCommand } from '../../src/cli/nested-options.ts';
import { rlmProgram } from '../../src/cli/program.ts';
import { terminalLine } from '../../src/cli/terminal-log.ts';
import { CliHome } from '../support/cli.ts';
import { clientTools, longText, outputRequest } from '../support/conversation.ts';
import {
  answer,
  callTools,
  reply,
  role,
  stall,
  startScriptedUpstream,
  status,
  text,
} from '../support/scripted-upstream.ts';
import { Terminal, withoutColours } from '../support/terminal.ts';

function widest(shown: string): number {
  return Math.max(...shown.split('\n').map((line) => line.length));
}

test('on a terminal serve says what it is, and each turn has a line, whatever becomes of it', async () => {
  await using upstream = await startScriptedUpstream();
  using home = new CliHome();
  using terminal = new Terminal(home, 'serve', {
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_MODEL: 'scripted-model',
    RLM_STRIP_MIN_CHARS: '10000',
  });
  const [, url] = await terminal.says(/^rlm-opencode listening on (http:\S+)$/m);
  await terminal.says(
    /upstream {2}upstream: http.*\n.*scripted-model, window 128,000.*\n.*data {6}~\/data\n/,
  );
  await terminal.says(/Ctrl-C/);
  const post = async (body: object, signal?: AbortSignal): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'opencode/1.18.33',
        'x-rlm-directory': join(home.folder, 'my-app'),
      },
      body: JSON.stringify({ model: 'm', tools: clientTools, ...body }),
      signal: signal ?? null,
    });
  const { messages } = outputRequest(longText(400_000, 'x'));
  upstream.script(callTools({ name: 'rlm_find', args: { text: 'lazy' } }), answer('done'));
  await (await post({ messages })).text();
  await terminal.says(
    /^\d\d:\d\d OpenCode my-app {2}m {2}2 steps, 1 search {2}.* sent.* kept out {2}\d+\.\ds$/m,
  );

  upstream.script(status(401, { error: { message: 'bad key' } }));
  await (await post({ messages })).text();
  await terminal.says(/^\d\d:\d\d OpenCode my-app {2}refused: 401 unauthorized$/m);

  upstream.script(reply(role(), text('a'), stall()));
  const leaving = new AbortController();
  const asked = await post({ messages, stream: true }, leaving.signal);
  leaving.abort();
  await asked.text().catch(() => undefined);
  await terminal.says(/^\d\d:\d\d OpenCode my-app {2}aborted after \d+\.\ds: the client left$/m);
  expect(widest(terminal.plain)).toBeLessThanOrEqual(80);
  expect(terminal.shown).not.toContain('{"level"');
});

test('a line of the log drives no terminal, and one that is long is cut where that costs least', () => {
  const turn = {
    level: 30,
    time: 0,
    msg: 'turn',
    client: 'OpenCode',
    directory: `/home/me/${'long-name-of-a-project-'.repeat(4)}\u001b[31m`,
    model: 'upstream.maker/a-model-with-a-long-name-4.6',
    steps: 12,
    calls: 11,
    searches: 9,
    promptTokens: 1_234_567,
    largestPromptTokens: 120_000,
    estimatedPromptTokensWithout: 3_400_000,
    ms: 12_345,
  };
  const line = withoutColours(terminalLine(JSON.stringify(turn), 80));
  expect(line).toMatch(
    /^\d\d:\d\d OpenCode lo… {2}a-model-with-a-long… {2}12 steps, 9 searches {2}1\.2M sent, 3\.3M kept out {2}12\.3s\n$/,
  );
  const wide = terminalLine(JSON.stringify(turn), 300);
  expect(wide).toContain('^[[31m');
});

test('every command has help with examples', async () => {
  const program = await rlmProgram('0');
  const seen: string[] = [];
  everyCommand(program, (command) => {
    if (command === program) return;
    let help = '';
    command.configureOutput({ writeOut: (text) => void (help += text) }).outputHelp();
    if (!/^Examples:\n {2}\$ /m.test(help)) seen.push(command.name());
    const lines = help.slice(help.indexOf('Examples:')).split('\n');
    const own = lines.filter((line) => !line.includes(' setup '));
    expect(own.filter((line) => line.length > 80)).toEqual([]);
  });
  expect(seen).toEqual([]);
});

test('what is wrong is said in the words of commands, never of tools or schemas', async () => {
  using home = new CliHome();
  const file = join(home.folder, 'a.txt');
  writeFileSync(file, 'one\ntwo\n');
  await home.runHere(['ingest', file, '--directory', home.folder]);
  const here = ['--directory', home.folder];
  for (const [args, words] of [
    [['get', '--entry', 'e99', ...here], /no entry "e99".*`rlm-opencode stats` lists/],
    [['search', '', ...here], /the text is empty/],
    [['search', '--path', 'nowhere/**', 'x', ...here], /nowhere/],
  ] as const) {
    const { code, stderr } = await home.runHere(args);
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stderr).toMatch(words);
    expect(stderr).not.toMatch(/rlm_|✖|expected/);
  }
  const wrong = await home.runHere(['serve'], { RLM_PORT: 'abc', RLM_LOG_LEVEL: 'loud' });
  expect(wrong.stderr).toMatch(/server\.port \(RLM_PORT\): must be a (?:whole )?number\./);
  expect(wrong.stderr).toMatch(/logLevel \(RLM_LOG_LEVEL\): must be one of: silent, error, /);
  const read = await home.runHere(['get', 'e1', '--length', '1k', ...here]);
  expect(read).toMatchObject({ code: 0, stdout: 'one\ntwo\n' });
});

test('stats and sessions fit a terminal of 80 columns, however long a path is', async () => {
  using home = new CliHome();
  const folder = join(home.folder, 'a-folder-with-a-name/and-another-one-in-it/'.repeat(2));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'a-file-whose-name-is-long-too.txt');
  writeFileSync(file, 'one\ntwo\n');
  await home.runHere(['ingest', file, '--directory', home.folder]);
  using stats = new Terminal(home, `stats --directory ${home.folder}`);
  await stats.says(/e1 .*…\S*long-too\.txt$/m);
  using sessions = new Terminal(home, 'sessions');
  await sessions.says(/^ {2}~$/m);
  expect(widest(stats.plain)).toBeLessThanOrEqual(80);
  expect(widest(sessions.plain)).toBeLessThanOrEqual(80);
});

test('started by npm in a checkout it says how its commands come to be found, and nothing twice', async () => {
  using home = new CliHome();
  using terminal = new Terminal(home, 'serve', { npm_lifecycle_event: 'start' });
  await terminal.says(/Ctrl-C/);
  expect(terminal.plain).toMatch(/model {5}none: .*no language model\n/);
  expect(terminal.plain).toMatch(/next {6}npm link .*\n +rlm-opencode init /);
  expect(terminal.plain.match(/rlm-opencode init/g)).toHaveLength(1);
  expect(widest(terminal.plain)).toBeLessThanOrEqual(80);
});
