import { defineConfig } from 'vitest/config';

/** The default run: unit tests beside their files, then everything under `test/` that needs no binary to be installed. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/long/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
  },
});
