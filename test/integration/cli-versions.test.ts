import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { CliHome, type CliResult } from '../support/cli.ts';

interface LineMember {
  readonly id: string;
  readonly name?: string;
  readonly directory?: string;
  readonly earlierDirectory?: string;
  readonly chats: number;
  readonly diskBytes: number;
  readonly totals: { readonly entries: number };
  readonly from?: { readonly session: string; readonly entries: number };
  readonly snapshots: readonly { readonly name: string; readonly entries: number }[];
}

class Project implements Disposable {
  readonly home = new CliHome();
  readonly directory = join(this.home.folder, 'project');

  async run(...args: string[]): Promise<CliResult> {
    return this.home.runHere(args, { TZ: 'UTC' });
  }

  /** The same for this project. */
  async here(...args: string[]): Promise<CliResult> {
    return this.run(...args, '--directory', this.directory);
  }

  async json(...args: string[]): Promise<unknown> {
    const { stdout, stderr } = await this.here(...args, '--json');
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout);
  }

  async ingest(name: string, text: string): Promise<void> {
    const path = join(this.home.folder, name);
    writeFileSync(path, text);
    await this.here('ingest', path);
  }

  async line(): Promise<readonly LineMember[]> {
    const [line = []] = (await this.json('sessions', 'log')) as LineMember[][];
    return line;
  }

  /** The store that the directory has now. */
  async current(): Promise<string> {
    return (await this.line()).find(({ directory }) => directory !== undefined)?.id ?? '';
  }

  [Symbol.dispose](): void {
    this.home[Symbol.dispose]();
  }
}

function widest(text: string): number {
  return Math.max(...text.split('\n').map((line) => Array.from(line).length));
}

describe.each([['without a server'], ['through a running server']])('%s', (how) => {
  const project = new Project();
  let first = '';

  beforeAll(async () => {
    const server = how === 'without a server' ? undefined : await project.home.serveHere();
    await project.ingest('a.txt', 'alpha one\nalpha two\n');
    await project.ingest('b.txt', 'beta alpha\n');
    first = await project.current();
    return async () => {
      await server?.[Symbol.asyncDispose]();
      project[Symbol.dispose]();
    };
  });

  test('a snapshot has the name that was given, or the time; what looks like something else is refused', async () => {
    const { code, stdout } = await project.here('sessions', 'snapshot', 'both');
    expect(code).toBe(0);
    expect(stdout).toContain('2 texts');
    expect(stdout).toContain('rlm-opencode sessions restore both');
    const { snapshot } = (await project.json('sessions', 'snapshot')) as { snapshot: string };
    expect(snapshot).toMatch(/^at-\d{4}-\d\d-\d\d-\d\dh\d\d$/);
    const second = (await project.json('sessions', 'snapshot')) as { snapshot: string };
    expect(second.snapshot).not.toBe(snapshot);
    for (const [name, reason] of [
      ['both', 'already'],
      ['e7', 'taken for an entry'],
      ['sess_00ff00ff', 'taken for a session'],
      ['now', 'taken for the present'],
      ['2026-01-31', 'begins with a letter'],
      ['a b', 'begins with a letter'],
      ['2h', 'begins with a letter'],
    ] as const) {
      const refused = await project.here('sessions', 'snapshot', name);
      expect(refused.code, `for ${name}`).toBe(2);
      expect(refused.stderr, `for ${name}`).toContain(reason);
    }
  });

  test('search, find, get and stats answer as of a moment, and say of which', async () => {
    const count = async (...args: string[]): Promise<string> =>
      (await project.here('search', '-c', 'alpha', ...args)).stdout;
    expect(await count()).toBe('3\n');
    expect(await count('--as-of', 'e1')).toBe('2\n');
    expect(await count('--as-of', 'both')).toBe('3\n');
    const found = await project.here('find', 'beta', '--as-of', 'e1');
    expect(found).toMatchObject({ code: 1, stdout: '' });
    expect(found.stderr).toContain('As of e1');
    const listed = await project.here('search', '-l', 'alpha', '--as-of', 'e1');
    expect(listed.stdout.trim().split('\n')).toEqual([expect.stringContaining('a.txt')]);
    expect((await project.here('get', '--as-of', 'e1')).stdout).toContain('alpha two');
    expect((await project.here('get', 'e2', '--as-of', 'e1')).stderr).toContain('no entry "e2"');
    const stats = (await project.json('stats', '--as-of', 'both')) as Record<string, unknown>;
    expect(stats).toMatchObject({ entries: 2, as_of: { at: 'snapshot both' } });
    const hits = await project.here('search', 'alpha', '--json', '--as-of', 'e1');
    const summary = JSON.parse(hits.stdout.trim().split('\n').at(-1) ?? '') as unknown;
    expect(summary).toMatchObject({ type: 'summary', total: 2, as_of: { at: 'e1' } });
  });

  test('what is no moment is answered with what there is', async () => {
    for (const [moment, reason] of [
      ['bothe', 'snapshot (both'],
      ['e9', 'there are e1 to e2'],
      ['2026-02-30', 'no such day'],
      ['2999-01-01', 'has not come yet'],
      ['2001-01-01', 'Nothing was stored by 2001-01-01 23:59:59'],
      ['9w', 'Nothing was stored by'],
      ['', 'no moment ""'],
    ] as const) {
      const refused = await project.here('stats', '--as-of', moment);
      expect(refused, `for ${moment}`).toMatchObject({ code: 2, stdout: '' });
      expect(refused.stderr, `for ${moment}`).toContain(reason);
    }
  });

  test('a directory goes back to a moment and returns, and nothing is lost on either side', async () => {
    const back = await project.here('sessions', 'restore', 'e1');
    expect(back.code).toBe(0);
    expect(back.stdout).toContain(`rlm-opencode sessions restore ${first}`);
    const branch = await project.current();
    expect(branch).not.toBe(first);
    expect((await project.here('search', '-c', 'alpha')).stdout).toBe('2\n');
    await project.ingest('c.txt', 'gamma alpha\n');
    expect((await project.here('search', '-c', 'alpha')).stdout).toBe('3\n');
    expect((await project.here('find', '-c', 'beta')).stdout).toBe('0\n');
    const returned = await project.here('sessions', 'restore', first);
    expect(returned.stdout).toContain(`restore ${branch}`);
    expect((await project.here('find', '-c', 'gamma')).stdout).toBe('0\n');
    expect((await project.here('find', '-c', 'beta')).stdout).toBe('1\n');
    const same = await project.here('sessions', 'restore', 'now');
    expect(same.stdout).toContain('already');
    expect(await project.current()).toBe(first);
    // A name that only the other one has.
    await project.here('sessions', 'snapshot', 'there', '--session', branch);
    await project.here('sessions', 'restore', 'there');
    expect(await project.current()).toBe(branch);
    await project.here('sessions', 'restore', first);
  });

  test('a branch has a name, and no directory until it is restored', async () => {
    const made = await project.here('sessions', 'branch', '--at', 'e1', '--name', 'try-2');
    expect(made.stdout).toContain('rlm-opencode sessions restore try-2');
    expect(await project.current()).toBe(first);
    const again = await project.here('sessions', 'branch', '--name', 'try-2');
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('is called try-2 already');
    await project.here('sessions', 'restore', 'try-2');
    const member = (await project.line()).find(({ name }) => name === 'try-2');
    expect(await project.current()).toBe(member?.id);
    expect(member?.from).toEqual({ session: first, entries: 1 });
    await project.here('sessions', 'restore', first);
    const unknown = await project.here('sessions', 'restore', 'sess_00ff00ff');
    expect(unknown.stderr).toContain(`The line of this project has`);
  });

  test('the log is a tree of 80 columns, the list says what goes on from what', async () => {
    const { stdout } = await project.here('sessions', 'log');
    expect(widest(stdout)).toBeLessThanOrEqual(80);
    expect(stdout).toContain('├─ e1  sess_');
    expect(stdout).toContain('e2  snapshot both');
    expect(stdout).toContain('has this one');
    expect(stdout).toContain('had this one before');
    expect(stdout).toContain('Times are local: UTC.');
    const line = await project.line();
    expect(line.map(({ id }) => id)[0]).toBe(first);
    expect(line.every(({ diskBytes }) => diskBytes > 0)).toBe(true);
    const list = await project.run('sessions');
    expect(list.stdout).toContain(`goes on from ${first}, behind e1`);
    expect(list.stdout).toContain('had it before');
    expect(widest(list.stdout.replaceAll(project.directory, '~/project'))).toBeLessThanOrEqual(80);
  });

  test('a store that others go on from is deleted with them, or leaves them copies', async () => {
    const branches = (await project.line()).filter(({ id }) => id !== first);
    const refused = await project.run('sessions', 'rm', first, '--yes');
    expect(refused.code).toBe(2);
    for (const { id } of branches) expect(refused.stderr).toContain(id);
    expect(refused.stderr).toContain('--with-branches');
    const asked = await project.run('sessions', 'rm', first, '--detach');
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('get copies');
    const both = await project.run('sessions', 'rm', first, '--detach', '--with-branches', '--yes');
    expect(both.code).toBe(2);
    expect(await project.run('sessions', 'rm', first, '--detach', '--yes')).toMatchObject({
      code: 0,
    });
    const named = branches.find(({ name }) => name === 'try-2')!;
    const read = await project.run('get', 'e1', '--session', named.id);
    expect(read.stdout).toBe('alpha one\nalpha two\n');
    // What holds the copies is nobody's business.
    const listed = JSON.parse((await project.run('sessions', '--json')).stdout) as { id: string }[];
    expect(listed.map(({ id }) => id).toSorted()).toEqual(branches.map(({ id }) => id).toSorted());
    const log = await project.run('sessions', 'log', '--session', named.id);
    for (const { id } of branches) expect(log.stdout).toContain(id);
    expect(log.stdout.match(/sess_/g)).toHaveLength(branches.length);
  });
});

test('a directory without a store is told so by each of them', async () => {
  using project = new Project();
  for (const args of [['snapshot'], ['log'], ['branch'], ['restore', 'now']]) {
    const { code, stdout, stderr } = await project.here('sessions', ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('Nothing is stored for');
  }
});
