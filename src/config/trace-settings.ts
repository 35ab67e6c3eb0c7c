import { z } from 'zod';
import { count, optionalText } from './setting.ts';

/** Turns written down, for looking at them afterwards. */
export const traceSettings = z.strictObject({
  dir: optionalText({
    env: 'RLM_TRACE_DIR',
    description:
      'Folder in which each turn is written down: the request, the settings, the memory read, every upstream request and answer. Traces hold whole prompts and answers, never keys. Absent: nothing is written.',
  }),
  texts: z.enum(['0', '1']).default('0').meta({
    env: 'RLM_TRACE_TEXTS',
    description: 'With `1`, traces also hold the stored texts that the turn wrote or read.',
  }),
  maxBytes: count(1_073_741_824, 1_048_576, {
    env: 'RLM_TRACE_MAX_BYTES',
    unit: 'bytes',
    description: 'Size of all traces together; the oldest are deleted.',
  }),
  maxTurns: count(200, 1, {
    env: 'RLM_TRACE_MAX_TURNS',
    description: 'Turns that are kept written down; the oldest are deleted.',
  }),
});
