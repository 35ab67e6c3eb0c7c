import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { CliHome, type CliResult } from '../support/cli.ts';
import { recordChat } from '../support/recorded-chat.ts';
import { startScriptedUpstream } from '../support/scripted-upstream.ts';

/** A folder of the test's own, gone afterwards; in it the traces and the data directory. */
let folder = '';
let traces = '';
let dataDir = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-replay-test-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  traces = join(folder, 'traces');
  dataDir = join(folder, 'data');
});

/** Records the conversation. */
async function record(env: Readonly<Record<string, string>> = {}): Promise<void> {
  await recordChat({ traces, dataDir }, env);
}

/** Runs `replay` as a user does. */
async function replay(...args: readonly string[]): Promise<CliResult> {
  using home = new CliHome();
  return await home.runHere(['replay', ...args]);
}

async function turnNames(): Promise<readonly string[]> {
  return (await readdir(traces)).filter((name) => name.includes('-req_')).toSorted();
}

test('turns that were recorded are the same when they are played again, and nothing of the machine is touched', async () => {
  await record();
  await using provider = await startScriptedUpstream();
  using home = new CliHome();
  const { code, stdout, stderr } = await home.runHere(['replay', traces], {
    RLM_UPSTREAM_BASE_URL: provider.baseURL,
  });
  expect(provider.requests).toEqual([]);
  expect(existsSync(home.dataDir)).toBe(false);
  expect(stderr).toBe('');
  expect(stdout).toContain('3 turns: 3 the same, 0 different, 0 not played.');
  expect(code).toBe(0);
  const { stdout: json } = await replay(traces, '--json');
  const told = JSON.parse(json) as { turns: { requests: object[]; notes: string[] }[] };
  expect(told.turns.map(({ requests }) => requests.length)).toEqual([3, 6, 1]);
  expect(told.turns.flatMap(({ notes }) => notes)).toEqual([]);
});

test('a turn alone is played over texts that stand in for those before it', async () => {
  await record({ RLM_TRACE_TEXTS: '1' });
  const [, second = ''] = await turnNames();
  const { code, stdout } = await replay(join(traces, second));
  expect(stdout).toContain('1 turn: 1 the same');
  expect(code).toBe(0);
});

test('without its texts a turn alone says that they are missing', async () => {
  await record();
  const [, second = ''] = await turnNames();
  const { code, stdout } = await replay(join(traces, second));
  expect(stdout).toContain('are not in the trace');
  expect(stdout).toContain('RLM_TRACE_TEXTS=1');
  expect(code).toBe(1);
});

test('where a prompt is another one, it says where, with what stands there', async () => {
  await record();
  const [, second = ''] = await turnNames();
  const path = join(traces, second, 'upstream-2.request.body');
  const body = JSON.parse(await readFile(path, 'utf8')) as { messages: { content: string }[] };
  body.messages[0]!.content = body.messages[0]!.content.replace('coding', 'c\u001B[31mding');
  await writeFile(path, JSON.stringify(body));
  const { code, stdout } = await replay(traces);
  expect(code).toBe(1);
  expect(stdout).toContain('3 turns: 2 the same, 1 different');
  expect(stdout).toMatch(/request 2 differs at messages\[0\]\.content, character \d+/);
  // No character of a trace steers the terminal.
  expect(stdout).not.toContain('\u001B');
  expect(stdout).toContain(String.raw`c\u001b[31mding`);
});

test('a trace of an earlier version is played as far as it goes', async () => {
  await record();
  const [first = ''] = await turnNames();
  for (const name of ['sessions.json']) await rm(join(traces, first, name));
  const memory = join(traces, first, 'memory.json');
  const { present: _, ...older } = JSON.parse(await readFile(memory, 'utf8')) as { present: [] };
  await writeFile(memory, JSON.stringify(older));
  const { code, stdout } = await replay(join(traces, first));
  expect(stdout).toContain('note: The trace is of an earlier version');
  expect(stdout).toContain('1 turn: 1 the same');
  expect(code).toBe(0);
});

test.each([
  ['another version', 'request.json', '{"version":2}'],
  ['no JSON', 'turn.json', '{'],
  [
    'a number of requests that would never end',
    'turn.json',
    '{"version":1,"upstreamRequests":1e9}',
  ],
  ['a path that is none of ours', 'request.json', '{"version":1,"path":"http://example.com/"}'],
  ['settings that no version has', 'settings.json', '{"version":1,"settings":{"inject":"maybe"}}'],
])('a trace with %s is named, and the others are played', async (_, name, content) => {
  await record();
  const [, , third = ''] = await turnNames();
  await writeFile(join(traces, third, name), content);
  const { code, stdout } = await replay(traces);
  expect(stdout).toContain('3 turns: 2 the same, 0 different, 1 not played.');
  expect(stdout).toMatch(/note: (.*is not of this form|The settings have a fault\.\n {4}.*inject)/);
  expect(code).toBe(1);
});

test('a trace whose files are links is not followed out of its folder', async () => {
  await record();
  const [first = ''] = await turnNames();
  const secret = join(folder, 'secret');
  await cp(join(traces, first, 'request.body'), secret);
  await rm(join(traces, first, 'request.body'));
  await symlink(secret, join(traces, first, 'request.body'));
  const { code, stdout } = await replay(join(traces, first));
  expect(stdout).toContain('request.body cannot be read (ELOOP)');
  expect(code).toBe(1);
});

test.each([[['/nowhere/at/all']], [[tmpdir()]]])('%s is no folder of traces', async (args) => {
  const { code, stderr } = await replay(...args);
  expect(stderr).toMatch(/There is no folder|no turn is written down/);
  expect(code).toBe(2);
});
