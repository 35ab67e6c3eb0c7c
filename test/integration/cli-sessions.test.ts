import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { beforeAll, describe, expect, test } from 'vitest';
import { rlmProgram } from '../../src/cli/program.ts';
import { everyCommand } from '../../src/cli/nested-options.ts';
import { runProgram } from '../../src/cli/run.ts';
import { setupProgram } from '../../src/cli/setup.ts';
import { CliHome } from '../support/cli.ts';

interface Listed {
  readonly id: string;
}

async function idsIn(home: CliHome, dataDir: string): Promise<string[]> {
  const { stdout } = await home.runHere(['sessions', '--json', '--data-dir', dataDir]);
  return stdout === '' ? [] : (JSON.parse(stdout) as Listed[]).map(({ id }) => id);
}

describe('a store and its copy', () => {
  const home = new CliHome();
  const copy = join(home.folder, 'copy');
  let id = '';

  beforeAll(async () => {
    writeFileSync(join(home.folder, 'notes.txt'), 'word '.repeat(1000));
    const directory = join(home.folder, 'project');
    await home.runHere(['ingest', join(home.folder, 'notes.txt'), '--directory', directory]);
    cpSync(home.dataDir, copy, { recursive: true });
    [id = ''] = await idsIn(home, home.dataDir);
    return () => home[Symbol.dispose]();
  });

  test('the question before a deletion names directory, path and size, and deletes nothing', async () => {
    const { code, stderr } = await home.runHere(['sessions', 'rm', id, '--data-dir', copy]);
    expect(code).toBe(2);
    expect(stderr).toContain(join(home.folder, 'project'));
    expect(stderr).toContain(join(copy, 'sessions', `${id}*`));
    expect(stderr).toMatch(/\d bytes\b|\d MB\b/);
    expect(stderr).toContain('--yes');
    expect(await idsIn(home, copy)).toEqual([id]);
  });

  test('what does not exist is an error first, and no folder is made for it', async () => {
    const typo = join(home.folder, 'typo');
    for (const args of [
      ['rm', id, '--data-dir', typo],
      ['rm', id, '--yes', '--data-dir', typo],
      ['rm', 'sess_00000000', '--data-dir', copy],
      ['salvage', id, '--data-dir', typo],
      ['rm', '../copy', '--yes', '--data-dir', copy],
    ]) {
      const { code, stderr } = await home.runHere(['sessions', ...args]);
      expect(code).toBe(2);
      expect(stderr).toContain('There is no session');
      expect(stderr).not.toContain('--yes');
    }
    expect(existsSync(typo)).toBe(false);
  });

  test('rm and salvage work in the directory that they were told, wherever the option stands', async () => {
    for (const options of [
      ['sessions', 'salvage', id, '--data-dir', copy],
      ['sessions', '--data-dir', copy, 'salvage', id],
    ]) {
      const before = (await idsIn(home, copy)).length;
      expect(await home.runHere(options)).toMatchObject({ code: 0 });
      expect(await idsIn(home, copy)).toHaveLength(before + 1);
      expect(await idsIn(home, home.dataDir)).toEqual([id]);
    }
    const removed = await home.runHere(['sessions', 'rm', id, '--yes', '--data-dir', copy]);
    expect(removed).toMatchObject({ code: 0 });
    expect(await idsIn(home, copy)).not.toContain(id);
    expect(await idsIn(home, home.dataDir)).toEqual([id]);
  });

  test('two different directories, or an option that says nothing to the command, are refused', async () => {
    for (const args of [
      ['sessions', '--data-dir', copy, 'rm', id, '--yes', '--data-dir', home.dataDir],
      ['sessions', '--json', 'rm', id, '--yes'],
    ]) {
      expect(await home.runHere(args)).toMatchObject({ code: 2, stdout: '' });
    }
    expect(await idsIn(home, home.dataDir)).toEqual([id]);
  });
});

test('a misspelt command is answered with where all of them stand', async () => {
  using home = new CliHome();
  const { code, stdout, stderr } = await home.runHere(['sessions', 'mvoe', 'a', 'b']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('has no command `mvoe`');
  expect(stderr).toContain('rlm-opencode sessions --help');
});

test('every nested command sees each of its own options, before and behind its name', async () => {
  const makers = [async () => rlmProgram('0'), async () => setupProgram('0')];
  let checked = 0;
  for (const make of makers) {
    for (const path of nestedPaths(await make())) {
      const declared = inner(await make(), path).options.filter((option) => option.required);
      for (const { long, flags, argChoices } of declared) {
        const isPair = flags.includes('=');
        const given = argChoices?.[0] ?? (isPair ? '/a=/b' : '1');
        const above = inner(await make(), path.slice(0, -1));
        const shared = above.options.some((one) => one.long === long);
        for (const isBefore of shared ? [false, true] : [false]) {
          const program = await make();
          const command = inner(program, path);
          let seen: Record<string, unknown> | undefined;
          command.action(() => {
            seen = command.opts();
          });
          const args = command.registeredArguments.map(() => 'x');
          const option = [long ?? '', given];
          const outer = path.slice(0, -1);
          const name = path.at(-1) ?? '';
          await runProgram(
            program,
            isBefore ? [...outer, ...option, name, ...args] : [...path, ...args, ...option],
          );
          process.exitCode = 0;
          expect(Object.values(seen ?? {}).flat(), `${path.join(' ')} ${flags}`).toSatisfy(
            (values: unknown[]) =>
              values.some((value) => String(value) === given || (isPair && value !== undefined)),
          );
          checked += 1;
        }
      }
    }
  }
  expect(checked).toBeGreaterThan(20);
});

function nestedPaths(program: Command): string[][] {
  const paths: string[][] = [];
  everyCommand(program, (command) => {
    const path: string[] = [];
    for (let at: Command | null = command; at !== null && at.parent !== null; at = at.parent) {
      path.unshift(at.name());
    }
    if (path.length > 0 && command.commands.length === 0) paths.push(path);
  });
  return paths;
}

function inner(program: Command, path: readonly string[]): Command {
  return path.reduce(
    (at, name) => at.commands.find((command) => command.name() === name) ?? at,
    program,
  );
}
