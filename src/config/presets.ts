/** A model whose limits the vendor states, in tokens. */
interface PresetModel {
  readonly id: string;
  readonly contextWindowTokens: number;
  readonly maxOutputTokens: number;
}

/** A well-known provider: enough to use it by naming it. */
export interface Preset {
  readonly baseURL: string;
  /** The variable that customarily holds its key; absent for local servers. */
  readonly apiKeyEnv?: string;
  /** The first one is what the alias uses unless another is named. */
  readonly models: readonly PresetModel[];
}

/** Assumed of a model that nobody describes; what most hosted models have at least. */
export const fallbackLimits = { contextWindowTokens: 128_000, maxOutputTokens: 32_000 } as const;

/**
 * Windows of the GLM family as Z.ai states them; other hosts serve less, so their presets name
 * fewer.
 */
const glmModels: readonly PresetModel[] = [
  { id: 'glm-5', contextWindowTokens: 202_752, maxOutputTokens: 131_072 },
  { id: 'glm-5.3', contextWindowTokens: 1_048_576, maxOutputTokens: 131_072 },
  { id: 'glm-5.2', contextWindowTokens: 1_048_576, maxOutputTokens: 131_072 },
  { id: 'glm-5.1', contextWindowTokens: 202_752, maxOutputTokens: 131_072 },
  { id: 'glm-5-turbo', contextWindowTokens: 202_752, maxOutputTokens: 131_072 },
  { id: 'glm-4.7', contextWindowTokens: 202_752, maxOutputTokens: 131_072 },
  { id: 'glm-4.6', contextWindowTokens: 202_752, maxOutputTokens: 131_072 },
  { id: 'glm-4.5-air', contextWindowTokens: 131_072, maxOutputTokens: 98_304 },
];

/**
 * Providers that can be used by name. The window of a local server is what it was started with, so
 * it must be said.
 */
export const presets: Readonly<Record<string, Preset>> = {
  zai: {
    baseURL: 'https://api.z.ai/api/paas/v4',
    apiKeyEnv: 'ZAI_API_KEY',
    models: glmModels,
  },
  'zai-coding': {
    baseURL: 'https://api.z.ai/api/coding/paas/v4',
    apiKeyEnv: 'ZAI_API_KEY',
    models: glmModels,
  },
  bigmodel: {
    baseURL: 'https://open.bigmodel.cn/api/paas/v4',
    apiKeyEnv: 'ZHIPU_API_KEY',
    models: glmModels,
  },
  'bigmodel-coding': {
    baseURL: 'https://open.bigmodel.cn/api/coding/paas/v4',
    apiKeyEnv: 'ZHIPU_API_KEY',
    models: glmModels,
  },
  openai: {
    baseURL: 'https://api.openai.com/v1',
    apiKeyEnv: 'OPENAI_API_KEY',
    models: [{ id: 'gpt-5', contextWindowTokens: 400_000, maxOutputTokens: 128_000 }],
  },
  openrouter: {
    baseURL: 'https://openrouter.ai/api/v1',
    apiKeyEnv: 'OPENROUTER_API_KEY',
    models: [{ id: 'z-ai/glm-5', contextWindowTokens: 202_752, maxOutputTokens: 131_072 }],
  },
  deepseek: {
    baseURL: 'https://api.deepseek.com/v1',
    apiKeyEnv: 'DEEPSEEK_API_KEY',
    models: [{ id: 'deepseek-chat', contextWindowTokens: 131_072, maxOutputTokens: 8192 }],
  },
  moonshot: {
    baseURL: 'https://api.moonshot.ai/v1',
    apiKeyEnv: 'MOONSHOT_API_KEY',
    models: [{ id: 'kimi-k2.5', contextWindowTokens: 262_144, maxOutputTokens: 32_768 }],
  },
  groq: {
    baseURL: 'https://api.groq.com/openai/v1',
    apiKeyEnv: 'GROQ_API_KEY',
    models: [{ id: 'openai/gpt-oss-120b', contextWindowTokens: 131_072, maxOutputTokens: 65_536 }],
  },
  mistral: {
    baseURL: 'https://api.mistral.ai/v1',
    apiKeyEnv: 'MISTRAL_API_KEY',
    models: [{ id: 'mistral-large-latest', contextWindowTokens: 131_072, maxOutputTokens: 32_000 }],
  },
  gemini: {
    baseURL: 'https://generativelanguage.googleapis.com/v1beta/openai',
    apiKeyEnv: 'GEMINI_API_KEY',
    models: [{ id: 'gemini-2.5-pro', contextWindowTokens: 1_048_576, maxOutputTokens: 65_536 }],
  },
  ollama: { baseURL: 'http://127.0.0.1:11434/v1', models: [] },
  lmstudio: { baseURL: 'http://127.0.0.1:1234/v1', models: [] },
  llamacpp: { baseURL: 'http://127.0.0.1:8080/v1', models: [] },
  vllm: { baseURL: 'http://127.0.0.1:8000/v1', models: [] },
};

/** The preset that owns a base URL, ignoring a trailing slash. */
export function presetOfUrl(baseURL: string): string | undefined {
  const wanted = baseURL.replace(/\/+$/, '');
  return Object.keys(presets).find((name) => presets[name]?.baseURL === wanted);
}
