import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { patienceMs } from './patience.ts';
import { runProgram, tail } from './process.ts';

/** A package as users get it: `bin` and a fresh `dist`, its dependencies those of the checkout. */
export interface BuiltPackage {
  readonly folder: string;
  /** What the compiler complained about, if it did. */
  readonly fault?: string;
}

/** Builds the checkout into a folder, so that nobody's `dist` is used or changed. */
export async function buildPackage(checkout: string, folder: string): Promise<BuiltPackage> {
  await mkdir(folder, { recursive: true });
  await cp(join(checkout, 'bin'), join(folder, 'bin'), { recursive: true });
  await cp(join(checkout, 'package.json'), join(folder, 'package.json'));
  await symlink(join(checkout, 'node_modules'), join(folder, 'node_modules'));
  const compiler = join(checkout, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [compiler, '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')],
    { cwd: checkout, env: {}, timeoutMs: patienceMs },
  );
  return code === 0 ? { folder } : { folder, fault: tail(stdout + stderr) };
}
