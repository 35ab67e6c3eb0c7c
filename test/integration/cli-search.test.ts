import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';

const home = new CliHome();
const project = join(home.folder, 'project');
const link = join(home.folder, 'link');
const log = Array.from({ length: 3000 }, (_, index) => `line ${index} 💚 value=${index % 7}`);
const stored = [...log, 'ERROR needle-42 here', 'Error: needle-43'].join('\n');
let server: Awaited<ReturnType<CliHome['serveHere']>> | undefined;

/** Stores a tool output the way a client does: by a chat request. */
beforeAll(async () => {
  mkdirSync(join(project, 'src'), { recursive: true });
  symlinkSync(project, link);
  server = await home.serveHere();
  const call = { id: 'c1', type: 'function', function: { name: 'bash', arguments: '{}' } };
  const reply = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-rlm-directory': link },
    body: JSON.stringify({
      model: 'rlm-internal.rlm-core-v1',
      messages: [
        { role: 'user', content: 'build' },
        { role: 'assistant', content: '', tool_calls: [call] },
        { role: 'tool', tool_call_id: 'c1', content: stored },
        { role: 'user', content: 'thanks' },
      ],
    }),
  });
  await reply.text();
});
afterAll(() => home[Symbol.dispose]());

const here = ['--directory', project];

describe.each(['through the server', 'without one'])('%s', (how) => {
  test('search, find, count, context, filters, and their exit codes', async () => {
    if (how === 'without one') await server?.[Symbol.asyncDispose]();
    const run = async (...args: string[]) => {
      const { code, stdout } = await home.runHere([...args, ...here]);
      return [code, stdout];
    };
    expect(await run('search', 'needle-\\d+')).toEqual([
      0,
      'e1:3001:ERROR needle-42 here\ne1:3002:Error: needle-43\n',
    ]);
    expect(await run('search', 'needle-\\d+', '--last', '-m', '1')).toEqual([
      0,
      'e1:3002:Error: needle-43\n',
    ]);
    expect(await run('find', 'error: NEEDLE', '-i')).toEqual([0, 'e1:3002:Error: needle-43\n']);
    expect(await run('search', 'needle-42', '-C', '1', '--oldest')).toEqual([
      0,
      'e1-3000-line 2999 💚 value=3\ne1:3001:ERROR needle-42 here\ne1-3002-Error: needle-43\n',
    ]);
    expect(await run('search', 'needle-42', '-A', '1', '-N')).toEqual([
      0,
      'e1:ERROR needle-42 here\ne1-Error: needle-43\n',
    ]);
    expect(await run('search', 'needle', '-w', '-c')).toEqual([0, '2\n']);
    expect(await run('search', 'needl', '-w')).toEqual([1, '']);
    expect(await run('find', 'needle-', '-l')).toEqual([0, 'e1\n']);
    expect(await run('find', 'absent', '-l')).toEqual([1, '']);
    expect(await run('search', '-F', 'value=1.', '-c')).toEqual([1, '0\n']);
    expect(await run('search', '-v', 'value=\\d', '-n')).toEqual([
      0,
      'e1:3001:ERROR needle-42 here\ne1:3002:Error: needle-43\n',
    ]);
    // A script's own name of the directory, which was the client's, too.
    const byLink = await home.runHere(['search', 'needle', '-c', '--directory', link]);
    expect(byLink.stdout).toBe('2\n');
    expect(await run('search', 'absent')).toEqual([1, '']);
    expect(await run('search', 'value=', '--tool', 'grep')).toEqual([2, '']);
    expect(await run('search', 'value=', '-c', '--tool', 'bash')).toEqual([0, '3000\n']);
    expect(await run('search', 'value=', '--since', 'sometime')).toEqual([2, '']);
  });

  test('all hits come, page after page, and as JSON lines', async () => {
    const all = await home.runHere(['search', 'value=', '--oldest', ...here]);
    expect(all.stdout.trimEnd().split('\n')).toEqual(
      log.map((line, index) => `e1:${index + 1}:${line}`),
    );
    const { stdout } = await home.runHere(['search', 'value=', '-m', '2', '--json', ...here]);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toMatchObject([
      { type: 'match', line: 1, entry: 'e1' },
      { type: 'match', line: 2 },
      { type: 'summary', total: 3000, shown: 2 },
    ]);
  });

  test('get gives the text back to the byte, in code points', async () => {
    expect((await home.runHere(['get', '--entry', 'e1', ...here])).stdout).toBe(stored);
    const get = async (...args: string[]) => (await home.runHere(['get', ...args, ...here])).stdout;
    const lines = stored.split('\n');
    expect(await get('e1:3001:ERROR needle-42 here', '-C', '1')).toBe(
      lines.slice(2999, 3002).join('\n'),
    );
    expect(await get('e1:5-6')).toBe(`${lines.slice(4, 6).join('\n')}\n`);
    expect(await get('e1', '--tail', '2')).toBe(lines.slice(-2).join('\n'));
    expect(await get('e1')).toBe(stored);
    const part = await home.runHere(['get', '--offset', '5', '--length', '4', ...here]);
    expect(part.stdout).toBe(Array.from(stored).slice(5, 9).join(''));
    expect((await home.runHere(['get', '--entry', 'e9', ...here])).code).toBe(2);
  });

  test('stats and sessions', async () => {
    const stats = await home.runHere(['stats', '--json', ...here]);
    expect(JSON.parse(stats.stdout)).toMatchObject({
      directory: project,
      by_tool: { bash: { entries: 1, characters: Array.from(stored).length } },
    });
    const then = ['stats', '--since', '2020-01-01', '--until', '2020-12-31'];
    const earlier = await home.runHere([...then, ...here]);
    expect(earlier).toMatchObject({ code: 2, stdout: '' });
    expect(earlier.stderr).toContain('Nothing was stored until "2020-12-31"');
    const sessions = await home.runHere(['sessions']);
    expect(sessions.stdout).toMatch(/^sess_[0-9a-f]+ .* 1 entry, .*\n .*project\n$/);
  });
});

test('a directory inside the project finds the store above it, unless it was named', async () => {
  const inside = join(project, 'src');
  const named = await home.runHere(['search', 'needle', '--directory', inside]);
  expect(named).toMatchObject({ code: 1, stdout: '' });
  expect(named.stderr).toContain('Nothing is stored');
});

test('an unknown or impossible session', async () => {
  for (const id of ['sess_0000000000000000', '../../etc/passwd']) {
    const { code, stderr } = await home.runHere(['search', 'x', '--session', id]);
    expect(code).toBe(2);
    expect(stderr).toContain('no session');
  }
});

test('a store is deleted only when that is confirmed', async () => {
  const { stdout } = await home.runHere(['sessions', '--json']);
  const [session] = JSON.parse(stdout) as { id: string }[];
  const id = session?.id ?? '';
  expect(await home.runHere(['sessions', 'rm', id])).toMatchObject({ code: 2, stdout: '' });
  expect((await home.runHere(['sessions'])).code).toBe(0);
  expect(await home.runHere(['sessions', 'rm', id, '--yes'])).toMatchObject({ code: 0 });
  expect((await home.runHere(['sessions'])).code).toBe(1);
});
