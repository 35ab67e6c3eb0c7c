import { z } from 'zod';
import { count } from './setting.ts';

/** What is stored. */
export const captureSettings = z.strictObject({
  minChars: count(500, 1, {
    env: 'RLM_CAPTURE_MIN_CHARS',
    unit: 'characters',
    description: 'Tool results, user texts and attachments of at least this length are stored.',
  }),
  secrets: z.enum(['keep', 'mask', 'refuse']).default('keep').meta({
    env: 'RLM_CAPTURE_SECRETS',
    description:
      'Keys, tokens and passwords in what clients send and `ingest` reads: `keep` them; `mask` them before anything is stored, written down or sent upstream, in every turn alike; `refuse` requests with new ones, and files.',
  }),
  maxSpillBytes: count(1_073_741_824, 0, {
    env: 'RLM_MAX_SPILL_BYTES',
    unit: 'bytes',
    description: 'Largest file of a cut tool output (OpenCode keeps the full text) that is read.',
  }),
  outlineWaitMs: count(100, 0, {
    env: 'RLM_OUTLINE_WAIT_MS',
    unit: 'ms',
    description:
      'What a turn waits at most for outlines of its new texts; a text whose outline is not ready then never has one.',
  }),
});

/** What leaves the prompt. */
export const stripSettings = z.strictObject({
  minChars: count(10_000, 1, {
    env: 'RLM_STRIP_MIN_CHARS',
    unit: 'characters',
    description:
      'A stored text of at least this length is replaced by its stub in the prompt when there is little room (`window.comfortable`); where this is set, always.',
  }),
  perTool: z.record(z.string(), z.int().min(1)).default({}).meta({
    unit: 'characters',
    description:
      'Thresholds of single tools by name, as in `{ "bash": 5000 }`, from which their texts are always replaced. A file read has twice the general one unless named here.',
  }),
});

/** Keeping the prompt inside the upstream's window. */
export const windowSettings = z
  .strictObject({
    comfortable: z.number().min(0).max(0.95).default(0.25).meta({
      env: 'RLM_WINDOW_COMFORTABLE',
      unit: 'share',
      description:
        'While the prompt stays below this share of the window, long texts stand whole in it.',
    }),
    highWater: z.number().min(0.1).max(0.95).default(0.7).meta({
      env: 'RLM_WINDOW_HIGH_WATER',
      unit: 'share',
      description: 'Above this share of the window older material is demoted to stubs.',
    }),
    lowWater: z.number().min(0.05).max(0.9).default(0.35).meta({
      env: 'RLM_WINDOW_LOW_WATER',
      unit: 'share',
      description: 'Demotion goes down to this share in one step.',
    }),
  })
  .refine((marks) => marks.lowWater < marks.highWater, {
    error: 'lowWater must be below highWater',
    path: ['lowWater'],
  });

/**
 * What is remembered of hidden steps. Forgetting only costs a miss of the provider's prompt cache.
 */
export const memorySettings = z.strictObject({
  maxAgeDays: count(30, 1, {
    env: 'RLM_MEMORY_MAX_AGE_DAYS',
    unit: 'days',
    description: 'Hidden steps older than this may be forgotten.',
  }),
  maxBytes: count(1_073_741_824, 1_048_576, {
    env: 'RLM_MEMORY_MAX_BYTES',
    unit: 'bytes',
    description: 'Size per session from which the oldest hidden steps are forgotten.',
  }),
});
