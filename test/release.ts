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
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const changelogPath = 'CHANGELOG.md';
const usage = 'usage: npm run release -- VERSION [--dry-run]    (VERSION as in 1.2.3)';

/** Why there is no release. */
class Refusal extends Error {}

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
    throw new Refusal(`${changelogPath} has no line under "## Unreleased".`);
  const before = text.slice(0, found.index);
  const after = text.slice(found.index + found[0].length);
  const heading = `## Unreleased\n\n## ${version} (${date})`;
  return {
    text: `${before}${heading}\n\n${section}\n${after === '' ? '' : `\n${after}`}`,
    section,
  };
}

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { encoding: 'utf8' }).trim();
}

/** Runs a command with its output shown. @throws Refusal where it fails */
function run(command: string, ...args: readonly string[]): void {
  process.stdout.write(`$ ${[command, ...args].join(' ')}\n`);
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Refusal(`\`${[command, ...args].join(' ')}\` failed.`);
}

/** Whether one version of three numbers comes before another. */
function isLower(one: string, other: string): boolean {
  const numbers = (version: string): number[] => version.split('.').map(Number);
  const [a, b] = [numbers(one), numbers(other)];
  const at = a.findIndex((number, index) => number !== b[index]);
  return at >= 0 && (a[at] as number) < (b[at] as number);
}

/** What can be seen before anything is run. @throws Refusal */
function checkState(version: string, present: string): void {
  if (isLower(version, present))
    throw new Refusal(`${version} is lower than the present version, ${present}.`);
  if (git('tag', '--list', `v${version}`) !== '')
    throw new Refusal(`There is a tag v${version} already.`);
  const changed = git('status', '--porcelain');
  if (changed !== '') throw new Refusal(`The work tree is not clean:\n${changed}`);
}

/** Looks at the package as npm would pack it. @throws Refusal for an error or a warning */
async function checkPackage(): Promise<void> {
  process.stdout.write('$ publint\n');
  const { messages, pkg } = await publint({ pkgDir: process.cwd(), level: 'warning', pack: 'npm' });
  if (messages.length === 0) return;
  const said = messages.map((message) => `- ${formatMessage(message, pkg) ?? message.code}`);
  throw new Refusal(`publint:\n${said.join('\n')}`);
}

async function release(version: string, isDry: boolean): Promise<void> {
  const { version: present } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    version: string;
  };
  checkState(version, present);
  const date = new Date().toISOString().slice(0, 10);
  const changelog = releasedChangelog(readFileSync(changelogPath, 'utf8'), version, date);
  run('node', '--run', 'check');
  run('node', '--run', 'build');
  await checkPackage();
  if (isDry) {
    process.stdout.write(
      `\nA dry run: nothing is written. The commit would be "release: v${version}", the tag v${version} with\n\n${changelog.section}\n`,
    );
    return;
  }
  writeFileSync(changelogPath, changelog.text);
  run(
    'npm',
    'version',
    version,
    '--no-git-tag-version',
    '--allow-same-version',
    '--ignore-scripts',
  );
  run('git', 'commit', '--quiet', '--all', '--message', `release: v${version}`);
  const message = `v${version}\n\n${changelog.section}\n`;
  git('tag', '--annotate', '--cleanup=whitespace', '--message', message, `v${version}`);
  process.stdout.write(
    `\nv${version} is committed and tagged. Next: git push --follow-tags, then npm publish.\n`,
  );
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'dry-run': { type: 'boolean', default: false } },
});
const [version] = positionals;
if (version === undefined || positionals.length > 1 || !/^\d+\.\d+\.\d+$/.test(version)) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  try {
    await release(version, values['dry-run']);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    process.stderr.write(`No release: ${error.message}\n`);
    process.exitCode = 1;
  }
}
