import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { createOperations } from '../../src/operations/operations.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { openSessions } from '../../src/store/sessions.ts';
import { CliHome, type CliResult } from '../support/cli.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startPair } from '../support/proxy.ts';
import { answer } from '../support/scripted-upstream.ts';

/** Histories that clients keep, in small: what their commands have put out comes into the store. */

const home = new CliHome();
const folder = realpathSync(home.folder);
const project = join(folder, 'project');
const other = join(folder, 'other');
const output = (word: string): string => `${longText(2_000, word)}\nonly ${word} has this`;

interface Report {
  readonly stored: number;
  readonly held: number;
  readonly short: number;
  readonly whole: number;
  readonly cut: number;
  readonly conversations: number;
  readonly faults: number;
}

async function run(args: readonly string[], dataDir = home.dataDir): Promise<CliResult> {
  return home.runHere([...args, '--data-dir', dataDir], {
    XDG_DATA_HOME: join(folder, 'data-home'),
  });
}

async function take(
  from: string,
  history: string,
  more: readonly string[] = [],
  dataDir = home.dataDir,
): Promise<Report & { readonly stderr: string }> {
  const args = ['ingest', '--from', from, '--history', history, '--json'];
  const place = more.includes('--all-projects') ? [] : ['--directory', project];
  const { stdout, stderr } = await run([...args, ...place, ...more], dataDir);
  if (stdout === '') throw new Error(stderr);
  return { ...(JSON.parse(stdout) as Report), stderr };
}

/** How many lines of the project's store hold a text. */
async function found(text: string, dataDir = home.dataDir): Promise<number> {
  const { stdout } = await run(['search', text, '-c', '--directory', project], dataDir);
  return Number(stdout.trim() === '' ? 0 : stdout.trim());
}

function lines(path: string, records: readonly object[], end = '\n'): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, records.map((record) => JSON.stringify(record)).join('\n') + end);
}

beforeAll(() => {
  for (const directory of [project, other]) mkdirSync(directory);
});
afterAll(() => home[Symbol.dispose]());

/** One call of Claude Code with its output, two records. */
function claudeCall(
  id: string,
  command: string,
  text: string,
  more: object = {},
): readonly object[] {
  const common = { cwd: project, sessionId: 's', timestamp: '2026-11-20T10:00:00.000Z' };
  return [
    {
      ...common,
      type: 'assistant',
      message: { content: [{ type: 'tool_use', id, name: 'Bash', input: { command } }] },
    },
    {
      ...common,
      type: 'user',
      message: { content: [{ type: 'tool_result', tool_use_id: id, content: text }] },
      ...more,
    },
  ];
}

describe('what Claude Code keeps', () => {
  const base = join(folder, 'claude');
  const session = '01234567-0123-0123-0123-0123456789ab';
  const path = join(base, 'projects/-any-name', `${session}.jsonl`);
  const whole = longText(60_000, 'saved');
  const saved = join(dirname(path), session, 'tool-results/b1c2d3e4f.txt');
  const gone = join(dirname(path), session, 'tool-results/gone.txt');
  const persisted = (file: string): string =>
    `<persisted-output>\nOutput too large (60KB). Full output saved to: ${file}\n\nPreview (first 2KB):\n${whole.slice(0, 2_000)}\n...\n</persisted-output>`;

  beforeAll(() => {
    mkdirSync(dirname(saved), { recursive: true });
    writeFileSync(saved, whole);
    lines(path, [
      { type: 'mode', mode: 'x' },
      ...claudeCall('toolu_01AbCdEfGh', 'make', output('claude')),
      ...claudeCall('toolu_02AbCdEfGh', 'cat big', persisted(saved)),
      ...claudeCall('toolu_03AbCdEfGh', 'cat bigger', persisted(gone), {
        toolUseResult: { stdout: `${whole.slice(0, 30_000)} the-screen`, stderr: '' },
      }),
      ...claudeCall('toolu_04AbCdEfGh', 'ls', 'short'),
    ]);
    lines(
      join(dirname(path), session, 'subagents/agent-a1.jsonl'),
      claudeCall('toolu_05AbCdEfGh', 'make test', output('agent')),
    );
    lines(join(base, 'projects/-other', `${session}.jsonl`), [
      { ...claudeCall('toolu_06AbCdEfGh', 'x', output('foreign'))[0], cwd: other },
      { ...claudeCall('toolu_06AbCdEfGh', 'x', output('foreign'))[1], cwd: other },
    ]);
  });

  it('is shown first and stored when it is asked for, each output once, with its command and its time', async () => {
    const dry = await take('claude-code', base, ['--dry-run']);
    expect(dry).toMatchObject({ conversations: 2, stored: 4, short: 1, whole: 1, cut: 1, held: 0 });
    expect(await found('only claude')).toBe(0);
    const { stderr: _, ...counts } = await take('claude-code', base);
    expect(counts).toMatchObject({ stored: 4, short: 1, whole: 1, cut: 1, faults: 0 });
    expect([await found('only claude'), await found('only agent')]).toEqual([1, 1]);
    // The whole file, and more of the other than the model was shown.
    expect(await found(`saved 900: `)).toBe(1);
    expect(await found('the-screen')).toBe(1);
    expect(await found('only foreign')).toBe(0);
    const { stdout } = await run(['stats', '--json', '--directory', project]);
    expect(stdout).toContain('make test');
    expect(stdout).toContain('2026-11-20T10:00:00');
    for (let again = 0; again < 2; again += 1)
      expect(await take('claude-code', base)).toMatchObject({ stored: 0, held: 4 });
  });

  it('comes in as it grows: a line that is not whole yet is taken when it is', async () => {
    const [call, result] = claudeCall('toolu_07AbCdEfGh', 'make', output('later'));
    const text = JSON.stringify(result);
    appendFileSync(path, `${JSON.stringify(call)}\n${text.slice(0, 900)}`);
    expect(await take('claude-code', base)).toMatchObject({ stored: 0, faults: 0 });
    appendFileSync(path, `${text.slice(900)}\n`);
    expect(await take('claude-code', base)).toMatchObject({ stored: 1, held: 4 });
  });

  it('is found where the client’s variable says', async () => {
    const args = ['ingest', '--from', 'claude-code', '--json', '--directory', project];
    const { stdout } = await home.runHere([...args, '--data-dir', home.dataDir, '--dry-run'], {
      CLAUDE_CONFIG_DIR: base,
    });
    expect(JSON.parse(stdout)).toMatchObject({ folder: base, conversations: 2, held: 5 });
  });

  it('goes into each project’s own store where all are asked for', async () => {
    const { stored, conversations } = await take('claude-code', base, ['--all-projects']);
    expect([stored, conversations]).toEqual([1, 3]);
    expect(await found('only foreign')).toBe(0);
    const { stdout } = await run(['search', 'only foreign', '-c', '--directory', other]);
    expect(stdout.trim()).toBe('1');
  });

  it('is told in words where it is damaged, and the rest is stored', async () => {
    const broken = join(folder, 'broken');
    const file = join(broken, 'projects/-x/a.jsonl');
    lines(file, claudeCall('toolu_08AbCdEfGh', 'make', output('sound')));
    appendFileSync(file, '{"type":"user","message":{"content":[{"type":"tool_result"\n');
    appendFileSync(file, `{"tool_use":"${'x'.repeat(33 * 1024 * 1024)}"}\n`);
    symlinkSync(path, join(broken, 'projects/-x/link.jsonl'));
    const { stored, faults, stderr } = await take('claude-code', broken);
    expect([stored, faults]).toEqual([1, 3]);
    expect(stderr).toContain('line 4: the line has 35 MB and was left out');
    expect(stderr).toContain('1 line is no JSON and was left out');
    expect(stderr).toContain('link.jsonl: it is a symbolic link, and links are not followed');
  });
});

describe('what Codex keeps', () => {
  const base = join(folder, 'codex');
  const day = join(base, 'sessions/2026/11/20');
  const head =
    'Chunk ID: 1\nWall time: 1 seconds\nProcess exited with code 0\nOriginal token count: 9\nOutput:\n';
  const meta = (id: string, cwd = project): object => ({
    type: 'session_meta',
    timestamp: '2026-11-20T10:00:00Z',
    payload: { id, cwd },
  });
  const call = (id: string): object => ({
    type: 'response_item',
    payload: {
      type: 'function_call',
      call_id: id,
      name: 'exec_command',
      arguments: '{"cmd":"make"}',
    },
  });
  const seen = (id: string, text: string): object => ({
    type: 'response_item',
    timestamp: '2026-11-20T10:00:01Z',
    payload: { type: 'function_call_output', call_id: id, output: `${head}${text}` },
  });
  const shown = (id: string, text: string): object => ({
    type: 'event_msg',
    timestamp: '2026-11-20T10:00:01Z',
    payload: {
      type: 'item_completed',
      item: { type: 'CommandExecution', id, aggregated_output: text },
    },
  });

  it('is taken as the longer of the model’s and the screen’s, compressed files, too', async () => {
    const long = `${output('screen')}\n... command output truncated for persistence ...\n${longText(900)}`;
    lines(join(day, 'rollout-1.jsonl'), [
      meta('thread-1'),
      call('call_01AbCdEfGh'),
      shown('call_01AbCdEfGh', output('model')),
      seen('call_01AbCdEfGh', output('model')),
      call('call_02AbCdEfGh'),
      shown('call_02AbCdEfGh', long),
      seen('call_02AbCdEfGh', `${longText(600)}…99 chars truncated…`),
      call('call_03AbCdEfGh'),
      seen('call_03AbCdEfGh', output('alone')),
    ]);
    const packed = [
      meta('thread-2'),
      call('call_04AbCdEfGh'),
      seen('call_04AbCdEfGh', output('zst')),
    ];
    mkdirSync(join(base, 'archived_sessions'), { recursive: true });
    writeFileSync(
      join(base, 'archived_sessions/rollout-0.jsonl.zst'),
      zstdCompressSync(packed.map((record) => `${JSON.stringify(record)}\n`).join('')),
    );
    lines(join(day, 'rollout-3.jsonl'), [
      meta('thread-3', other),
      call('c'),
      seen('c', output('no')),
    ]);
    expect(await take('codex', base)).toMatchObject({ stored: 4, cut: 1, conversations: 2 });
    for (const word of ['model', 'screen', 'alone', 'zst'])
      expect([word, await found(`only ${word} has`)]).toEqual([word, 1]);
    expect(await take('codex', base)).toMatchObject({ stored: 0, held: 4 });
  });
});

describe('what OpenCode keeps', () => {
  const base = join(folder, 'data-home/opencode');
  const path = join(base, 'opencode.db');
  const whole = longText(60_000, 'rescued');
  let database: DatabaseSync;

  const tool = (callID: string, text: string, state: object = {}): string =>
    JSON.stringify({
      type: 'tool',
      tool: 'bash',
      callID,
      state: {
        status: 'completed',
        input: { command: 'make' },
        output: text,
        time: { start: Date.parse('2026-11-20T10:00:00Z') },
        ...state,
      },
    });
  const add = (session: string, id: string, data: string): void => {
    database
      .prepare('insert into part (id, session_id, time_created, data) values (?, ?, 1, ?)')
      .run(id, session, data);
  };

  beforeAll(() => {
    mkdirSync(join(base, 'tool-output'), { recursive: true });
    writeFileSync(join(base, 'tool-output/tool_f0aB'), whole);
    database = new DatabaseSync(path);
    database.exec(
      `pragma journal_mode = wal;
       create table session (id text, directory text, time_created integer);
       create table part (id text, session_id text, time_created integer, data text);`,
    );
    const session = database.prepare('insert into session values (?, ?, 1)');
    session.run('ses_1', project);
    session.run('ses_2', other);
    add('ses_1', 'prt_1', tool('call_01AbCdEfGh', output('database')));
    add('ses_1', 'prt_2', '{"type":"text","text":"tool"}');
    add('ses_1', 'prt_3', '{"type":"tool", broken');
    const cut = `...output truncated...\n\nFull output saved to: ${join(base, 'tool-output/tool_f0aB')}\n\n${whole.slice(-9_000)}`;
    add('ses_1', 'prt_4', tool('call_02AbCdEfGh', cut));
    add('ses_2', 'prt_5', tool('call_03AbCdEfGh', output('nowhere')));
    const old = (way: string, value: object): void =>
      lines(join(base, 'storage', way), [value], '');
    old('session/global/ses_1.json', { id: 'ses_1', directory: project });
    old('message/ses_1/msg_1.json', { id: 'msg_1' });
    lines(
      join(base, 'storage/part/msg_1/prt_1.json'),
      [JSON.parse(tool('call_0', output('twice')))],
      '',
    );
    old('session/global/ses_0.json', { id: 'ses_0', directory: project });
    old('message/ses_0/msg_0.json', { id: 'msg_0' });
    lines(
      join(base, 'storage/part/msg_0/prt_0.json'),
      [JSON.parse(tool('call_0', output('file')))],
      '',
    );
  });

  it('is read while OpenCode runs, from its database and its older files, with the outputs it has saved', async () => {
    const { stored, whole: saved, faults, stderr } = await take('opencode', base);
    expect([stored, saved, faults]).toEqual([3, 1, 1]);
    expect(stderr).toContain('session ses_1: 1 of its parts are no JSON and were left out');
    for (const word of ['only database', 'only file', 'rescued 900: '])
      expect([word, await found(word)]).toEqual([word, 1]);
    expect([await found('only twice'), await found('only nowhere')]).toEqual([0, 0]);
    add('ses_1', 'prt_6', tool('call_04AbCdEfGh', output('newest')));
    expect(await take('opencode', base)).toMatchObject({ stored: 1, held: 3 });
  });

  it('is read with its newest rows where OpenCode was killed, and nothing is written beside it', async () => {
    const killed = join(folder, 'killed');
    mkdirSync(killed);
    for (const end of ['', '-wal'])
      copyFileSync(`${path}${end}`, join(killed, `opencode.db${end}`));
    const dataDir = join(folder, 'killed-data');
    await take('opencode', killed, [], dataDir);
    expect(await found('only newest', dataDir)).toBe(1);
    expect(readdirSync(killed).toSorted()).toEqual(['opencode.db', 'opencode.db-wal']);
  });

  it('is left as it was when OpenCode has ended: not a byte and not a file is other', async () => {
    database.close();
    const state = (): readonly unknown[] => [
      readdirSync(base).toSorted(),
      readFileSync(path).toString('base64'),
      statSync(path).mtimeMs,
    ];
    const before = state();
    expect(await take('opencode', base)).toMatchObject({ stored: 0, held: 4 });
    expect(state()).toEqual(before);
  });
});

describe('secrets in a history', () => {
  const base = join(folder, 'with-secrets');
  const token = ['ghp', 'R7k2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1uYt0'].join('_');
  const takeWith = async (
    does: 'mask' | 'refuse' | 'keep',
  ): Promise<{ readonly report: Report; readonly stderr: string; readonly files: Buffer }> => {
    const dataDir = join(folder, `data-${does}`);
    const args = ['ingest', '--from', 'claude-code', '--history', base, '--directory', project];
    const { stdout, stderr } = await home.runHere([...args, '--json', '--data-dir', dataDir], {
      RLM_CAPTURE_SECRETS: does,
    });
    const stored = readdirSync(join(dataDir, 'sessions'), { withFileTypes: true });
    const files = stored
      .filter((each) => each.isFile())
      .map(({ name }) => readFileSync(join(dataDir, 'sessions', name)));
    return { report: JSON.parse(stdout) as Report, stderr, files: Buffer.concat(files) };
  };

  beforeAll(() => {
    lines(join(base, 'projects', 'p', 's.jsonl'), [
      ...claudeCall('t1', 'env', `${output('first')}\nTOKEN=${token}\n`),
      ...claudeCall('t2', `curl -H "x-token: ${token}" x`, output('second')),
      ...claudeCall('t3', 'ls', output('third')),
    ]);
  });

  it('are masked, in outputs and in what was called', async () => {
    const { report, files } = await takeWith('mask');
    expect(report).toMatchObject({ stored: 3, faults: 0 });
    expect(files.includes(token)).toBe(false);
    expect(files.includes('TOKEN=####')).toBe(true);
    expect(files.includes('x-token: ####')).toBe(true);
    expect((await takeWith('keep')).files.includes(token)).toBe(true);
  });

  it('keep their output out, where they are refused; what is taken and what not is said', async () => {
    const { report, stderr, files } = await takeWith('refuse');
    expect(report).toMatchObject({ stored: 1, faults: 2 });
    expect(files.includes(token)).toBe(false);
    expect(stderr).not.toContain(token);
    expect(JSON.stringify(report) + stderr).toContain('what looks like a secret');
  });
});

describe('many conversations', () => {
  const base = join(folder, 'many');
  const conversations = 12;

  beforeAll(() => {
    for (let number = 0; number < conversations; number += 1)
      lines(
        join(base, `projects/-x/session-${number}.jsonl`),
        claudeCall(`toolu_1${number}AbCdEfGh`, 'make', output(`number-${number}-`)),
      );
  });

  it('are each taken once, however often the command was stopped', async () => {
    const dataDir = join(folder, 'stopped');
    await using sessions = await openSessions({
      dataDir,
      clock: systemClock,
      ids: randomIds,
      log: silentLogger(),
      maxSessionBytes: 1e9,
    });
    await using search = openSearchEngine({ clock: systemClock });
    const run = createOperations({ sessions, search, clock: systemClock });
    const bases = { data: folder, home: folder, temp: folder };
    const asked = { from: 'claude-code', folder: base, bases, directory: project };
    const body = Buffer.from(JSON.stringify(asked));
    const upTo = async (progresses: number): Promise<Report | undefined> => {
      const stopped = new AbortController();
      let seen = 0;
      for await (const line of run({ operation: 'past-work', body, signal: stopped.signal })) {
        const { result } = JSON.parse(line) as { result?: Report };
        if (result !== undefined) return result;
        if ((seen += 1) === progresses) stopped.abort();
      }
      return undefined;
    };
    await expect(upTo(1)).rejects.toMatchObject({ code: 'cancelled' });
    const first = (await sessions.forDirectory(project, { create: false }))?.store.totals.entries;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(conversations);
    const report = await upTo(Infinity);
    expect(report).toMatchObject({ stored: conversations - (first ?? 0), held: first });
    const store = (await sessions.forDirectory(project, { create: false }))?.store;
    expect(store?.totals.entries).toBe(conversations);
  });

  it('are taken by the server where one runs', async () => {
    using served = new CliHome();
    await using _ = await served.serveHere();
    const args = ['ingest', '--from', 'claude-code', '--history', base, '--directory', project];
    const first = await served.runHere([...args, '--json']);
    expect(JSON.parse(first.stdout)).toMatchObject({ stored: conversations, held: 0 });
    const again = await served.runHere(args);
    expect(again.stdout).toContain('12 conversations, 0 outputs stored, 12 held');
    const { stdout } = await served.runHere(['search', 'number-7-', '-c', '--directory', project]);
    expect(Number(stdout)).toBeGreaterThan(1);
  });
});

it('what came through the proxy is known: it is the same output of the same call', async () => {
  await using pair = await startPair();
  const { proxy, upstream } = pair;
  upstream.otherwise(answer('ok'));
  const text = output('proxied');
  const messages = [
    systemFor(project),
    user('go'),
    calling('call_05AbCdEfGh', 'bash', { command: 'make' }),
    resultOf('call_05AbCdEfGh', text),
  ];
  await proxy.ask({ messages, tools: clientTools }, { 'x-session-id': 'ses_5' });
  await proxy.app[Symbol.asyncDispose]();
  const base = join(folder, 'proxied');
  mkdirSync(base);
  const state = { status: 'completed', input: { command: 'make' }, output: `${text}, and more` };
  const part = { type: 'tool', tool: 'bash', callID: 'call_05AbCdEfGh', state };
  const database = new DatabaseSync(join(base, 'opencode.db'));
  database.exec(
    `create table session (id text, directory text, time_created integer);
     create table part (id text, session_id text, time_created integer, data text);`,
  );
  database.prepare('insert into session values (?, ?, 1)').run('ses_5', project);
  database.prepare('insert into part values (?, ?, 1, ?)').run('p', 'ses_5', JSON.stringify(part));
  database.close();
  expect(await take('opencode', base, [], proxy.dataDir)).toMatchObject({ stored: 0, held: 1 });
});

describe('the command', () => {
  it.each<[readonly string[], string]>([
    [[], 'Say what to store'],
    [['--dry-run', 'x'], 'belong to --from'],
    [['--from', 'codex', 'src'], 'no paths are named'],
    [['--from', 'codex', '--session', 'sess_1'], 'name one with --directory'],
    [['--from', 'opencode', '--history', '/nowhere/at/all'], 'cannot be read: it is not there'],
    [['--from', 'claude-code', '--history', '/nowhere'], 'cannot be read: it is not there'],
    [['--from', 'codex', '--history', '/nowhere'], 'cannot be read: it is not there'],
  ])('says in its own words what is wrong: %j', async (args, words) => {
    const { code, stderr } = await run(['ingest', ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  it('says what there is elsewhere where it finds nothing here', async () => {
    const base = join(folder, 'claude');
    const args = ['--from', 'claude-code', '--history', base, '--directory', folder];
    const { stdout } = await run(['ingest', ...args]);
    expect(stdout).toContain(`Claude Code has no conversations of ${folder}.`);
    expect(stdout).toContain(`${project}: 2 conversations`);
  });
});
