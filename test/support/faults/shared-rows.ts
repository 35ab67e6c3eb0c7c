import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/clock.ts';
import { silentLogger } from '../../../src/log.ts';
import { initSharedStore } from '../../../src/shared/database/init.ts';
import { faultyFiles, type Fault, type WriteCall } from '../../faults/faulty-files.ts';
import type { Message } from '../../../src/wire/types.ts';
import { CliHome } from '../cli.ts';
import { calling, clientTools, longText, resultOf, systemFor, user } from '../conversation.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { startProxy, type TestProxy } from '../proxy.ts';
import { type Relay, startRelay } from '../relay.ts';
import {
  done,
  finish,
  reply,
  type Reply,
  role as roleOf,
  type ScriptedUpstream,
  startScriptedUpstream,
  text,
} from '../scripted-upstream.ts';
import { openMachine, sharedStore } from '../shared-machines.ts';
import { failureWords, inTurn, logged, plain, type Row, type Section, whole } from './seen.ts';

/** What a fault is made of: the database of the row, the way to it, and the machine's disk. */
interface Place {
  /** Runs SQL in the row's database, as its owner. */
  readonly sql: (text: string) => Promise<string>;
  /** The same in another database of the server. */
  readonly elsewhere: (text: string) => Promise<string>;
  readonly relay: Relay;
  /** The proxy's role in the database. */
  readonly role: string;
  /** Where the proxy has its replicas, and what is known of the database. */
  readonly files: string;
}

/** A shared store that fails. */
interface SharedFault {
  readonly what: string;
  /** The server is started after it has begun: with what it knew, or on a machine that knows nothing. */
  readonly start?: 'again' | 'first';
  readonly begin?: (place: Place) => Promise<unknown>;
  readonly end?: (place: Place) => Promise<unknown>;
  /** What fails of the machine's own disk as long as it lasts. */
  readonly disk?: { readonly fault: Fault; readonly hits: (call: WriteCall) => boolean };
  readonly env?: Readonly<Record<string, string>>;
  /** What the log tells of it below a warning. */
  readonly says?: RegExp;
  /** How long the text of each turn is, characters. */
  readonly chars?: number;
}

const away = {
  begin: async ({ relay }: Place): Promise<void> => relay.refuse(),
  end: async ({ relay }: Place): Promise<void> => relay.release(),
};

/** Each row that would be added is refused as PostgreSQL refuses it with this code. */
function refusing(code: string, message: string): Pick<SharedFault, 'begin' | 'end'> {
  return {
    begin: async ({ sql }) =>
      sql(`create function refuse() returns trigger language plpgsql as $$
        begin raise exception '${message}' using errcode = '${code}'; end $$;
        create trigger refuse before insert on rlm_log for each row execute function refuse()`),
    end: async ({ sql }) => sql('drop trigger refuse on rlm_log; drop function refuse'),
  };
}

/** The last rows of the chat's store were never there. */
async function lose({ sql }: Place): Promise<void> {
  await sql(`update rlm_session set head = 1 where project = 'p' and head > 1;
    delete from rlm_log l using rlm_session s where l.session = s.id and l.pos > s.head`);
}

/** Of what was written since the machine started no byte has come to the disk. */
function cutPower(files: string): void {
  for (const id of readdirSync(join(files, 'replicas')))
    writeFileSync(join(files, 'replicas', id), 'dirty another-start\n');
  for (const name of readdirSync(join(files, 'sessions'))) {
    if (!/_(?:context\.txt|entries\.jsonl|chats\.jsonl)$/.test(name)) continue;
    const path = join(files, 'sessions', name);
    writeFileSync(path, Buffer.alloc(readFileSync(path).length));
  }
}

const full: Fault = { kind: 'error', code: 'ENOSPC' };
const broken: Fault = { kind: 'error', code: 'EIO' };

function inFolder(
  folder: string,
  ...names: readonly WriteCall['name'][]
): (call: WriteCall) => boolean {
  return ({ name, path }) => path.includes(`/${folder}/`) && names.includes(name);
}

const sharedFaults: readonly SharedFault[] = [
  { what: 'the database is away, and was never reached', start: 'first', ...away },
  { what: 'the database is away when the server starts', start: 'again', ...away },
  { what: 'the database goes away', ...away },
  {
    what: 'the network swallows everything',
    begin: async ({ relay }) => relay.hold(),
    end: async ({ relay }) => relay.release(),
  },
  {
    what: 'there is no such database',
    start: 'first',
    begin: async ({ elsewhere, role }) => elsewhere(`alter database ${role} rename to hidden`),
    end: async ({ elsewhere, role }) => elsewhere(`alter database hidden rename to ${role}`),
  },
  {
    what: '`store init` was never run',
    start: 'first',
    begin: async ({ sql }) => sql('alter table rlm_meta rename to hidden'),
    end: async ({ sql }) => sql('alter table hidden rename to rlm_meta'),
  },
  {
    what: 'it refuses the password, when the server starts',
    start: 'again',
    begin: async ({ sql, role }) => sql(`alter role ${role} password 'another'`),
    end: async ({ sql, role }) => sql(`alter role ${role} password 'right'`),
  },
  {
    what: 'it refuses the password later',
    begin: async ({ sql, relay, role }) => {
      await sql(`alter role ${role} password 'another'`);
      relay.cut();
    },
    end: async ({ sql, role }) => sql(`alter role ${role} password 'right'`),
  },
  {
    what: 'tables of a newer version, when the server starts',
    start: 'again',
    begin: async ({ sql }) => sql('update rlm_meta set version = version + 90'),
    end: async ({ sql }) => sql('update rlm_meta set version = version - 90'),
  },
  {
    what: 'its disk is full',
    ...refusing('53100', 'could not extend file: No space left on device'),
  },
  { what: 'a row breaks a rule of the owner', ...refusing('23514', 'not on a Sunday') },
  {
    what: 'it takes no writes (a standby)',
    begin: async ({ sql, relay, role }) => {
      await sql(`alter role ${role} set default_transaction_read_only = on`);
      relay.cut();
    },
    end: async ({ sql, relay, role }) => {
      await sql(`alter role ${role} reset default_transaction_read_only`);
      relay.cut();
    },
  },
  {
    what: 'a standby has taken over that lacks the last rows',
    begin: async (place) => lose(place),
    says: /is fetched anew/,
  },
  {
    what: 'a standby has taken over that lacks the last rows, when the server starts',
    start: 'again',
    begin: async (place) => lose(place),
    says: /is fetched anew/,
  },
  {
    what: 'no more connections',
    begin: async ({ sql, relay, role }) => {
      await sql(`alter role ${role} connection limit 0`);
      relay.cut();
    },
    end: async ({ sql, role }) => sql(`alter role ${role} connection limit -1`),
  },
  {
    what: 'the role may add nothing any more',
    begin: async ({ sql, role }) => sql(`revoke insert on rlm_log from ${role}`),
    end: async ({ sql, role }) => sql(`grant insert on rlm_log to ${role}`),
  },
  {
    what: 'a row that is not understood',
    begin: async ({ sql }) =>
      sql(`with s as (update rlm_session set head = head + 1 where project = 'p' returning id, head)
        insert into rlm_log (session, pos, time_ms, writer, n, machine, facts)
        select id, head, 1, gen_random_uuid(), 1, 'newer', '{"ops":[{"op":"paint"}]}' from s`),
    end: async ({ sql }) => sql(`update rlm_log set facts = '{"ops":[]}' where machine = 'newer'`),
  },
  {
    what: 'it is away, and what waits for it finds no room here',
    ...away,
    disk: { fault: full, hits: inFolder('spool', 'create') },
  },
  {
    what: 'it is away, and the disk here is broken',
    ...away,
    disk: { fault: broken, hits: inFolder('spool', 'create') },
  },
  {
    what: 'it is away, and what waits does not get its name here',
    ...away,
    disk: { fault: broken, hits: inFolder('spool', 'rename') },
  },
  {
    what: 'it is away, and as much waits as may wait',
    ...away,
    env: { RLM_STORE_SPOOL_BYTES: '1048576' },
    chars: 1_100_000,
  },
  {
    what: 'no room here when the server starts',
    start: 'again',
    disk: { fault: full, hits: ({ name }) => name === 'write' || name === 'create' },
  },
  {
    what: 'no room here for what is known of projects',
    start: 'first',
    disk: { fault: full, hits: ({ path }) => path.includes('shared-projects.json') },
  },
  {
    what: 'which store each project had is damaged, and the database away when the server starts',
    start: 'again',
    begin: async ({ relay, files }) => {
      relay.refuse();
      writeFileSync(join(files, 'mappings/shared-projects.json'), 'damaged');
    },
    end: away.end,
  },
  {
    what: 'what was known of the database is damaged, and it is away when the server starts',
    start: 'again',
    begin: async ({ relay, files }) => {
      relay.refuse();
      writeFileSync(join(files, 'mappings/shared-store.json'), 'damaged');
    },
    end: away.end,
  },
  {
    what: 'the power was cut while the replica was in use',
    start: 'again',
    begin: async ({ files }) => cutPower(files),
    says: /is fetched anew/,
  },
  {
    what: 'the power was cut while the replica was in use, and the database is away when the server starts',
    start: 'again',
    begin: async ({ relay, files }) => {
      relay.refuse();
      cutPower(files);
    },
    end: away.end,
  },
  {
    what: 'no room here for the replica',
    disk: { fault: full, hits: inFolder('sessions', 'write', 'create') },
  },
  {
    what: 'the disk of the replica is broken',
    disk: { fault: broken, hits: inFolder('sessions', 'write', 'create') },
  },
];

function uncounted(content: string): Reply {
  return reply(roleOf(), text(content), finish(), done());
}

/** One project's chat over a shared store: each turn brings one large text. */
class SharedChat {
  readonly messages: Message[] = [systemFor('/work'), user('What went wrong?')];
  readonly #upstream: ScriptedUpstream;
  readonly #chars: number;

  constructor(upstream: ScriptedUpstream, chars: number) {
    this.#upstream = upstream;
    this.#chars = chars;
  }

  /** What the turns have brought. */
  readonly outputs: string[] = [];

  async turn(proxy: TestProxy): Promise<{ readonly got: string; readonly goesUp: string }> {
    const id = `call_${this.outputs.length}`;
    const output = longText(this.#chars, id);
    this.outputs.push(output);
    this.messages.push(calling(id, 'bash', { command: 'make' }), resultOf(id, output));
    const got = await this.#ask(proxy);
    const sent = String(this.#upstream.requests.at(-1)?.body.messages.at(-1)?.content);
    return { got, goesUp: upAs(sent, output) };
  }

  /** A turn that brings nothing but what was there. */
  async goOn(proxy: TestProxy): Promise<void> {
    this.messages.push(user('Go on.'));
    await this.#ask(proxy);
  }

  async #ask(proxy: TestProxy): Promise<string> {
    this.#upstream.script(uncounted('Done.'));
    const headers = { 'x-session-id': 'ses_1', 'x-rlm-directory': '/work', 'x-rlm-project': 'p' };
    const body = { model: 'm', messages: this.messages, tools: clientTools };
    const got = await whole(await proxy.post(body, headers));
    this.messages.push({ role: 'assistant', content: 'Done.' });
    return got;
  }
}

function upAs(sent: string, output: string): string {
  if (sent === output) return 'whole';
  if (!sent.startsWith('[rlm]')) return 'cut to the window';
  return sent.includes('when the shared store is back') ? 'as a stub that stands in' : 'as a stub';
}

async function sharedRow(postgres: TestPostgres, name: string, fault: SharedFault): Promise<Row> {
  const database = name;
  await postgres.sql(`create database ${database}`);
  await postgres.sql(`create role ${name} login password 'right'`);
  await initSharedStore(postgres.url({ database }), {
    log: silentLogger(),
    clock: systemClock,
    roles: [{ role: name, projects: ['p', '+'] }],
  });
  await using relay = await startRelay(postgres.port);
  using home = new CliHome();
  const place: Place = {
    sql: async (words) => postgres.sql(words, { database }),
    elsewhere: async (words) => postgres.sql(words),
    relay,
    role: name,
    get files() {
      const folder = join(home.dataDir, 'shared');
      return join(folder, readdirSync(folder)[0]!);
    },
  };
  let isBroken = false;
  const { files } = faultyFiles((call) =>
    isBroken && fault.disk?.hits(call) === true ? fault.disk.fault : { kind: 'none' },
  );
  await using upstream = await startScriptedUpstream();
  const lines: string[] = [];
  let skippedMs = 0;
  const clock = { ...systemClock, elapsedMs: () => systemClock.elapsedMs() + skippedMs };
  const start = async (): Promise<TestProxy> =>
    startProxy({
      upstream,
      files,
      dataDir: home.dataDir,
      ...(fault.start !== undefined && { clock }),
      env: {
        RLM_STORE_URL: `postgres://${name}:right@127.0.0.1:${relay.port}/${database}`,
        RLM_STORE_WAIT_MS: '3000',
        ...fault.env,
      },
      onLog: (line) => lines.push(line),
    });
  const chat = new SharedChat(upstream, fault.chars ?? 60_000);
  let proxy = fault.start === 'first' ? undefined : await start();
  if (proxy !== undefined) await chat.turn(proxy);
  if (fault.start === 'again') {
    await proxy![Symbol.asyncDispose]();
    proxy = undefined;
  }
  await fault.begin?.(place);
  isBroken = true;
  lines.length = 0;
  let seen: Row;
  try {
    proxy ??= await start();
    const { got, goesUp } = await chat.turn(proxy);
    const { status, lastStoreFault, sharedStore } = await proxy.health();
    const why = lastStoreFault === undefined ? '' : ` (\`${lastStoreFault}\`)`;
    const waits = (sharedStore?.waitingRows ?? 0) > 0 ? ', something waits' : '';
    seen = [got, goesUp, `${status}${why}${waits}`];
    await until(() => troubles(lines, fault.says) !== '');
  } catch (error) {
    seen = [`no start: ${plain(failureWords(error))}`, '', ''];
  }
  const log = troubles(lines, fault.says);
  await fault.end?.(place);
  isBroken = false;
  // It is tried again after ten seconds where there was no store.
  skippedMs = 10_000;
  proxy ??= await start();
  await chat.turn(proxy);
  await using fresh = await openMachine(join(home.folder, 'fresh'), postgres.url({ database }));
  const isAllThere = async (): Promise<boolean> => {
    const { store } = await sharedStore(fresh, 'p');
    const stored = await Promise.all(store.entries.map(async (entry) => store.readEntry(entry)));
    return chat.outputs.every((each) => stored.filter((one) => one === each).length === 1);
  };
  for (const mended = proxy; !(await isAllThere()); await systemClock.sleep(300))
    await chat.goOn(mended);
  // What is said of health is said of the last text that was brought.
  await chat.turn(proxy);
  await until(isAllThere);
  const { status } = await proxy.health();
  await proxy[Symbol.asyncDispose]();
  return [fault.what, ...seen, log, `all texts are there, once; ${status}`];
}

/** What the log warns of, or says, each line once: how often depends on how fast things go. */
function troubles(lines: readonly string[], says = /"level":(?:40|50)/): string {
  const isOne = (line: string): boolean => /"level":(?:40|50)/.test(line) || says.test(line);
  return logged([...new Set(lines.filter(isOne))]).replaceAll(/ ×\d+/g, '');
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await systemClock.sleep(50);
}

/** What is seen of a shared store that fails. */
export async function sharedSections(): Promise<readonly Section[]> {
  await using postgres = await startPostgres([], {
    'pg_hba.conf': 'host all rlm 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
  });
  return [
    {
      title: 'A store that machines share',
      text: 'Each row is a database, a role in it, a machine with its chat, and another machine that looks afterwards. A first turn has stored a text; then the fault begins, and a second turn brings another one. When it is mended, the next turns bring more.',
      head: [
        'What fails',
        'Answer',
        'The new text goes up',
        '`/health`',
        'Log',
        'Once it is mended',
      ],
      rows: await inTurn(
        sharedFaults.map((fault, at) => ({ fault, name: `row${at}` })),
        async ({ fault, name }) => sharedRow(postgres, name, fault),
        12,
      ),
    },
  ];
}
