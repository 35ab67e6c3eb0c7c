/**
 * Writes the package as users get it into `build/package`: `npm run package`. From there it is
 * packed or published. The checkout itself is not published: its package.json has scripts that npm
 * warns of or runs at every installation, and names tools that users have no need of.
 */
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Members of package.json that are for work on the checkout only. */
const ownMembers: ReadonlySet<string> = new Set([
  'scripts',
  'devDependencies',
  'allowScripts',
  'private',
]);

/**
 * @param checkout Absolute path; it has been built
 * @param target Absolute path; what is there is replaced
 */
export function writePackage(checkout: string, target: string): void {
  const text = readFileSync(join(checkout, 'package.json'), 'utf8');
  const all = JSON.parse(text) as { readonly files: readonly string[] };
  const published = Object.entries(all).filter(([name]) => !ownMembers.has(name));
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  writeFileSync(
    join(target, 'package.json'),
    `${JSON.stringify(Object.fromEntries(published), undefined, 2)}\n`,
  );
  for (const path of globSync([...all.files], { cwd: checkout })) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    cpSync(join(checkout, path), join(target, path), { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const target = join(process.cwd(), 'build', 'package');
  writePackage(process.cwd(), target);
  process.stdout.write(`${target}\n`);
}
