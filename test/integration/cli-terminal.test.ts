import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { visible } from '../../src/cli/screen.ts';
import { CliHome } from '../support/cli.ts';

const text = 'hello marker \u001b]0;pwned\u0007\u001b[2J\u009b31m \u202eback\ttab\r\n';
const home = new CliHome();
const project = join(home.folder, 'pro\u001b[31mject');
const here = ['--directory', project];
let session = '';

beforeAll(async () => {
  mkdirSync(project);
  // Through a server each command takes a tenth of the time.
  const server = await home.serveHere();
  const path = join(project, 'a\u001b[32m.txt');
  writeFileSync(path, text.repeat(50));
  const { stdout } = await home.runHere(['ingest', path, '--json', ...here]);
  ({ session } = JSON.parse(stdout) as { session: string });
  return async () => {
    await server[Symbol.asyncDispose]();
    home[Symbol.dispose]();
  };
});

const wasTerminal = [process.stdout.isTTY, process.stderr.isTTY] as const;
afterEach(() => {
  [process.stdout.isTTY, process.stderr.isTTY] = wasTerminal;
});

/**
 * Control characters but tab and line feed, less a command's own: the colours of its words, the
 * line that it writes over.
 */
function drivingIn(output: string): string[] {
  // eslint-disable-next-line no-control-regex
  const ownColours = output.replaceAll(/\u001b\[(?:3[1259]|2|22)m|\r\u001b\[K/g, '');
  // eslint-disable-next-line no-control-regex
  return ownColours.match(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/g) ?? [];
}

const commands = [
  ['search', 'hello marker', ...here],
  ['search', 'hello marker', '-C', '1', ...here],
  ['find', 'pwned', '--json', ...here],
  ['get', ...here],
  ['stats', ...here],
  ['stats', '--json', ...here],
  ['sessions'],
  ['sessions', 'rm'],
  ['search', '\u001b[31m(', ...here],
  ['ingest', '\u001b[31mnowhere'],
  ['no\u001b[31msuch'],
];

test('in a terminal no stored text, path or error drives it', async () => {
  for (const args of commands) {
    process.stdout.isTTY = true;
    process.stderr.isTTY = true;
    const given = args[1] === 'rm' ? [...args, session] : args;
    const { stdout, stderr } = await home.runHere(given);
    const said = stdout + stderr;
    expect({ args, isSilent: said === '', driving: drivingIn(said) }).toEqual({
      args,
      isSilent: false,
      driving: [],
    });
  }
  process.stdout.isTTY = true;
  const { stdout } = await home.runHere(['get', ...here]);
  expect(stdout.split('\n')[0]).toBe('hello marker ^[]0;pwned^G^[[2J\\x9b31m \\u{202e}back\ttab^M');
});

test('in a pipe the bytes are as they were stored', async () => {
  process.stdout.isTTY = false;
  const { stdout } = await home.runHere(['get', ...here]);
  expect(stdout).toBe(text.repeat(50));
  const found = await home.runHere(['find', 'pwned', '-m', '1', ...here]);
  expect(found.stdout).toContain('\u001b]0;pwned\u0007');
  const { stdout: json } = await home.runHere(['find', 'pwned', '-m', '1', '--json', ...here]);
  expect(drivingIn(json)).toEqual([]);
  const [hit] = json.split('\n').map((line) => JSON.parse(line || '{}') as { text?: string });
  expect(hit?.text?.trimEnd()).toBe(text.trimEnd());
});

test('what is shown of a text has no character that drives a terminal, and all others', () => {
  for (let code = 0; code < 0x2100; code += 1) {
    const character = String.fromCharCode(code);
    expect(drivingIn(visible(character))).toEqual([]);
  }
  expect(visible('a\tb\nÄ€😀')).toBe('a\tb\nÄ€😀');
});

test('commands write through the one place that knows this', () => {
  const root = resolve(import.meta.dirname, '../../src/cli');
  const writers = globSync('*.ts', { cwd: root }).filter((file) =>
    /\bstd(?:out|err)\.write\(|\bconsole\./.test(readFileSync(join(root, file), 'utf8')),
  );
  expect(writers).toEqual(['screen.ts']);
});
