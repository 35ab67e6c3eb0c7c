import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  calling,
  clientTools,
  longText,
  ownResults,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

/**
 * The file in which OpenCode keeps all of an output that it has cut: which is read, and which is
 * not.
 */

const needle = 'only-in-the-file-π🙂';
const whole = `${longText(80_000)}\n${needle}\n${longText(20_000, 'end')}`;
const end = whole.slice(-12_000);
const beginning = whole.slice(0, 12_000);
const shown = longText(12_000, 'shown');
let folder = '';
let spill = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-spill-'));
  spill = join(folder, 'opencode/tool-output');
  await mkdir(spill, { recursive: true });
  await writeFile(join(spill, 'tool_whole1'), whole);
  await writeFile(join(folder, 'secret'), whole);
});
afterAll(async () => rm(folder, { recursive: true }));

/** As bash's results are cut: the note, then the tail. */
function cutByBash(path: string, visible = end): string {
  return `...output truncated...\n\nFull output saved to: ${path}\n\n${visible}`;
}

/** As all others are: the head, then the note. */
function cutAtEnd(path: string, visible = beginning): string {
  return `${visible}\n\n...71845 bytes truncated...\n\nThe tool call succeeded but the output was truncated. Full output saved to: ${path}\nUse Grep to search it.`;
}

/** How often the text that is only in the file is found after this result was sent. */
async function found(
  result: string,
  env: Readonly<Record<string, string>> = {},
  project = '/projects/spill',
): Promise<{ readonly total: unknown; readonly upstream: ScriptedUpstream }> {
  await using upstream = await startScriptedUpstream();
  upstream.script(callTools({ name: 'rlm_find', args: { text: needle } }), answer('ok'));
  await using proxy = await startProxy({ upstream, env });
  const messages = [
    systemFor(project),
    user('go'),
    calling('call_1', 'bash', { command: 'make' }),
    resultOf('call_1', result),
  ];
  const { message } = await proxy.ask({ messages, tools: clientTools });
  expect(message.content).toBe('ok');
  const [first] = ownResults(upstream.requests[1]?.body.messages ?? []);
  return { total: first?.['total'], upstream };
}

describe('a cut result that names the file with all of it', () => {
  it.each([cutByBash, cutAtEnd])('is stored whole', async (cut) => {
    const { total, upstream } = await found(cut(join(spill, 'tool_whole1')));
    expect(total).toBe(1);
    const stub = upstream.requests[0]?.body.messages.at(-1)?.content;
    expect(stub).toContain(`${Array.from(whole).length} characters`);
  });

  it('is stored without the secrets in it, or not at all, where these are not to be kept', async () => {
    const token = ['ghp', 'R7k2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1uYt0'].join('_');
    const path = join(spill, 'tool_secret1');
    await writeFile(path, whole.replace(needle, `${needle} TOKEN=${token}`));
    const shownEnd = cutByBash(path);
    for (const [does, total, isShown] of [
      ['mask', 1, true],
      ['refuse', 0, false],
    ] as const) {
      const given = await found(shownEnd, { RLM_CAPTURE_SECRETS: does }, `/projects/${does}`);
      expect(given.total).toBe(total);
      const sent = given.upstream.requests.map(({ rawBody }) => rawBody.toString()).join();
      expect(sent).not.toContain(token);
      expect(sent.includes(`${needle} TOKEN=####`)).toBe(isShown);
    }
  });

  it('is stored as it came where the file is too large', async () => {
    const env = { RLM_MAX_SPILL_BYTES: '1000' };
    expect((await found(cutByBash(join(spill, 'tool_whole1')), env)).total).toBe(0);
  });

  it('is stored as it came where what is printed is no end of that file, and nothing printed is lost', async () => {
    const path = join(spill, 'tool_whole1');
    const quoted = [cutByBash(path, shown), `${shown}\n${cutAtEnd(path)}`];
    for (const result of quoted) {
      const { total, upstream } = await found(result);
      expect([total, result.slice(0, 60)]).toEqual([0, result.slice(0, 60)]);
      const [stub] = upstream.requests.map(({ body }) => body.messages.at(-1)?.content);
      expect(String(stub)).not.toContain('from the file that the client saved');
    }
  });

  it('is stored whole with what a shell adds when it stops a command', async () => {
    const added = '\n\n<shell_metadata>\nstopped after 120000 ms\n</shell_metadata>';
    const { total, upstream } = await found(`${cutByBash(join(spill, 'tool_whole1'))}${added}`);
    expect(total).toBe(1);
    const stub = String(upstream.requests[0]?.body.messages.at(-1)?.content);
    expect(stub).toContain('stopped after 120000 ms');
  });

  it.each([
    ['short of what its client keeps', 9_999, false],
    ['full with all that its client keeps of one', 10_000, true],
    ['full with lines of two rows', 5_000, true],
  ])('is told apart from the whole where the file is %s', async (_, count, isFull) => {
    const line = count === 5_000 ? 'a row and a half'.repeat(6) : 'a row';
    const text = Array.from({ length: count }, (__, at) => `${line} ${at}`).join('\n');
    const file = join(folder, '.qwen/tmp/0a1b', `run_shell_command_${count}.output`);
    await mkdir(join(folder, '.qwen/tmp/0a1b'), { recursive: true });
    await writeFile(file, text);
    const printed = `Tool output was too large and has been truncated.\nThe full output has been saved to: ${file}\nTruncated part of the output:\n${text.slice(0, 6_000)}\n\n---\n... [CONTENT TRUNCATED] ...\n---\n\n${text.slice(-6_000)}`;
    const { upstream } = await found(printed);
    const stub = String(upstream.requests[0]?.body.messages.at(-1)?.content);
    expect(stub).toContain(`: ${text.length} characters`);
    expect(stub.includes('NOT complete')).toBe(isFull);
    const nothing = String(upstream.requests[1]?.body.messages.at(-1)?.content);
    expect(nothing.includes('Not all is known')).toBe(isFull);
  });

  it('is stored as it came where the folder came with a repository, or lies in the project', async () => {
    const repository = join(folder, 'repository');
    const brought = join(repository, 'opencode/tool-output');
    await mkdir(brought, { recursive: true });
    await mkdir(join(repository, '.git'));
    await writeFile(join(brought, 'tool_brought1'), whole);
    expect((await found(cutByBash(join(brought, 'tool_brought1')))).total).toBe(0);
    expect((await found(cutByBash(join(spill, 'tool_whole1')), {}, folder)).total).toBe(0);
    // Who works on all of the home directory has OpenCode's own folder in the project.
    const env = { XDG_DATA_HOME: folder };
    expect((await found(cutByBash(join(spill, 'tool_whole1')), env, folder)).total).toBe(1);
  });

  it('is stored as it came where only its middle names one', async () => {
    const quoted = `${shown}\n${cutByBash(join(spill, 'tool_whole1'))}\n${shown}`;
    expect((await found(quoted)).total).toBe(0);
  });

  it('is stored as it came where the file is not one of those', async () => {
    expect((await found(cutByBash(join(folder, 'secret')))).total).toBe(0);
  });
});
