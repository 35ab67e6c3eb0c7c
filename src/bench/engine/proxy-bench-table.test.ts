import { expect, it } from 'vitest';
import { proxyBenchTable } from './proxy-bench-table.ts';

it('shows each number beside the relay’s and what is wanted of it', () => {
  const table = proxyBenchTable({
    machine: 'a machine',
    firstByte: [
      {
        bodyBytes: 200_000,
        messageChars: 400,
        isActive: false,
        relay: { p50Ms: 2, p99Ms: 4 },
        proxy: { p50Ms: 2.5, p99Ms: 5 },
      },
      {
        bodyBytes: 2000,
        messageChars: 400,
        isActive: true,
        relay: { p50Ms: 1, p99Ms: 4 },
        proxy: { p50Ms: 3, p99Ms: 5 },
      },
    ],
    cpuMs: [{ what: '200 KB', relay: 1, proxy: 3 }],
    chunkDelay: { relay: { p50Ms: 0.1, p99Ms: 0.2 }, proxy: { p50Ms: 0.15, p99Ms: 0.5 } },
    chunksPerSecond: { relay: 100_000, proxy: 90_000, loop: 70_000 },
    requestsPerSecond: [{ streams: 50, relay: 1000, proxy: 500 }],
    loopLag: { p50Ms: 0.1, p99Ms: 3, maxMs: 9 },
  });
  const lines = table.split('\n');
  expect(lines[0]).toBe('a machine');
  expect(lines).toContain(
    '| first byte of 200 KB in messages of 400, p50 | 2.000 ms | 2.500 ms | 1.25x | at most 2.5x |',
  );
  expect(lines).toContain(
    '| first byte of 2 KB in messages of 400, loop active, p50 | 1.000 ms | 3.000 ms | 3.00x |  |',
  );
  expect(lines).toContain(
    '| processor time of a request of 200 KB | 1.000 ms | 3.000 ms | 3.00x |  |',
  );
  expect(lines).toContain(
    '| delay of a chunk, p99 | 0.200 ms | 0.500 ms | +0.300 ms | at most +0.4 ms |',
  );
  expect(lines).toContain(
    '| chunks per second, loop active | 100,000 | 70,000 | 0.70x | at least 0.6x |',
  );
  expect(lines).toContain(
    '| requests per second, 50 at once | 1,000 | 500 | 0.50x | at least 0.5x |',
  );
  expect(lines).toContain(
    '| event loop late with 200 streams, p99 |  | 3.000 ms |  | at most 10 ms |',
  );
});
