import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Message } from '../../../src/wire/types.ts';
import { calling, resultOf, user } from '../../support/conversation.ts';
import { Gate, type RecordedRequest, type Reply, status } from '../../support/scripted-upstream.ts';
import type { Browser, Page } from './browser.js';
import { expectClean, type Look, openPage, until, type Watched } from './looking.ts';
import {
  countedAnswer,
  countedCalls,
  isSubCall,
  logText,
  type RealServer,
  startRealServer,
  storeMany,
  subAnswer,
  writeLog,
} from './real-server.ts';

/** Text that is a node, a request or a dialog wherever it is taken for anything but text. */
const hostile = '<img src=x onerror=alert(1)>';

/** Characters of the large store. */
const largeChars = 100_000_000;

/** Runs a check by its name. */
type Check = (name: string, run: () => Promise<void>) => Promise<void>;

/**
 * The page of the built program, with turns that really run while it is looked at, and a store of
 * 100 million characters.
 * @param screenshots Folder for pictures; absent: none are made
 */
export async function playRealServer(
  browser: Browser,
  {
    packageFolder,
    check,
    screenshots,
  }: {
    readonly packageFolder: string;
    readonly check: Check;
    readonly screenshots: string | undefined;
  },
): Promise<void> {
  if (screenshots !== undefined) await mkdir(screenshots, { recursive: true });
  const picture = async (page: Page, name: string): Promise<void> => {
    if (screenshots !== undefined)
      await page.screenshot({ path: join(screenshots, `${name}.png`) });
  };
  await using server = await startRealServer(packageFolder, { otherModel: hostile });
  await check('served: whoever has not come by a link sees nothing, and no other user', async () =>
    seesNothing(browser, server),
  );
  let visit: Watched | undefined;
  await check('served: the link lets in, and says what an empty server is for', async () => {
    visit = await enter(browser, server);
    await visit.page.getByText('No turn yet').waitFor();
    await visit.page.getByText('Nothing is stored yet').waitFor();
    await picture(visit.page, 'empty');
    assert.deepEqual(visit.faults, []);
  });
  if (visit === undefined) return;
  const { page, faults } = visit;
  const script = new Script(server);
  const shop = join(server.home, 'shop-api');
  await check('served: turns are seen as they come, failed ones with their reason', async () => {
    await workFor(server, script, shop);
    await page.getByText('failed: ').first().waitFor();
    await until(page, "document.querySelectorAll('.turn').length >= 8");
  });
  await check('served: names and texts of anybody stay text', async () => {
    const folder = join(server.home, hostile.replaceAll('/', ''));
    await mkdir(folder);
    await writeFile(join(folder, `${hostile}.txt`), `${hostile}\n`.repeat(50));
    await server.run('ingest', join(folder, `${hostile}.txt`), '--directory', folder);
    await page.goto(`${server.origin}/#/`);
    await page.locator('.sessions a', { hasText: 'onerror' }).first().click();
    await page.locator('.entries a', { hasText: 'onerror' }).first().click();
    await page.locator('.line', { hasText: 'onerror' }).first().waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    // A model and a tool of that name, in a turn and at the text that the tool has brought.
    script.set((request) => countedAnswer(request, hostile));
    const brought = resultOf('call_1', `${hostile} of a tool\n`.repeat(400));
    const messages = [user(hostile), calling('call_1', hostile, { [hostile]: hostile }), brought];
    assert.equal(await server.turn(folder, messages, `zai.${hostile}`), 200);
    await page.goto(`${server.origin}/#/`);
    await page.locator('.turn summary', { hasText: 'onerror' }).click();
    await page.locator('.turn-facts', { hasText: `zai.${hostile}` }).waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    await page.locator('.sessions a', { hasText: 'onerror' }).first().click();
    await page.locator('.entries a', { hasText: 'of a tool' }).first().waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    await page.goto(`${server.origin}/#/`);
    assert.deepEqual(faults, []);
  });
  await check(
    'served: of 100,000 entries only what is seen is there, and all can be reached',
    async () => listsMany(browser, packageFolder),
  );
  const logs = join(server.home, 'shop-logs');
  await check('served: a store of 100 million characters is searched by keys alone', async () => {
    const path = join(server.home, 'server.log');
    await writeLog(path, largeChars);
    await server.run('ingest', path, '--directory', logs);
    await page.reload();
    await searchLarge(page);
    await picture(page, 'search');
    await openHit(page);
    await picture(page, 'entry');
    assert.deepEqual(faults, []);
  });
  await check(
    'served: a turn is seen while it runs, with what it does unseen by its client',
    async () => {
      await page.goto(`${server.origin}/#/`);
      const gate = new Gate();
      const turn = runLive(server, script, { directory: logs, gate });
      try {
        await page.locator('.turn.is-running .call', { hasText: 'deadlock' }).first().waitFor();
        await page.locator('.turn.is-running .tag', { hasText: 'sub-calls' }).first().waitFor();
        await page.locator('.turn.is-running', { hasText: 'step 3' }).first().waitFor();
        await picture(page, 'live');
        await looksClean(browser, { server, picture });
      } finally {
        gate.open();
      }
      assert.equal(await turn, 200);
      await page.getByText('none is running').waitFor();
      await page.evaluate("document.querySelector('#turns').scrollIntoView()");
      await picture(page, 'turns');
      assert.deepEqual(faults, []);
    },
  );
  await page.context().close();
}

/** Entries of the long list. */
const manyEntries = 100_000;

async function listsMany(browser: Browser, packageFolder: string): Promise<void> {
  await using server = await startRealServer(packageFolder, {
    fill: async (dataDir, home) => storeMany(dataDir, join(home, 'many'), manyEntries),
  });
  const { page, faults } = await enter(browser, server);
  await page.locator('.sessions a', { hasText: 'many' }).first().click();
  const entries = page.locator('.entries li');
  await entries.first().waitFor();
  assert.equal(await entries.first().getAttribute('aria-setsize'), String(manyEntries));
  await page.locator('.entries a').first().focus();
  for (const [key, name] of [
    ['End', 'note 1'],
    ['Home', `note ${manyEntries}`],
  ] as const) {
    await page.keyboard.press(key);
    await page.locator('.entries a:focus', { hasText: name }).waitFor();
    assert.ok((await entries.count()) < 100);
  }
  await page.keyboard.press('Enter');
  await page
    .locator('.line', { hasText: `the text of note ${manyEntries}` })
    .first()
    .waitFor();
  assert.deepEqual(faults, []);
  await page.context().close();
}

/** Comes in by a link, as `rlm-opencode open` prints it. */
async function enter(browser: Browser, server: RealServer, look: Look = {}): Promise<Watched> {
  const link = (await server.run('open', '--print')).trim();
  const visit = await openPage(browser, link, look);
  await visit.page.getByRole('heading', { name: 'Turns' }).waitFor();
  assert.doesNotMatch(visit.page.url(), /code/);
  return visit;
}

const askingProgram = `
const [origin, ...paths] = process.argv.slice(1);
const statuses = [];
for (const path of paths) statuses.push((await fetch(origin + path)).status);
console.log(JSON.stringify(statuses));`;

async function seesNothing(browser: Browser, { origin }: RealServer): Promise<void> {
  const { page } = await openPage(browser, `${origin}/`);
  await page.getByText('rlm-opencode open').first().waitFor();
  assert.equal(await page.getByRole('heading', { name: 'Turns' }).count(), 0);
  await page.context().close();
  const paths = ['/', '/page/sessions', '/page/events', '/page/sessions/x/search?query=a'];
  // Root alone can start a program as another user.
  const other = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const program = ['--input-type=module', '--eval', askingProgram, '--', origin, ...paths];
  const child = spawn(process.execPath, program, {
    ...other,
    env: {},
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = child.stdout.setEncoding('utf8').toArray();
  await once(child, 'close');
  assert.deepEqual(JSON.parse((await said).join('')), [200, 401, 401, 401]);
}

/** What the provider says next, one reply for each request of a turn; sub-models are answered. */
class Script {
  #next: ((request: RecordedRequest) => Reply | Promise<Reply>)[] = [];

  constructor({ upstream }: RealServer) {
    upstream.otherwise((request) => {
      if (isSubCall(request)) return subAnswer();
      const next = this.#next.shift();
      return next === undefined ? countedAnswer(request, 'Done.') : next(request);
    });
  }

  /** Of the turn that comes. */
  set(...replies: readonly ((request: RecordedRequest) => Reply | Promise<Reply>)[]): void {
    this.#next = [...replies];
  }
}

const questions = [
  ['Why are orders slow since noon?', 'grep -c "in [0-9]* ms" server.log'],
  ['Which requests wait for the database?', 'npm run trace -- --slow'],
  ['Do the tests still pass?', 'npm test'],
  ['Show me the last deploy.', 'git log -20 --stat'],
];

/** An afternoon of work: its chat fills the model's window, and one turn fails. */
async function workFor(server: RealServer, script: Script, directory: string): Promise<void> {
  const history: Message[] = [];
  for (let number = 1; number <= 26; number += 1) {
    const [question = '', command = ''] = questions[number % questions.length] ?? [];
    const lines = number % 5 === 0 ? 900 : 45;
    history.push(
      user(question),
      calling(`call_${number}`, 'bash', { command }),
      resultOf(`call_${number}`, logText(number * 1_000, lines)),
    );
    const answer = `${question} ${'It is the lock on the orders table, as before. '.repeat(25)}`;
    if (number % 5 === 0)
      script.set(
        (request) => countedCalls(request, { name: 'rlm_search', args: { pattern: 'WARN|ERROR' } }),
        (request) => countedAnswer(request, answer),
      );
    else if (number === 24)
      script.set(() => status(402, { error: { message: 'Your balance is too low.' } }));
    else script.set((request) => countedAnswer(request, answer));
    await server.turn(directory, history);
    history.push({ role: 'assistant', content: answer });
  }
}

/** A turn that searches, has a program ask sub-models, and then waits for `gate`. */
async function runLive(
  server: RealServer,
  script: Script,
  { directory, gate }: { readonly directory: string; readonly gate: Gate },
): Promise<number> {
  script.set(
    (request) =>
      countedCalls(
        request,
        { name: 'rlm_search', args: { pattern: 'deadlock detected: process (\\d+)' } },
        { name: 'rlm_search', args: { pattern: ' ERROR ', aggregate: 'count' } },
      ),
    (request) =>
      countedCalls(request, {
        name: 'rlm_exec',
        args: {
          code: "const hits = context.search('deadlock detected', { max_results: 6 }).matches;\nllm_query_batched(hits.map((hit) => ['Who waited for whom?', hit.text])).join('\\n')",
        },
      }),
    async (request) => {
      await gate.opened;
      return countedAnswer(request, 'Twelve times, each time the orders table.');
    },
  );
  return server.turn(directory, [
    user('Which processes run into deadlocks, and who waits for whom?'),
    calling('call_1', 'bash', { command: 'tail -1000 server.log' }),
    resultOf('call_1', logText(5_000, 1_000)),
  ]);
}

async function searchLarge(page: Page): Promise<void> {
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('deadlock detected');
  await page.keyboard.press('Enter');
  await page.locator('.found', { hasText: ' hits' }).waitFor();
  await page.locator('.hits mark', { hasText: 'deadlock detected' }).first().waitFor();
}

async function openHit(page: Page): Promise<void> {
  await page.locator('.hits a').first().focus();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.locator('.line.is-hit', { hasText: 'deadlock detected' }).waitFor();
  assert.ok((await page.locator('.line').count()) < 150);
}

/** Light, dark and narrow: nothing for axe, and pictures of it. */
async function looksClean(
  browser: Browser,
  {
    server,
    picture,
  }: {
    readonly server: RealServer;
    readonly picture: (page: Page, name: string) => Promise<void>;
  },
): Promise<void> {
  const looks: Readonly<Record<string, Look>> = {
    light: {},
    dark: { colorScheme: 'dark' },
    narrow: { width: 400 },
  };
  for (const [name, look] of Object.entries(looks)) {
    const visit = await enter(browser, server, look);
    await visit.page.locator('.turn.is-running .call').first().waitFor();
    if (name !== 'light') await picture(visit.page, name);
    await expectClean(visit);
    await visit.page.context().close();
  }
}
