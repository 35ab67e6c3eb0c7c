/**
 * Makes a release of this checkout: `npm run release -- 0.2.0`, and with `--dry-run` says what it
 * would do.
 *
 * In this order, and nothing is written before all of the checks hold:
 *   1. the version: three numbers, not lower than the present one, no tag of that name yet
 *   2. the work tree is clean, and CHANGELOG.md has something under "Unreleased"
 *   3. `npm run check`, `npm run build`, and publint over what would be published
 *   4. CHANGELOG.md gets a section with version and date; package.json and the lock file get the
 *      version
 *   5. a commit `release: v0.2.0`, and an annotated tag with the section as its message
 * Pushing and publishing are left to a person. Exit codes: 0 done, 1 refused or failed, 2 wrong
 * usage.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writePackage } from './package.ts';

const changelogName = 'CHANGELOG.md';
const usage = 'usage: npm run release -- VERSION [--dry-run]    (VERSION as in 1.2.3)';

/** Why there is no release. */
export class Refusal extends Error {}

/** What the changelog becomes, and the section of the new version in it. */
interface NewChangelog {
  readonly text: string;
  /** Without its heading. */
  readonly section: string;
}

/** Puts what is under "Unreleased" under the version. @throws Refusal where nothing is */
function releasedChangelog(text: string, version: string, date: string): NewChangelog {
  const found = /^## Unreleased\n(.*?)(?=^## |$(?![\s\S]))/ms.exec(text);
  const section = found?.[1]?.trim() ?? '';
  if (found === null || !/^- /m.test(section))
    throw new Refusal(`${changelogName} has no line under "## Unreleased".`);
  const before = text.slice(0, found.index);
  const after = text.slice(found.index + found[0].length);
  const heading = `## Unreleased\n\n## ${version} (${date})`;
  return {
    text: `${before}${heading}\n\n${section}\n${after === '' ? '' : `\n${after}`}`,
    section,
  };
}

/** A checkout that is released, and where it is told what is done. */
export interface Checkout {
  /** Absolute path. */
  readonly folder: string;
  readonly print: (text: string) => void;
  /** Whether the output of commands is shown as it comes. */
  readonly showsCommands: boolean;
}

function git({ folder }: Checkout, ...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim();
}

/** Runs a command. @throws Refusal where it fails */
function run({ folder, print, showsCommands }: Checkout, ...words: readonly string[]): void {
  print(`$ ${words.join(' ')}\n`);
  const [command, ...args] = words;
  const output = showsCommands ? 'inherit' : 'ignore';
  const { status } = spawnSync(command!, args, { cwd: folder, stdio: ['ignore', output, output] });
  if (status !== 0) throw new Refusal(`\`${words.join(' ')}\` failed.`);
}

/** Whether one version of three numbers comes before another. */
function isLower(one: string, other: string): boolean {
  const numbers = (version: string): number[] => version.split('.').map(Number);
  const [a, b] = [numbers(one), numbers(other)];
  const at = a.findIndex((number, index) => number !== b[index]);
  return at >= 0 && (a[at] as number) < (b[at] as number);
}

/** What can be seen before anything is run. @throws Refusal */
function checkState(checkout: Checkout, version: string, present: string): void {
  if (isLower(version, present))
    throw new Refusal(`${version} is lower than the present version, ${present}.`);
  if (git(checkout, 'tag', '--list', `v${version}`) !== '')
    throw new Refusal(`There is a tag v${version} already.`);
  const changed = git(checkout, 'status', '--porcelain');
  if (changed !== '') throw new Refusal(`The work tree is not clean:\n${changed}`);
}

/** Looks at the package as npm would pack it. @throws Refusal for an error or a warning */
async function checkPackage({ folder, print }: Checkout): Promise<void> {
  const packed = mkdtempSync(join(tmpdir(), 'rlm-package-'));
  try {
    writePackage(folder, packed);
    await lintPackage(packed, print);
  } finally {
    rmSync(packed, { recursive: true });
  }
}

async function lintPackage(folder: string, print: Checkout['print']): Promise<void> {
  print('$ publint\n');
  // Loaded only here: what is refused before is refused at once.
  const { publint } = await import('publint');
  const { formatMessage } = await import('publint/utils');
  const { messages, pkg } = await publint({ pkgDir: folder, level: 'warning', pack: 'npm' });
  if (messages.length === 0) return;
  const said = messages.map((message) => `- ${formatMessage(message, pkg) ?? message.code}`);
  throw new Refusal(`publint:\n${said.join('\n')}`);
}

/**
 * Makes a release, or says what it would do.
 * @throws Refusal where something does not hold; nothing is written then
 */
export async function release(checkout: Checkout, version: string, isDry: boolean): Promise<void> {
  const { folder, print } = checkout;
  const { version: present } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    version: string;
  };
  checkState(checkout, version, present);
  const date = new Date().toISOString().slice(0, 10);
  const changelogPath = join(folder, changelogName);
  const changelog = releasedChangelog(readFileSync(changelogPath, 'utf8'), version, date);
  run(checkout, 'node', '--run', 'check');
  run(checkout, 'node', '--run', 'build');
  await checkPackage(checkout);
  if (isDry) {
    print(
      `\nA dry run: nothing is written. The commit would be "release: v${version}", the tag v${version} with\n\n${changelog.section}\n`,
    );
    return;
  }
  writeFileSync(changelogPath, changelog.text);
  const asIs = ['--no-git-tag-version', '--allow-same-version', '--ignore-scripts'];
  run(checkout, 'npm', 'version', version, ...asIs);
  run(checkout, 'git', 'commit', '--quiet', '--all', '--message', `release: v${version}`);
  const message = `v${version}\n\n${changelog.section}\n`;
  git(checkout, 'tag', '--annotate', '--cleanup=whitespace', '--message', message, `v${version}`);
  print(
    `\nv${version} is committed and tagged. Next: git push --follow-tags. The release workflow then publishes; by hand it is npm run package, then npm publish ./build/package.\n`,
  );
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'dry-run': { type: 'boolean', default: false } },
  });
  const [version] = positionals;
  if (version === undefined || positionals.length > 1 || !/^\d+\.\d+\.\d+$/.test(version)) {
    process.stderr.write(`${usage}\n`);
    process.exitCode = 2;
    return;
  }
  const print = (text: string): void => void process.stdout.write(text);
  const checkout = { folder: process.cwd(), print, showsCommands: true };
  try {
    await release(checkout, version, values['dry-run']);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`No release: ${error.message}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
