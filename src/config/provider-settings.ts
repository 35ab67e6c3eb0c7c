import { z } from 'zod';
import { checkAddress, type Checked, checkHeader, checkKey } from '../upstream/endpoint.ts';
import { count, optionalCount, optionalText } from './setting.ts';

/** A text that is checked where it is read, and what is meant by it. */
function checked(check: (written: string) => Checked) {
  return z.string().transform((written, context) => {
    const found = check(written);
    if (found.ok) return found.text;
    context.addIssue({ code: 'custom', message: found.fault });
    return z.NEVER;
  });
}

const baseURL = checked(checkAddress);
const key = checked(checkKey);

/** Headers of the configuration; a fault names the header and not its value. */
const headers = z.record(z.string(), z.string()).transform((written, context) => {
  const meant: Record<string, string> = {};
  for (const [name, value] of Object.entries(written)) {
    const found = checkHeader(name, value);
    if (found.ok) meant[name] = found.text;
    else context.addIssue({ code: 'custom', message: found.fault, path: [name] });
  }
  return meant;
});

const prices = z.strictObject({
  input: z.number().min(0).describe('Per million prompt tokens.'),
  output: z.number().min(0).describe('Per million completion tokens.'),
  cachedInput: z.number().min(0).optional().describe('Per million cached prompt tokens.'),
});

/** The one upstream of most users, settable without a file. */
export const upstreamSettings = z.strictObject({
  baseURL: baseURL.optional().meta({
    env: 'RLM_UPSTREAM_BASE_URL',
    flag: 'upstream-url',
    description:
      'OpenAI-compatible API behind the proxy, as in `https://api.z.ai/api/paas/v4`. Absent, and no `providers`: the built-in demo upstream.',
  }),
  apiKey: key.optional().meta({
    env: 'RLM_UPSTREAM_API_KEY',
    secret: true,
    description: 'Its key. Local servers need none.',
  }),
  model: optionalText({
    env: 'RLM_UPSTREAM_MODEL',
    flag: 'upstream-model',
    description: 'The model behind `rlm-internal.rlm-core-v1`.',
  }),
  contextWindowTokens: optionalCount(1024, {
    env: 'RLM_UPSTREAM_CONTEXT_WINDOW',
    unit: 'tokens',
    description: "Its context window. Absent: the known model's, else 128000.",
  }),
  maxOutputTokens: optionalCount(1, {
    env: 'RLM_UPSTREAM_MAX_OUTPUT',
    unit: 'tokens',
    description: "Its longest answer. Absent: the known model's, else 32000.",
  }),
  profile: optionalText({
    env: 'RLM_UPSTREAM_PROFILE',
    description: "Name of the provider's quirks. Absent: by the base URL.",
  }),
});

/** Patience with upstreams. */
export const patienceSettings = z.strictObject({
  connectTimeoutMs: count(10_000, 1, {
    env: 'RLM_UPSTREAM_CONNECT_TIMEOUT_MS',
    unit: 'ms',
    description: 'Longest wait for a connection.',
  }),
  firstByteTimeoutMs: count(300_000, 1, {
    env: 'RLM_UPSTREAM_FIRST_BYTE_TIMEOUT_MS',
    unit: 'ms',
    description: 'Longest wait for the first byte of an answer.',
  }),
  idleTimeoutMs: count(180_000, 1, {
    env: 'RLM_UPSTREAM_IDLE_TIMEOUT_MS',
    unit: 'ms',
    description: 'Longest silence inside an answer; comments count as life.',
  }),
  maxRetries: count(4, 0, {
    env: 'RLM_UPSTREAM_MAX_RETRIES',
    description: 'Attempts after the first one, made only while nothing has reached the client.',
  }),
  maxRetryWaitMs: count(60_000, 0, {
    env: 'RLM_UPSTREAM_MAX_RETRY_WAIT_MS',
    unit: 'ms',
    description: 'Waiting between the attempts of one call, summed.',
  }),
  maxFrameBytes: count(67_108_864, 65_536, {
    env: 'RLM_UPSTREAM_MAX_FRAME_BYTES',
    unit: 'bytes',
    description: 'Largest frame of an answer, and largest answer that comes as one JSON value.',
  }),
  maxInFlight: count(64, 1, {
    env: 'RLM_UPSTREAM_MAX_IN_FLIGHT',
    description: 'Calls to one provider at the same time; more wait their turn.',
  }),
});

/** One model of a provider. */
const model = z.strictObject({
  id: z.string().min(1),
  contextWindow: z.int().min(1024).optional(),
  maxOutput: z.int().min(1).optional(),
  prices: prices.optional(),
});

/** One entry of `providers`. A name or `preset` of a known provider fills in what is not said. */
export const providerSettings = z.strictObject({
  preset: z.string().min(1).optional(),
  baseURL: baseURL.optional(),
  apiKey: key.optional(),
  apiKeyEnv: z.string().min(1).optional(),
  apiKeyFile: z.string().min(1).optional(),
  models: z.array(z.union([z.string().min(1), model])).optional(),
  contextWindow: z.int().min(1024).optional(),
  maxOutput: z.int().min(1).optional(),
  profile: z.string().min(1).optional(),
  headers: headers.prefault({}),
  inFlight: z.int().min(1).optional(),
  fallback: z.array(z.string().min(1)).default([]),
  prices: prices.optional(),
});

/** Provider as the file spells it. */
export type ProviderSettings = z.output<typeof providerSettings>;
/** What a million tokens cost. */
export type Prices = z.output<typeof prices>;
