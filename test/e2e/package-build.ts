import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { patienceMs } from './patience.ts';
import { runProgram, tail } from './process.ts';

/** A package as users get it: `bin` and a fresh `dist`, its dependencies those of the checkout. */
export interface BuiltPackage {
  readonly folder: string;
  /** What the compiler or the bundler complained about, if one did. */
  readonly fault?: string;
}

/** Builds the checkout into a folder, so that nobody's `dist` is used or changed. */
export async function buildPackage(checkout: string, folder: string): Promise<BuiltPackage> {
  await mkdir(folder, { recursive: true });
  await cp(join(checkout, 'bin'), join(folder, 'bin'), { recursive: true });
  await cp(join(checkout, 'package.json'), join(folder, 'package.json'));
  await symlink(join(checkout, 'node_modules'), join(folder, 'node_modules'));
  const steps = [
    ['typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')],
    [
      'vite/bin/vite.js',
      'build',
      '--config=src/page/ui/vite.config.ts',
      '--configLoader=native',
      '--logLevel=warn',
      `--outDir=${join(folder, 'dist/page/ui')}`,
    ],
  ];
  for (const [program = '', ...args] of steps) {
    const { code, stdout, stderr } = await runProgram(
      process.execPath,
      [join(checkout, 'node_modules', program), ...args],
      { cwd: checkout, env: {}, timeoutMs: patienceMs },
    );
    if (code !== 0) return { folder, fault: tail(stdout + stderr) };
  }
  return { folder };
}
