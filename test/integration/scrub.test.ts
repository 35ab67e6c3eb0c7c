import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { CliHome, type CliResult } from '../support/cli.ts';
import { filesBelow, holds } from '../support/files-below.ts';
import { longText, outputRequest } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { recordChat } from '../support/recorded-chat.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

let folder = '';
let traces = '';
let out = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-scrub-test-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  traces = join(folder, 'traces');
  out = join(folder, 'out');
});

const words = {
  directory: '/home/grace-hopper/secretproject',
  needle: 'sk-live-Zq81kPlutonium',
  answer: 'Überraschung: 秘密文件 says the Xylophone.',
};

/** None of these may be anywhere in what is given away. */
const needles = [
  'grace',
  'hopper',
  'secretproject',
  'plutonium',
  'zq81',
  'berraschung',
  '秘密',
  'xylophone',
];

async function run(...args: readonly string[]): Promise<CliResult> {
  using home = new CliHome();
  return await home.runHere(args);
}

test('what was said is nowhere in a scrubbed trace, which has the shape that it had and can be played', async () => {
  await recordChat({ traces, dataDir: join(folder, 'data') }, { RLM_TRACE_TEXTS: '1' }, words);
  const before = await filesBelow(traces);
  // The needles are there before.
  for (const needle of needles)
    expect([needle, before.some(({ bytes }) => holds(String(bytes), needle))]).toEqual([
      needle,
      true,
    ]);

  const scrubbed = await run('trace', 'scrub', traces, out);
  expect(scrubbed.stdout).toContain('3 turns written');
  expect(scrubbed.stdout).toContain('3 of them with the shape that they had');
  expect(scrubbed.code).toBe(0);
  const after = await filesBelow(out);
  expect(after.length).toBeGreaterThan(30);
  for (const { path, bytes } of after)
    for (const needle of needles) {
      expect([path, needle, holds(String(bytes), needle)]).toEqual([path, needle, false]);
      expect(path).not.toContain(needle);
    }

  // Its client, its directory and its tools are still known, and its searches still find.
  const told = after.map(({ bytes }) => String(bytes)).join('\n');
  expect(told).toContain('Working directory: /');
  expect(told).toMatch(/\d+ matching line|1 line/);
  const again = await run('replay', out);
  expect(again.stdout).toContain('3 turns: 3 the same');
  expect(again.code).toBe(0);
});

test('nor is it in a turn that is given away alone, with the texts that it read', async () => {
  await recordChat({ traces, dataDir: join(folder, 'data') }, { RLM_TRACE_TEXTS: '1' }, words);
  const [, second = ''] = (await readdir(traces))
    .filter((name) => name.includes('-req_'))
    .toSorted();
  const { stdout } = await run('trace', 'scrub', join(traces, second), out);
  expect(stdout).toContain('1 turn written');
  const names = ['chat-1', 'call_tester', 'call_linter'];
  for (const { path, bytes } of await filesBelow(out))
    for (const needle of [...needles, ...names])
      expect([path, needle, holds(String(bytes), needle)]).toEqual([path, needle, false]);
});

test.each([
  '<tool_call>\n{"name":"rlm_find","arguments":{"text":"Xylophone"}}\n</tool_call>',
  '<tool_call>rlm_find\n<arg_key>text</arg_key>\n<arg_value>Xylophone</arg_value>\n</tool_call>',
  '<|tool_calls_section_begin|><|tool_call_begin|>functions.rlm_find:0<|tool_call_argument_begin|>{"text":"Xylophone"}<|tool_call_end|><|tool_calls_section_end|>',
  '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>rlm_find\n```json\n{"text":"Xylophone"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
])('a call that a model has written as text is one afterwards: %s', async (written) => {
  {
    await using upstream = await startScriptedUpstream();
    const env = { RLM_TRACE_DIR: traces, RLM_TRACE_TEXTS: '1' };
    await using proxy = await startProxy({ upstream, env });
    upstream.script(answer(written), answer('It is there.'));
    const { message } = await proxy.ask(
      outputRequest(`${longText(20_000)}\nthe Xylophone\n`, words.directory),
    );
    expect(message.content).toBe('It is there.');
  }
  const { stdout, code } = await run('trace', 'scrub', traces, out);
  expect(stdout).toContain('2 requests  the same');
  expect(code).toBe(0);
  for (const { path, bytes } of await filesBelow(out))
    expect([path, holds(String(bytes), 'xylophone')]).toEqual([path, false]);
});

test('a trace that cannot be read is said to be missing, and a folder with something in it is not touched', async () => {
  await recordChat({ traces, dataDir: join(folder, 'data') });
  const [, second = ''] = (await readdir(traces)).toSorted();
  await writeFile(join(traces, second, 'turn.json'), '{');
  const { code, stdout } = await run('trace', 'scrub', traces, out);
  expect(stdout).toContain('2 turns written');
  expect(code).toBe(1);
  const refused = await run('trace', 'scrub', traces, traces);
  expect(refused.stderr).toContain('is not empty');
  expect(refused.code).toBe(2);
});

test('a turn that is there twice, or has a name that is none of ours, is written to a folder of its own', async () => {
  await recordChat({ traces, dataDir: join(folder, 'data') });
  const [first = '', second = ''] = (await readdir(traces)).toSorted();
  await cp(join(traces, first), join(traces, `${first}0`), { recursive: true });
  const request = join(traces, second, 'request.json');
  const text = await readFile(request, 'utf8');
  await writeFile(request, text.replace(/"req_[0-9a-f]{16}"/, '"../../req_0123456789abcdef"'));
  const { stdout } = await run('trace', 'scrub', traces, out);
  expect(stdout).toContain('4 turns written');
  const written = await readdir(out);
  expect(written).toHaveLength(4);
  expect(written).toContain(first);
  expect(written.every((name) => /-req_[0-9a-f]{16}$/.test(name))).toBe(true);
});

test('recorded turns are listed with what there is to know of them', async () => {
  await recordChat({ traces, dataDir: join(folder, 'data') });
  const { stdout, code } = await run('trace', 'list', traces);
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/-req_\w+ {2}\S+ {2}3 requests {2}[\d,]+ bytes {2}[\d,]+ ms$/);
  expect(lines[2]).toContain('upstream_cut');
  const { stdout: json } = await run('trace', 'list', traces, '--json');
  expect(JSON.parse(json)).toHaveLength(3);
});

test('where nothing is written down, it says so', async () => {
  const { stderr, code } = await run('trace', 'list');
  expect(stderr).toContain('RLM_TRACE_DIR is not set');
  expect(code).toBe(2);
});
