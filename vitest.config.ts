import { accessSync, constants, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** So much room the files of all tests need at once, with a wide margin, bytes. */
const roomBytes = 2 ** 31;

/**
 * Where tests keep their files: in memory where the system has such a file system with room (a sync costs milliseconds on a disk),
 * else where temporary files are anyway. What happens when a disk fails is shown by
 * file systems of our own in `test/faults`, not by the machine's.
 */
function folderOfFiles(): string {
  const inMemory = '/dev/shm';
  try {
    accessSync(inMemory, constants.W_OK);
    const { bavail, bsize } = statfsSync(inMemory);
    return bavail * bsize > roomBytes ? inMemory : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** The default run: unit tests beside their files, then everything under `test/` that needs no binary to be installed. */
export default defineConfig({
  test: {
    setupFiles: ['test/support/compile-cache.ts'],
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/long/**'],
    env: {
      TMPDIR: folderOfFiles(),
      // Threads and commands that tests start load the sources themselves: compiled once, they start in a third of the time.
      NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/rlm-opencode-test'),
    },
    // Tests make much that is soon gone: collected in fewer, larger lots it takes a fifteenth of the
    // processor time less.
    execArgv: ['--min-semi-space-size=32'],
    // A process for each file costs half a second; so no file may leave anything behind (`vi.mock` included) that others see.
    isolate: false,
    // Long enough for a machine with eight times as much to do: a test that hangs is found all the same.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One more than the smallest machines have cores: many tests wait for processes of their own.
    maxWorkers: 3,
    // `npm run coverage`: the sums on the terminal, every file and line in `coverage/index.html`.
    coverage: {
      include: ['src/**/*.ts'],
      exclude: ['**/*.test.ts', 'src/kernels/assembly/**', 'src/kernels/kernels-wasm.ts'],
      reporter: ['text-summary', 'html'],
    },
  },
});
