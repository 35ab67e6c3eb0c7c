import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { probeStore } from '../../src/shared/database/probe.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { openMachine, sharedStore } from '../support/shared-machines.ts';

const run = promisify(execFile);
const noOpenssl = await run('openssl', ['version']).then(
  () => undefined,
  () => 'no openssl on this machine: `apt-get install -y openssl`',
);
const why = noPostgres ?? noOpenssl;

/** A key on a curve that every server knows. */
const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

describe.skipIf(why !== undefined)(`a shared store over TLS (${why ?? 'PostgreSQL'})`, () => {
  let postgres: TestPostgres;
  let folder: string;
  let machines = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rlm-tls-'));
    const openssl = async (line: string): Promise<unknown> =>
      run('openssl', line.split(' '), { cwd: folder });
    for (const ca of ['ca', 'other']) {
      await openssl(`req -x509 ${newKey} -days 2 -subj /CN=${ca} -keyout ${ca}.key -out ${ca}.pem`);
    }
    await openssl(`req ${newKey} -subj /CN=db -keyout db.key -out db.csr`);
    await writeFile(join(folder, 'names'), 'subjectAltName=DNS:localhost\n');
    const signed = '-CA ca.pem -CAkey ca.key -days 2 -extfile names -out db.pem';
    await openssl(`x509 -req -in db.csr ${signed}`);
    postgres = await startPostgres(['ssl=on'], {
      'server.crt': await readFile(join(folder, 'db.pem'), 'utf8'),
      'server.key': await readFile(join(folder, 'db.key'), 'utf8'),
      // Nobody comes in without encryption.
      'pg_hba.conf': 'hostssl all all 127.0.0.1/32 trust\n',
    });
    await initSharedStore(url('ca'), { log: silentLogger(), clock: systemClock });
  });

  afterAll(async () => {
    await postgres[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const url = (ca: string | undefined, host = 'localhost', mode = 'verify-full'): string => {
    const root = ca === undefined ? '' : `&sslrootcert=${join(folder, `${ca}.pem`)}`;
    return `postgres://rlm@${host}:${postgres.port}/rlm?sslmode=${mode}${root}`;
  };

  const open = async (at: string): ReturnType<typeof openMachine> => {
    machines += 1;
    return openMachine(join(folder, `machine-${machines}`), at, { waitMs: 3_000 });
  };

  test('texts go over an encrypted connection whose server an authority of one’s own vouches for', async () => {
    await using one = await open(url('ca'));
    const { store } = await sharedStore(one, 'encrypted');
    await store.append([{ kind: 'user_text', text: 'over TLS\n'.repeat(300_000) }]);
    await using two = await open(url('ca'));
    const there = (await sharedStore(two, 'encrypted')).store;
    expect(there.totals.entries).toBe(1);
    const probe = await probeStore(url('ca'), { log: silentLogger(), connectMs: 3_000 });
    expect(probe.isEncrypted).toBe(true);
  });

  test('a server is not used that is not who it should be, or where nothing is encrypted', async () => {
    const refused: readonly (readonly [at: string, says: RegExp])[] = [
      [url('other'), /signature|certificate/],
      [url(undefined), /certificate|self[- ]signed/],
      // It has another name.
      [url('ca', '127.0.0.1'), /altnames|IP: 127\.0\.0\.1|Hostname/],
      [url(undefined, 'localhost', 'disable'), /no encryption/],
    ];
    await Promise.all(
      refused.map(async ([at, says]) => {
        const failure = await open(at).catch((error: unknown) => error);
        expect(failure).toMatchObject({ code: 'store_away' });
        const { message, cause } = failure as Error;
        expect(`${message} ${String(cause)}`).toMatch(says);
      }),
    );
  });
});
