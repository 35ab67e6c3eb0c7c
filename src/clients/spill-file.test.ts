import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPartOf, readSpillFile, spillNoteOf } from './spill-file.ts';

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
  return note !== undefined && isPartOf(note, Buffer.from(text as string));
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
  expect([note?.path, note?.at, note?.visible.toString()]).toEqual([path, 'end', end]);
});

describe('of the files that a note can name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rlm-spill-'));
  const spill = join(folder, 'opencode/tool-output');
  const other = join(folder, 'other/tool-output');
  const limits = { maxBytes: 1_000_000 };

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
    expect(String(await readSpillFile(join(spill, 'tool_whole1'), limits))).toBe(whole);
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
    expect(await readSpillFile(named(), limits)).toBeUndefined();
  });
});
