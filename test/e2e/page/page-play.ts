import assert from 'node:assert/strict';
import type { Report } from '../report.ts';
import { type Browser, chromium } from './browser.js';
import { expectClean, type Look, openPage as open, until } from './looking.ts';
import { playRealServer } from './real-play.ts';
import { entryCount, longLines, runningTurn, startStandIn, type StandIn } from './stand-in.ts';

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The browser's side of the page in a real browser, against answers that are as bad as can be. */
export async function playPage(
  browserPath: string,
  {
    packageFolder,
    report,
    screenshots,
  }: {
    readonly packageFolder: string;
    readonly report: Report;
    /** Where pictures of the page go; absent: none are made. */
    readonly screenshots: string | undefined;
  },
): Promise<void> {
  const browser = await chromium.launch({ executablePath: browserPath, args: flags });
  try {
    await using full = await startStandIn(packageFolder, 'full');
    await using empty = await startStandIn(packageFolder, 'empty');
    const check = async (name: string, run: () => Promise<void>): Promise<void> => {
      await report.check(`page: ${name}`, run);
    };
    await check("everybody's text stays text", async () => staysText(browser, full));
    await check('by keys alone from the start to an opened hit and back', async () =>
      byKeys(browser, full),
    );
    await check('of 100,000 entries and 5,000,000 lines only what is seen is there', async () =>
      longLists(browser, full),
    );
    await check('a turn that changes is seen at once, and a server that stops is said', async () =>
      isLive(browser, packageFolder),
    );
    await check(
      'without the cookie only the way in is shown; a code is used and taken away',
      async () => wayIn(browser, packageFolder),
    );
    const looks: readonly Look[] = [{}, { colorScheme: 'dark' }, { width: 360 }];
    for (const look of looks) {
      await check(`nothing to be found by axe: ${JSON.stringify(look)}`, async () => {
        const places = ['', '#/session/s1', '#/session/s1?query=x', '#/session/s1/entry/e7?line=9'];
        const urls = [...places.map((place) => `${full.origin}/${place}`), `${empty.origin}/`];
        for (const url of urls) {
          const watched = await open(browser, url, look);
          await expectClean(watched);
          await watched.page.context().close();
        }
      });
    }
    await playRealServer(browser, { packageFolder, check, screenshots });
  } finally {
    await browser.close();
  }
}

async function staysText(browser: Browser, { origin }: StandIn): Promise<void> {
  for (const place of ['', '#/session/s1', '#/session/s1?query=x', '#/session/s1/entry/e100000']) {
    const { page, faults } = await open(browser, `${origin}/${place}`);
    // What is hostile is there to be read.
    await page.getByText('onerror=alert(1)').first().waitFor();
    assert.equal(await page.locator('body img, body script, body iframe, [onerror]').count(), 0);
    assert.deepEqual(faults, []);
    await page.context().close();
  }
}

async function byKeys(browser: Browser, { origin }: StandIn): Promise<void> {
  const { page, faults } = await open(browser, `${origin}/`);
  await page.getByRole('heading', { name: 'Turns' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('needle');
  await page.keyboard.press('Enter');
  await page.getByText('120 hits').waitFor();
  const hits = page.locator('.hits a');
  // Tab goes into the list once; j and k move in it.
  await hits.first().focus();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  assert.equal(await page.evaluate('document.activeElement.dataset.row'), '1');
  await page.keyboard.press('Enter');
  await page.locator('.line.is-hit', { hasText: '1000011' }).waitFor();
  assert.match(page.url(), /#\/session\/s1\/entry\/e100000\?line=1000011&query=needle$/);
  // Hits are marked in the text, once that has come.
  await page.locator('.lines mark').first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('120 hits').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.entries a').first().focus();
  await page.keyboard.press('End');
  await until(page, "document.activeElement.textContent.startsWith('e1')");
  assert.equal(
    await page.evaluate('document.activeElement.dataset.row'),
    String(entryCount - 1),
    'End is the oldest entry',
  );
  assert.deepEqual(faults, []);
  await page.context().close();
}

async function longLists(browser: Browser, { origin }: StandIn): Promise<void> {
  const { page, faults } = await open(
    browser,
    `${origin}/#/session/s1/entry/e${entryCount}?line=${longLines}`,
  );
  await page.locator('.line.is-hit', { hasText: `${longLines} ` }).waitFor();
  // Twice to the same place: who has scrolled away is led back.
  for (let times = 0; times < 2; times += 1) {
    await page.locator('.lines').focus();
    await page.keyboard.press('Home');
    await until(page, "document.querySelector('.lines').scrollTop === 0");
    await until(page, "document.querySelector('.lines .line-number').textContent === '1'");
    await page.locator('.outline-mark').nth(3).click();
    await page.locator('.line.is-hit').waitFor();
  }
  assert.ok((await page.locator('.line').count()) < 100);
  await page.getByText('the line goes on: cut here').first().waitFor();
  await page.goto(`${origin}/#/session/s1`);
  await page.locator('.entries a').first().waitFor();
  assert.ok((await page.locator('.entries li').count()) < 100);
  assert.equal(
    await page.locator('.entries li').first().getAttribute('aria-setsize'),
    String(entryCount),
  );
  assert.deepEqual(faults, []);
  await page.context().close();
}

async function isLive(browser: Browser, packageFolder: string): Promise<void> {
  await using server = await startStandIn(packageFolder, 'full');
  const { page } = await open(browser, `${server.origin}/`);
  await page.getByText('searching 100M characters').first().waitFor();
  server.tell({ type: 'turn', turn: runningTurn('reading what it has found') });
  await page.getByText('reading what it has found').first().waitFor();
  await server.stop();
  await page.getByText('no connection: the server was stopped').waitFor();
  // What was seen stays to be read.
  await page.getByText('reading what it has found').first().waitFor();
  await page.context().close();
}

async function wayIn(browser: Browser, packageFolder: string): Promise<void> {
  await using server = await startStandIn(packageFolder, 'strange');
  const { page } = await open(browser, `${server.origin}/#code=wrong`);
  await page.getByText('has been used already').waitFor();
  await page.getByText('rlm-opencode open').waitFor();
  assert.equal(await page.getByRole('heading', { name: 'Turns' }).count(), 0);
  await page.evaluate("location.hash = '#code=right'");
  await page.getByRole('heading', { name: 'Turns' }).waitFor();
  assert.doesNotMatch(page.url(), /code/);
  assert.deepEqual(server.codes, ['wrong', 'right']);
  await page.context().close();
}
