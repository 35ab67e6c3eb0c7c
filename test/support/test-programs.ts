import { systemClock } from '../../src/clock.ts';
import { openSandboxes, type Sandboxes } from '../../src/sandbox/sandboxes.ts';
import type { Programs } from '../../src/tools/programs/program-host.ts';

/** Two sandboxes for small programs. */
export function openTestSandboxes(): Sandboxes {
  return openSandboxes({
    clock: systemClock,
    limits: {
      memoryBytes: 64_000_000,
      stackBytes: 256_000,
      computeMs: 5_000,
      maxOutputChars: 4_000,
      maxAnswerChars: 100_000,
      maxQuestions: 10,
      maxReadChars: 4_000_000,
    },
    maxSandboxes: 2,
    idleMs: 60_000,
  });
}

/** Programs of a chat of which nothing is remembered. */
export function programsIn(sandboxes: Sandboxes): Programs {
  return {
    sandboxes,
    chatId: 'chat',
    names: { load: async () => [], save: async () => undefined },
    onAnswer: () => undefined,
  };
}
