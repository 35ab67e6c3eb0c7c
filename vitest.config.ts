import { defineConfig } from 'vitest/config';

/** The default run: unit tests beside their files, then everything under `test/` that needs no binary to be installed. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/long/**'],
    // Long enough for a machine with eight times as much to do: a test that hangs is found all the same.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
});
