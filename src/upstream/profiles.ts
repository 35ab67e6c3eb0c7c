import { ProxyError } from '../errors.ts';
import type { FaultMeaning, Profile } from './profile.ts';

/**
 * OpenCode's names for a session; opaque, and what the provider would see without a proxy between.
 */
const sessionHeaders = ['x-session-affinity', 'x-session-id'] as const;

/** OpenAI's own optional members that strict servers refuse as unknown. */
const openAIOnly = ['store', 'metadata', 'service_tier', 'prompt_cache_key', 'safety_identifier'];

/**
 * Members that other providers put on an assistant's message: after a change of model the history
 * still holds them.
 */
const foreignMembers = ['refusal', 'annotations', 'extra_content'];

/** Z.ai's documented codes (docs.z.ai, error codes) and those its users met. */
const glmCodes: Readonly<Record<string, FaultMeaning>> = {
  '1000': 'unauthorized',
  '1001': 'unauthorized',
  '1002': 'unauthorized',
  '1003': 'unauthorized',
  '1004': 'unauthorized',
  '1113': 'quota',
  '1211': 'unknown-model',
  '1234': 'failed',
  '1261': 'overflow',
  '1301': 'content-filter',
  '1302': 'busy',
  '1305': 'busy',
  '1312': 'busy',
  // A plan's window is used up, or the plan does not allow the model: waiting inside a request is
  // no use.
  ...Object.fromEntries(
    [1308, 1309, 1310, 1311, 1313, 1314, 1315, 1316, 1317, 1318, 1319, 1320, 1321].map(
      (code): [string, FaultMeaning] => [String(code), 'quota'],
    ),
  ),
};

/** GLM's general and coding bases, both countries. */
const glm = {
  systemOnly: true,
  maxTokensMember: 'max_tokens',
  droppedMembers: [
    ...openAIOnly,
    'frequency_penalty',
    'presence_penalty',
    'logit_bias',
    'parallel_tool_calls',
  ],
  droppedMessageMembers: ['name'],
  withTools: { tool_stream: true },
  refusesStreamOptions: true,
  toolChoices: 'auto',
  minTemperature: 0.01,
  reasoning: 'keep',
  affinityHeaders: sessionHeaders,
  // 1302 has lasted two minutes: short steps use up the attempts.
  retryBaseMs: 2000,
  codes: glmCodes,
} as const satisfies Omit<Profile, 'name'>;

/** Servers on the user's own machine. */
const local = {
  systemOnly: true,
  takesJsonSchema: true,
  affinityHeaders: sessionHeaders,
} as const;

/** All providers whose ways are known; the first whose host fits is taken. */
export const profiles: readonly Profile[] = [
  { name: 'zai', hosts: ['z.ai'], ...glm },
  { name: 'bigmodel', hosts: ['bigmodel.cn'], ...glm },
  {
    name: 'deepseek',
    hosts: ['deepseek.com'],
    systemOnly: true,
    maxTokensMember: 'max_tokens',
    reasoning: 'keep-or-empty',
    affinityHeaders: sessionHeaders,
  },
  {
    name: 'moonshot',
    hosts: ['moonshot.ai', 'moonshot.cn', 'kimi.com'],
    systemOnly: true,
    maxTokensMember: 'max_tokens',
    toolChoices: 'unforced',
    reasoning: 'keep-or-empty',
    affinityHeaders: sessionHeaders,
    codes: { exceeded_current_quota_error: 'quota', engine_overloaded_error: 'busy' },
  },
  {
    name: 'minimax',
    hosts: ['minimax.io', 'minimax.chat', 'minimaxi.com'],
    systemOnly: true,
    minTemperature: 0.01,
    affinityHeaders: sessionHeaders,
    codes: {
      '1002': 'busy',
      '1039': 'busy',
      '1004': 'unauthorized',
      '1008': 'quota',
      '1026': 'content-filter',
      '1027': 'content-filter',
      '2013': 'rejected',
    },
  },
  {
    name: 'qwen',
    hosts: ['aliyuncs.com'],
    systemOnly: true,
    maxTokensMember: 'max_tokens',
    toolChoices: 'unforced',
    affinityHeaders: sessionHeaders,
    codes: { Arrearage: 'quota', AllocationQuota: 'quota', Throttling: 'busy' },
  },
  { name: 'openrouter', hosts: ['openrouter.ai'], affinityHeaders: sessionHeaders },
  // OpenAI never gives its reasoning out, so whatever a history holds is another model's.
  { name: 'openai', hosts: ['api.openai.com'], takesJsonSchema: true, reasoning: 'strip' },
  {
    name: 'azure',
    hosts: ['openai.azure.com', 'services.ai.azure.com'],
    keyHeader: 'api-key',
    takesJsonSchema: true,
    reasoning: 'strip',
  },
  {
    name: 'groq',
    hosts: ['groq.com'],
    reasoning: 'strip',
    droppedMembers: openAIOnly,
    droppedMessageMembers: foreignMembers,
    // The model wrote a call that Groq could not read: the next attempt may be a good one.
    codes: { tool_use_failed: 'failed' },
  },
  {
    name: 'mistral',
    hosts: ['mistral.ai'],
    systemOnly: true,
    takesJsonSchema: true,
    maxTokensMember: 'max_tokens',
    refusesStreamOptions: true,
    reasoning: 'strip',
    droppedMembers: [...openAIOnly, 'logit_bias', 'user'],
    droppedMessageMembers: foreignMembers,
    shortCallIds: true,
    bridgesToolToUser: true,
  },
  {
    name: 'gemini',
    hosts: ['generativelanguage.googleapis.com'],
    systemOnly: true,
    takesJsonSchema: true,
    droppedMembers: [...openAIOnly, 'logit_bias'],
  },
  { name: 'ollama', hosts: ['localhost:11434', '127.0.0.1:11434'], ...local },
  { name: 'lmstudio', hosts: ['localhost:1234', '127.0.0.1:1234'], ...local },
  { name: 'llamacpp', hosts: ['localhost:8080', '127.0.0.1:8080'], ...local },
  { name: 'vllm', hosts: ['localhost:8000', '127.0.0.1:8000'], ...local },
];

/** Meanings that no repetition changes. */
const lasting: ReadonlySet<FaultMeaning> = new Set([
  'quota',
  'unknown-model',
  'content-filter',
  'overflow',
]);

/**
 * Codes of all providers that say of a failure that it lasts, for relays: they answer in the words
 * of whoever is behind them, mostly with a status that asks for a repetition. Codes that mean
 * something else to another provider are none.
 */
export const relayedCodes: Readonly<Record<string, FaultMeaning>> = lastingCodes();

function lastingCodes(): Readonly<Record<string, FaultMeaning>> {
  const all = profiles.flatMap(({ codes }) => Object.entries(codes ?? {}));
  return Object.fromEntries(
    all.filter(
      ([code, meaning]) =>
        lasting.has(meaning) && all.every(([other, its]) => other !== code || its === meaning),
    ),
  );
}

/** For all others: the request goes as it came. */
export const plainProfile: Profile = { name: 'plain', affinityHeaders: sessionHeaders };

/**
 * The profile for a base URL.
 * @param name Chosen by the user; a preset's name with a suffix (`zai-coding`) means the same
 * @throws ProxyError `config_invalid` for a name that there is not
 */
export function findProfile(baseURL: string, name?: string): Profile {
  if (name === plainProfile.name) return plainProfile;
  const named = profiles.find((one) => name === one.name || name?.startsWith(`${one.name}-`));
  if (name !== undefined && named === undefined) {
    throw new ProxyError('config_invalid', `There is no provider profile \`${name}\`.`, {
      hint: `There are ${[...profiles, plainProfile].map((one) => one.name).join(', ')}.`,
    });
  }
  return (
    named ?? profiles.find((one) => one.hosts?.some((host) => fits(host, baseURL))) ?? plainProfile
  );
}

function fits(host: string, baseURL: string): boolean {
  const url = new URL(baseURL);
  return host.includes(':')
    ? url.host === host
    : url.hostname === host || url.hostname.endsWith(`.${host}`);
}
