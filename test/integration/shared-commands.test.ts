import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { PushReport, SharedStatus } from '../../src/store/shared-side.ts';
import { CliHome, type CliResult } from '../support/cli.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';

describe.skipIf(noPostgres !== undefined)(
  `commands about a shared store (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;

    beforeAll(async () => {
      postgres = await startPostgres();
    });

    afterAll(async () => {
      await postgres[Symbol.asyncDispose]();
    });

    async function freshDatabase(): Promise<string> {
      const database = `d${randomUUID().slice(0, 8)}`;
      await postgres.sql(`create database ${database}`);
      return postgres.url({ database });
    }

    test('a store is made once, says what to do next, and is looked at', async () => {
      using home = new CliHome();
      const env = { RLM_STORE_URL: await freshDatabase() };
      const run = async (...args: string[]): Promise<CliResult> => home.runHere(args, env);
      const before = await run('doctor', '--offline');
      expect(before.stdout).toContain('it has no tables yet');
      expect(before.stdout).toContain('rlm-opencode store init');
      const first = await run('store', 'init');
      expect(first.stdout + first.stderr).toContain(
        'The shared store is made: postgres://rlm@127.0.0.1',
      );
      expect(first.stdout).toContain('rlm-opencode store push');
      const again = await run('store', 'init', '--json');
      expect(JSON.parse(again.stdout)).toMatchObject({
        isNew: false,
        hasTeamKey: false,
        roles: [],
      });
      const file = join(home.folder, 'notes.txt');
      writeFileSync(file, 'a line of notes\n');
      await run('ingest', file, '--directory', home.folder);
      const status = await run('store', 'status');
      expect(status.stdout).toMatch(/PostgreSQL \d+.*a round trip takes [\d.]+ ms/);
      expect(status.stdout).toMatch(
        /path:.*\n {2}sess_\w+\n {2}\d+ rows?, all here, .*\n {2}\S+: \d+ rows?, last 20/,
      );
      const listed = await run('sessions');
      expect(listed.stdout).toMatch(/\n {2}shared as _rlm:path:.*\n {2}last written by \S+, 20/);
      expect((await run('stats', '--directory', home.folder)).stdout).toMatch(
        /\nshared as _rlm:path:/,
      );
      const doctor = await run('doctor', '--offline');
      expect(doctor.stdout).toMatch(/ok +shared store: postgres:.*\n/);
      expect(doctor.stdout).toContain('no standby');
      expect(doctor.stdout).toContain('0 rows behind');
      expect(doctor).toMatchObject({ code: 0 });
    });

    test('what keeps a store from being used is said with what to do', async () => {
      using home = new CliHome();
      const said = async (url: string, ...args: string[]): Promise<string> => {
        const { code, stdout, stderr } = await home.runHere(args, { RLM_STORE_URL: url });
        expect(code).not.toBe(0);
        return stdout + stderr;
      };
      const nobody = postgres.url({ port: 1 });
      expect(await said(nobody, 'store', 'status')).toMatch(/nothing listens there\.\n.*port/);
      expect(await said(nobody, 'doctor', '--offline')).toMatch(
        /fail +The shared store .* nothing listens/,
      );
      expect(await said(postgres.url({ database: 'none' }), 'store', 'init')).toMatch(
        /refuses: .*\nCreate the database/,
      );
      expect(await said('postgres://rlm@nosuch.invalid/rlm', 'store', 'status')).toMatch(
        /no such host|does not answer/,
      );
      const without = await home.runHere(['store', 'status'], { RLM_STORE_URL: '' });
      expect(without.stderr).toContain('No shared store is set');
      expect((await home.runHere(['store', 'key'])).stdout).toMatch(/^[\w-]{43}\n$/);
    });

    test('a role sees only the projects that it was given', async () => {
      using home = new CliHome();
      const url = await freshDatabase();
      await postgres.sql('create role ann login').catch(() => undefined);
      const granted = await home.runHere(['store', 'init', '--role', 'ann=shop,api'], {
        RLM_STORE_URL: url,
      });
      expect(granted.stdout).toContain('  ann sees shop, api\n');
      const file = join(home.folder, 'a.txt');
      writeFileSync(file, 'text\n');
      const ingest = async (user: string, project: string): Promise<CliResult> =>
        home.runHere(['ingest', file, '--directory', home.folder], {
          RLM_STORE_URL: url.replace('//rlm@', `//${user}@`),
          RLM_STORE_PROJECT: project,
        });
      expect(await ingest('ann', 'shop')).toMatchObject({ code: 0 });
      expect(await ingest('rlm', 'hidden')).toMatchObject({ code: 0 });
      expect((await ingest('ann', 'hidden')).stderr).toContain('may not see the project');
      const wrong = await home.runHere(['store', 'init', '--role', 'ann'], { RLM_STORE_URL: url });
      expect(wrong.stderr).toContain('--role cannot be `ann`');
    });

    test('what others share is listed, fetched by its name when it is read, and deleted from here', async () => {
      using home = new CliHome();
      using other = new CliHome();
      const env = { RLM_STORE_URL: await freshDatabase() };
      await home.runHere(['store', 'init'], env);
      const file = join(home.folder, 'a.txt');
      writeFileSync(file, 'a needle\n');
      const asShop = { ...env, RLM_STORE_PROJECT: 'shop' };
      await home.runHere(['ingest', file, '--directory', home.folder], asShop);
      const run = async (...args: string[]): Promise<CliResult> => other.runHere(args, env);
      const listed = await run('sessions');
      expect(listed.stdout).toMatch(
        /^(sess_\w+) {2}\d+ rows?, not on this machine\n {2}shared as shop\n {2}last written by .*\n\n.*stats --session \1\n$/,
      );
      const id = /sess_\w+/.exec(listed.stdout)![0];
      expect(JSON.parse((await run('sessions', '--json')).stdout)).toMatchObject([
        { id, isElsewhere: true, shared: { project: 'shop' } },
      ]);
      expect((await run('store', 'status')).stdout).not.toContain(':chats');
      expect(await run('search', '-c', 'needle', '--project', 'shop')).toMatchObject({
        stdout: '1\n',
      });
      expect((await run('sessions')).stdout).toContain('1 entry');
      expect(await run('get', 'a.txt', '--session', id)).toMatchObject({ code: 0 });
      expect(await run('stats', '--project', 'none')).toMatchObject({ code: 1 });
      const none = await run('search', 'x', '--project', 'none');
      expect(none.stdout + none.stderr).toContain('Nothing is shared under the name none');
      expect((await run('stats', '--project', 'shop', '--session', id)).stderr).toContain(
        'give one of them',
      );
      const local = await other.runHere(['stats', '--project', 'shop'], { RLM_STORE_URL: '' });
      expect(local.stderr).toContain('no shared store is set');
      using third = new CliHome();
      const asked = await third.runHere(['sessions', 'rm', id], env);
      expect(asked.stderr).toContain(`${id} of shop (nothing of it is here), on every machine`);
      expect(await third.runHere(['sessions', 'rm', id, '--yes'], env)).toMatchObject({ code: 0 });
      expect((await third.runHere(['sessions', 'rm', id, '--yes'], env)).stderr).toContain(id);
      expect((await run('sessions')).stdout).not.toContain(id);
    });

    test('a local store becomes shared: everything, once, in its order', async () => {
      using home = new CliHome();
      using other = new CliHome();
      const url = await freshDatabase();
      const shared = { RLM_STORE_URL: url };
      const local = { RLM_STORE_URL: '' };
      const shop = join(home.folder, 'shop');
      const api = join(home.folder, 'api');
      for (const folder of [shop, api]) mkdirSync(folder);
      const here = ['--directory', shop];
      const run = async (args: readonly string[], env: Record<string, string>): Promise<string> => {
        const { code, stdout, stderr } = await home.runHere(args, env);
        expect({ args, code, stderr }).toMatchObject({ code: 0 });
        return stdout;
      };
      const write = (name: string, text: string | Uint8Array): string => {
        const path = join(shop, name);
        writeFileSync(path, text);
        return path;
      };
      const files = [
        write('a.txt', 'first text\n'),
        write('b.bin.txt', Uint8Array.of(0x61, 0xff, 0x62, 0x0a)),
        write('large.txt', 'a line of many\n'.repeat(120_000)),
      ];
      for (const file of files) await run(['ingest', file, ...here], local);
      await run(['sessions', 'snapshot', 'half', ...here], local);
      await run(['ingest', write('same.txt', 'first text\n'), ...here], local);
      await run(['ingest', write('last.txt', 'the last of all\n'), ...here], local);
      await run(['sessions', 'pin', 'e1', ...here], local);
      await run(['sessions', 'forget', 'e3', '--yes', ...here], local);
      await run(['ingest', write('c.txt', 'of another\n'), '--directory', api], local);
      await run(['sessions', 'link', shop, api], local);
      const stats = JSON.parse(await run(['stats', '--json', ...here], local)) as object;
      await run(['store', 'init'], shared);
      const trial = JSON.parse(
        await run(['store', 'push', '--dry-run', '--json'], shared),
      ) as PushReport;
      expect(trial.stores.map(({ texts }) => texts).toSorted((a, b) => a - b)).toEqual([1, 4]);
      const pushed = JSON.parse(await run(['store', 'push', '--json'], shared)) as PushReport;
      expect(pushed.stores.find(({ directory }) => directory === shop)).toMatchObject({
        texts: 4,
        again: 1,
        events: 2,
      });
      const rows = async (): Promise<string> => run(['store', 'status', '--json'], shared);
      const rowsOf = (text: string): unknown =>
        (JSON.parse(text) as { shared: SharedStatus }).shared.stores.map((each) => each.rows);
      const after = rowsOf(await rows());
      expect(await run(['store', 'push'], shared)).toContain('all of it is there already');
      expect(rowsOf(await rows())).toEqual(after);
      // What is read of it is what was read of the local one.
      const sharedStats = JSON.parse(await run(['stats', '--json', ...here], shared)) as object;
      expect(entriesOf(sharedStats)).toEqual(entriesOf(stats));
      expect(await run(['sessions', 'pins', ...here], shared)).toContain('e1');
      const then = ['search', '--as-of', 'half', '-c', 'the last', ...here];
      expect(await home.runHere(then, shared)).toMatchObject({ code: 1, stdout: '0\n' });
      expect(await run(['get', 'same.txt', ...here], shared)).toContain('first text');
      expect(await run(['sessions', 'show', shop], shared)).toMatch(/reads:\n +api: /);
      // Texts that come later are sent alone.
      await run(['ingest', write('new.txt', 'new since\n'), ...here], local);
      expect(await run(['store', 'push', shop], shared)).toContain('sent: 1 text (');
      // A process that holds the local stores keeps them.
      const server = await home.serveHere(local);
      const refused = await home.runHere(['store', 'push'], shared);
      expect(refused.stderr).toMatch(
        /The stores of this machine are in use\.[\s\S]*RLM_STORE_URL= rlm-opencode stop/,
      );
      await server[Symbol.asyncDispose]();
      expect((await other.runHere(['store', 'push'], shared)).stderr).toContain(
        'Nothing is stored',
      );
    });

    /** What is told of each entry but for one whose text was forgotten: only that stays. */
    function entriesOf(stats: object): unknown {
      const { entries, newest_entries: newest } = stats as {
        readonly entries: number;
        readonly newest_entries: readonly { readonly entry: string }[];
      };
      const others = newest.filter(({ entry }) => entry !== 'e3');
      return { entries, others: others.map((entry) => Object.assign(entry, { offset: 0 })) };
    }

    test('a push that was stopped anywhere goes on, and nothing is there twice', async () => {
      using home = new CliHome();
      const shared = { RLM_STORE_URL: await freshDatabase() };
      const here = ['--directory', home.folder];
      const folder = join(home.folder, 'many');
      mkdirSync(folder);
      for (let at = 0; at < 300; at += 1) {
        writeFileSync(join(folder, `f${at}.txt`), `text ${at}\n`.repeat(at % 7 === 0 ? 9_000 : 3));
      }
      await home.runHere(['ingest', folder, ...here], { RLM_STORE_URL: '' });
      await home.runHere(['store', 'init'], shared);
      const child = home.spawn(['store', 'push'], shared);
      // Heard from the beginning: on a slow machine the push is over before it is to be stopped.
      const closed = new Promise((go) => child.once('close', go));
      const until = Date.now() + 60_000;
      const database = shared.RLM_STORE_URL.split('/').at(-1)!;
      const count = async (): Promise<number> =>
        Number(await postgres.sql('select count(*) from rlm_log', { database }));
      while ((await count()) < 4 && Date.now() < until)
        await new Promise((go) => setTimeout(go, 20));
      child.kill('SIGKILL');
      await closed;
      const pushed = await home.runHere(['store', 'push', '--json'], shared);
      expect(pushed).toMatchObject({ code: 0 });
      const { stdout } = await home.runHere(['stats', '--json', ...here], shared);
      expect(JSON.parse(stdout)).toMatchObject({ entries: 300 });
      const [store] = (JSON.parse(pushed.stdout) as PushReport).stores;
      expect(store).not.toHaveProperty('isRenumbered');
    });

    test('what is here of shared stores goes by size and age, not while it is used, and comes again', async () => {
      using home = new CliHome();
      const shared = { RLM_STORE_URL: await freshDatabase() };
      await home.runHere(['store', 'init'], shared);
      const folders = ['one', 'two'].map((name) => join(home.folder, name));
      for (const folder of folders) {
        mkdirSync(folder);
        writeFileSync(join(folder, 'a.txt'), `needle of ${folder}\n`.repeat(40_000));
        await home.runHere(['ingest', folder, '--directory', folder], shared);
      }
      const sessions = join(home.dataDir, 'shared');
      const texts = (): readonly string[] =>
        readdirSync(sessions, { recursive: true })
          .map(String)
          .filter((name) => name.endsWith('_context.txt'));
      expect(texts()).toHaveLength(3);
      const bounded = { ...shared, RLM_STORE_REPLICA_MAX_BYTES: '1048576' };
      const server = await home.serveHere(bounded);
      await vi.waitFor(() => expect(texts()).toHaveLength(1), { timeout: 30_000 });
      for (const folder of folders) {
        const found = await home.runHere(
          ['search', '-c', 'needle', '--directory', folder],
          bounded,
        );
        expect(found).toMatchObject({ stderr: '', stdout: expect.stringContaining('40000') });
      }
      expect(texts()).toHaveLength(3);
      await server[Symbol.asyncDispose]();
    });
  },
);
