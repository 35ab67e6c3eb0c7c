import { systemClock } from '../../src/clock.ts';
import { openSandboxes } from '../../src/sandbox/sandboxes.ts';

/**
 * Runs one greedy program per argument, each in a chat of its own and all at once, and prints what
 * became of this process's resident memory as one JSON line: a process of its own, so that nothing
 * else is in the figures.
 */
const mebibyte = 1_048_576;
const memoryBytes = 32 * mebibyte;

const sandboxes = openSandboxes({
  clock: systemClock,
  maxSandboxes: 4,
  idleMs: 600_000,
  limits: {
    memoryBytes,
    stackBytes: 262_144,
    computeMs: Number(process.env['RLM_TEST_COMPUTE_MS'] ?? 3_000),
    maxOutputChars: 10_000,
    maxAnswerChars: 1_000_000,
    maxQuestions: 1_000,
    maxReadChars: 1_000_000,
  },
});
const host = {
  lengthChars: 1_000_000_000,
  read: async (_: number, lengthChars: number) => '中'.repeat(lengthChars),
  lines: async () => '',
  text: async () => '',
  records: async () => ({ count: 0, names: [], text: new Uint8Array(0) }),
  methods: {},
  search: async () => ({}),
  entries: async () => [],
  query: async () => [],
};
const names = { load: async () => [], save: async () => undefined };
const rss = (): number => process.memoryUsage.rss();

const idleBytes = rss();
let peakBytes = idleBytes;
const sampler = setInterval(() => (peakBytes = Math.max(peakBytes, rss())), 10);
const results = await Promise.all(
  process.argv.slice(2).map(async (code, index) =>
    sandboxes.run(`chat ${index}`, code, {
      host,
      names,
      signal: new AbortController().signal,
    }),
  ),
);
clearInterval(sampler);
// Threads that have ended give their memory back as the system finds the time: at most ten seconds.
let afterBytes = rss();
// Where variables are kept there is nothing to wait for.
const waits = results.some(({ error }) => error?.includes('variables are kept')) ? 0 : 40;
for (let wait = 0; wait < waits && afterBytes > idleBytes + 64 * mebibyte; wait += 1) {
  await new Promise((resolve) => setTimeout(resolve, 250));
  afterBytes = rss();
}
const report = {
  limitBytes: memoryBytes,
  peakBytes: peakBytes - idleBytes,
  afterBytes: afterBytes - idleBytes,
  errors: results.map(({ error }) => error ?? ''),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
await sandboxes[Symbol.asyncDispose]();
