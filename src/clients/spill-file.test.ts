import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SpillForm } from './client.ts';
import { openCode } from './opencode.ts';
import { fittingNote, ownFoldersIn, readSpillFile, spillNoteOf } from './spill-file.ts';

const whole = Array.from({ length: 3_000 }, (_, at) => `line ${at} ä🙂`).join('\n');
const beginning = whole.slice(0, 9_000);
const end = whole.slice(-9_000);
const path = '/home/me/.local/share/opencode/tool-output/tool_1';

function before(visible: string): string {
  return `...output truncated...\n\nFull output saved to: ${path}\n\n${visible}`;
}

function behind(visible: string): string {
  return `${visible}\n\n...71845 bytes truncated...\n\nThe tool call succeeded but the output was truncated. Full output saved to: ${path}\nUse Grep to search it.`;
}

/** Whether the named file counts, its text being `text`. */
function counts(result: string, text: string | Uint8Array = whole): boolean {
  const note = spillNoteOf(result, { head: result.slice(0, 4_000), tail: result.slice(-4_000) });
  return note !== undefined && fittingNote(note, Buffer.from(text as string)) !== undefined;
}

it.each<[string, string]>([
  ['its end', before(end)],
  ['its end, with space around it', before(`\n ${end}\n\n`)],
  ['its beginning', behind(beginning)],
  ['all of it', before(whole)],
  ['its end and what a shell adds', `${before(end)}\n\n<shell_metadata>\nx\n</shell_metadata>`],
])('a file counts of which %s is printed', (_, result) => {
  expect(counts(result)).toBe(true);
});

it.each<[string, string]>([
  ['its beginning where the end belongs', before(beginning)],
  ['its end where the beginning belongs', behind(end)],
  ['a part of it from the middle', before(whole.slice(5_000, 9_000))],
  ['its end and more', before(`${end}\nmore`)],
  ['its beginning behind something else', behind(`more\n${beginning}`)],
  ['nothing', before('')],
  ['white space', behind(' \n'.repeat(500))],
  ['another output that quotes a note', `grep found:\n${before(end)}\nand more`],
])('a file does not count of which %s is printed', (_, result) => {
  expect(counts(result)).toBe(false);
});

it('a file that is no UTF-8, or was cut within a character, is compared as it was printed', () => {
  const bytes = Buffer.concat([
    Buffer.from(beginning),
    Buffer.from([0xff, 0xfe]),
    Buffer.from(end),
  ]);
  expect(counts(before(`\uFFFD\uFFFD${end}`), bytes)).toBe(true);
  expect(counts(behind(`${beginning}\uFFFD\uFFFDline`), bytes)).toBe(false);
  expect(counts(behind(`${beginning}\uFFFD`), bytes)).toBe(true);
});

it('says what of an output is printed text, byte for byte', () => {
  const note = spillNoteOf(before(end), { head: before(end).slice(0, 4_000), tail: end });
  expect([note?.path, note?.beginning.length, note?.end.toString()]).toEqual([path, 0, end]);
});

/** As each client prints what it has cut, its file being at `file`. */
const printed: Readonly<Record<string, (file: string) => string>> = {
  'Kilo, a command': (file) => `...output truncated...\n\nFull output saved to: ${file}\n\n${end}`,
  'Qwen Code, a command': (file) =>
    [
      'Tool output was too large and has been truncated.',
      `The full output has been saved to: ${file}`,
      'Read it with a tool.',
      '',
      'Truncated part of the output:',
      `${whole.slice(0, 800)}...\n\n---\n... [CONTENT TRUNCATED] ...\n---\n\n...${whole.slice(-3_000)}`,
    ].join('\n'),
  'Qwen Code, another tool': (file) =>
    `<persisted-output>\nOutput too large (93.1 KB). Full output saved to: ${file}\nFull output sha256: 0\nRead it.\n\nPreview (up to 2000 chars):\n${whole.slice(0, 2_000)}\n...\n</persisted-output>`,
  pi: (file) =>
    `${end}\n\n[Showing lines 2500-3000 of 3000 (50.0KB limit). Full output: ${file}]\n\nCommand exited with code 1`,
  'Claude Code': (file) =>
    `<persisted-output>\nOutput too large (93.1KB). Full output saved to: ${file}\n\nPreview (first 2KB):\n${whole.slice(0, 2_000)}\n...\n</persisted-output>`,
};

it.each([
  ['pi', '\n\nCommand exited with code 1'],
  ['Qwen Code, a command', '\n\nIt ran for 90 seconds.\n\nAnd was stopped.'],
])('keeps what %s says beside the output', (name, said) => {
  const text = printed[name]?.(`/home/me/${places[name]}`) ?? '';
  const result = text.endsWith(said) ? text : `${text}${said}`;
  const ends = { head: result.slice(0, 4_000), tail: result.slice(-4_000) };
  const note = spillNoteOf(result, ends);
  const fitting = note && fittingNote(note, Buffer.from(whole));
  expect(fitting?.added.toString()).toBe(said);
});

/** Where each of them keeps such a file, in a home directory. */
const places: Readonly<Record<string, string>> = {
  'Kilo, a command': '.local/share/kilo/tool-output/tool_f0aB',
  'Qwen Code, a command': '.qwen/tmp/0a1b/run_shell_command_0a1b.output',
  'Qwen Code, another tool': '.qwen/tmp/0a1b/tool-results/call_1.output',
  pi: 'tmp/pi-bash-0123456789abcdef.log',
  'Claude Code':
    '.claude/projects/-home-me/01234567-0123-0123-0123-0123456789ab/tool-results/b1c2d3e4f.txt',
};

describe.each(Object.keys(printed))('what %s prints of an output', (name) => {
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'rlm-home-')));
  const file = join(home, places[name] as string);
  const text = (printed[name] as (file: string) => string)(file);
  const note = spillNoteOf(text, { head: text.slice(0, 4_000), tail: text.slice(-4_000) });
  const own = ownFoldersIn({
    data: join(home, '.local/share'),
    home,
    temp: join(home, 'tmp'),
  });
  const limits = { maxBytes: 1_000_000, projectDirectory: home, ownFolders: own };

  beforeAll(() => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, whole);
  });
  afterAll(() => rmSync(home, { recursive: true }));

  it('names the file, is a part of it and of no other', () => {
    expect(note?.path).toBe(file);
    if (note === undefined) return;
    expect(fittingNote(note, Buffer.from(whole))).toBeDefined();
    expect(fittingNote(note, Buffer.from(`x${whole}x`))).toBeUndefined();
  });

  it('has its file read where the client keeps it for this user, and not where a project has the same path', async () => {
    if (note === undefined) throw new Error('no note');
    expect(String(await readSpillFile(note, limits))).toBe(whole);
    const elsewhere = { ...limits, ownFolders: [] };
    expect(await readSpillFile(note, elsewhere)).toBeUndefined();
    const brought = join(home, 'project', places[name] as string);
    mkdirSync(dirname(brought), { recursive: true });
    writeFileSync(brought, whole);
    expect(await readSpillFile({ ...note, path: brought }, limits)).toBeUndefined();
    const renamed = `${file}.bak`;
    writeFileSync(renamed, whole);
    expect(await readSpillFile({ ...note, path: renamed }, limits)).toBeUndefined();
  });
});

describe('where a variable of the client has moved the folder', () => {
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'rlm-moved-')));
  // A home that is a repository itself, as some keep theirs.
  const moved = join(home, 'dotfiles/elsewhere');
  const limits = { maxBytes: 1_000_000, projectDirectory: join(home, 'dotfiles') };
  const bases = { data: join(home, '.local/share'), home, temp: join(home, 'tmp') };
  const session = '01234567-0123-0123-0123-0123456789ab';

  beforeAll(() => mkdirSync(join(home, 'dotfiles/.git'), { recursive: true }));
  afterAll(() => rmSync(home, { recursive: true }));

  it.each([
    ['Qwen Code, a command', 'QWEN_HOME', 'tmp/0a1b/run_shell_command_0a1b.output'],
    ['Qwen Code, another tool', 'QWEN_RUNTIME_DIR', 'tmp/0a1b/tool-results/call_1.output'],
    ['Claude Code', 'CLAUDE_CONFIG_DIR', `projects/-home-me/${session}/tool-results/b1c2d3e4f.txt`],
  ])('a file of %s is read there by %s, and no other is', async (name, variable, place) => {
    const file = join(moved, place);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, whole);
    const ownFolders = ownFoldersIn(bases, { [variable]: moved });
    const text = (printed[name] as (file: string) => string)(file);
    const ends = { head: text.slice(0, 4_000), tail: text.slice(-4_000) };
    const note = spillNoteOf(text, ends, ownFolders);
    if (note === undefined) throw new Error('no note');
    expect(fittingNote(note, Buffer.from(whole))).toBeDefined();
    expect(String(await readSpillFile(note, { ...limits, ownFolders }))).toBe(whole);
    const unmoved = { ...limits, ownFolders: ownFoldersIn(bases) };
    expect(await readSpillFile(note, unmoved)).toBeUndefined();
    for (const other of [`secret${extname(place)}`, `other/${place}`, `${dirname(place)}/secret`]) {
      const path = join(moved, other);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, whole);
      const read = await readSpillFile({ ...note, path }, { ...limits, ownFolders });
      expect([other, read]).toEqual([other, undefined]);
    }
  });
});

describe('of the files that a note can name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rlm-spill-'));
  const spill = join(folder, 'opencode/tool-output');
  const other = join(folder, 'other/tool-output');
  const limits = { maxBytes: 1_000_000 };
  const [form] = openCode.spills as readonly [SpillForm, SpillForm];
  const read = async (named: string): Promise<Buffer | undefined> =>
    readSpillFile({ path: named, form }, limits);

  beforeAll(() => {
    for (const made of [spill, other, join(spill, 'tool_folder1')])
      mkdirSync(made, { recursive: true });
    for (const file of ['opencode/tool-output/tool_whole1', 'opencode/tool-output/notes', 'secret'])
      writeFileSync(join(folder, file), whole);
    writeFileSync(join(other, 'tool_other1'), whole);
    symlinkSync(join(folder, 'secret'), join(spill, 'tool_link1'));
    execFileSync('mkfifo', [join(spill, 'tool_pipe1')]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('one that OpenCode has saved is read', async () => {
    expect(String(await read(join(spill, 'tool_whole1')))).toBe(whole);
  });

  it('one of another user is not', async () => {
    const getuid = vi.spyOn(process, 'getuid').mockReturnValue(54_321);
    expect(await read(join(spill, 'tool_whole1'))).toBeUndefined();
    getuid.mockRestore();
    expect(await read(join(spill, 'tool_whole1'))).toBeDefined();
  });

  it.each([
    ['outside of the folder', () => join(folder, 'secret')],
    ['by a way round', () => `${spill}/../../secret`],
    ['in another program’s folder', () => join(other, 'tool_other1')],
    ['of another name', () => join(spill, 'notes')],
    ['through a link', () => join(spill, 'tool_link1')],
    ['that is a folder', () => join(spill, 'tool_folder1')],
    ['that is a pipe', () => join(spill, 'tool_pipe1')],
    ['that is gone', () => join(spill, 'tool_gone1')],
    ['with a name that is too long', () => `/${'a'.repeat(300)}/opencode/tool-output/tool_whole1`],
    ['with a NUL in its name', () => `${spill}/\0/opencode/tool-output/tool_whole1`],
    ['without a whole path', () => 'opencode/tool-output/tool_whole1'],
  ])('one %s is not', async (_, named) => {
    expect(await read(named())).toBeUndefined();
  });
});
