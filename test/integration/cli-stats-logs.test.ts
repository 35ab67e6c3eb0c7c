import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { Terminal } from '../support/terminal.ts';

const message = 'spread over a line. '.repeat(60);

/** A chat in which a command was run; what it has put out and what the user has said are stored. */
async function chat(url: string, directory: string): Promise<void> {
  const args = JSON.stringify({ command: `npm run build \\\n  -- --${'very-'.repeat(20)}long` });
  const call = { id: 'c1', type: 'function', function: { name: 'bash', arguments: args } };
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'opencode/1.18.33',
      'x-rlm-directory': directory,
    },
    body: JSON.stringify({
      model: 'rlm-internal.rlm-core-v1',
      messages: [
        { role: 'user', content: message },
        { role: 'assistant', content: '', tool_calls: [call] },
        { role: 'tool', tool_call_id: 'c1', content: 'a line of the build\n'.repeat(50) },
        { role: 'user', content: 'thanks' },
      ],
    }),
  });
  expect(reply.status).toBe(200);
  await reply.text();
}

test('stats names an entry by its command or its first words, on a terminal as far as there is room', async () => {
  using home = new CliHome();
  const project = join(home.folder, 'project');
  await using server = await home.serveHere();
  await chat(server.url, project);
  const { stdout } = await home.runHere(['stats', '--directory', project]);
  const lines = stdout.split('\n');
  const titles = lines.slice(lines.indexOf('newest:') + 1).map((line) => line.trim());
  expect(titles[0]).toMatch(/^e2 .* bash {2}npm run build \\ -- --very-(?:very-)+/);
  expect(titles[1]).toMatch(/^e1 .* user_text {2}spread over a line\. /);
  expect(lines).toContainEqual(expect.stringMatching(/^[\d,]+ characters, 5\d lines, 2 entries$/));
  expect(lines).toContainEqual(
    expect.stringMatching(/^ {2}tool_result +1 entry +1,000 characters$/),
  );

  using terminal = new Terminal(home, `stats --directory ${project}`);
  await terminal.says(/^ {2}e1 .* spread over a line\. .*…$/m);
  await terminal.says(/^ {2}e2 .* bash {2}npm run build \\ -- --very-.*…$/m);
  expect(Math.max(...terminal.plain.split('\n').map((line) => line.length))).toBeLessThanOrEqual(
    80,
  );
});

test('logs shows lines for people on a terminal, and each as it was written in a pipe', async () => {
  using home = new CliHome();
  const started = await home.run(['serve', '--background']);
  expect(started.code).toBe(0);
  try {
    const url = /http:\/\/\S+\d/.exec(started.stdout)?.[0] ?? '';
    await chat(url, join(home.folder, 'my-app'));
    using terminal = new Terminal(home, 'logs --follow');
    // Written when the reply is over.
    await terminal.says(/^\d\d:\d\d OpenCode my-app {2}.* 1 step\b.*\d+\.\ds$/m);
    expect(terminal.plain).not.toContain('{"');

    const piped = await home.run(['logs']);
    const records = piped.stdout
      .trimEnd()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as object);
    expect(records).toContainEqual(
      expect.objectContaining({ msg: 'turn', directory: join(home.folder, 'my-app'), steps: 1 }),
    );
    const last = await home.run(['logs', '-n', '1']);
    expect(last.stdout).toBe(piped.stdout.slice(-last.stdout.length));
    expect(last.stdout.trimEnd()).not.toContain('\n');
  } finally {
    await home.run(['stop']);
  }
});
