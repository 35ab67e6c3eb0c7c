import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { comes } from '../patience.ts';
import type { Browser, Page } from './browser.js';

const axe = readFile(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

/** How a page is looked at. */
export interface Look {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
}

/** A page, and everything about it that must not be. */
export interface Watched {
  readonly page: Page;
  readonly faults: string[];
}

/** Opens a page in a browser that knows nothing. */
export async function openPage(browser: Browser, url: string, look: Look = {}): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1_280, height: 800 },
    colorScheme: look.colorScheme ?? 'light',
  });
  const watched = watch(await context.newPage(), new URL(url).origin);
  await watched.page.goto(url);
  return watched;
}

/** From now on notes what a page must not do. */
function watch(page: Page, origin: string): Watched {
  const faults: string[] = [];
  page.on('dialog', (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`));
  page.on('console', (line) => {
    if (line.type() === 'error') faults.push(`console: ${line.text()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) faults.push(`asked elsewhere: ${request.url()}`);
  });
  return { page, faults };
}

/**
 * Waits until an expression is true in the page. (The browser's own way to wait compiles it there,
 * which the page's policy forbids.)
 */
export async function until(page: Page, expression: string): Promise<void> {
  const waiting = async (): Promise<void> => {
    while ((await page.evaluate(expression)) !== true)
      await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => resolve(0)))');
  };
  await comes(expression, waiting());
}

/** What axe says of a violation, as far as it is printed. */
interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** Looks at what a page shows with axe; nothing may stick out of the window. */
export async function expectClean({ page, faults }: Watched): Promise<void> {
  await page.locator('footer').waitFor();
  // A policy forbids scripts in the page; what the debugger runs is not in it.
  await page.evaluate(`${await axe};0`);
  const found = (await page.evaluate(
    'axe.run().then(({ violations }) => violations)',
  )) as Violation[];
  assert.deepEqual(
    found.map(({ id, nodes }) => `${page.url()} ${id}: ${nodes[0]?.html ?? ''}`),
    [],
  );
  assert.equal(await page.evaluate('document.documentElement.scrollWidth > innerWidth'), false);
  assert.deepEqual(faults, []);
}
