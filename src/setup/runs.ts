import { parse, type ParseError } from 'jsonc-parser';
import { ProxyError } from '../errors.ts';
import { coreModelId } from '../wire/core-model.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { openCodeFacts, providerEntry, providerId } from './provider-entry.ts';
import { noKey, type ProxyFacts, tokenVariable } from './proxy-facts.ts';

/** What one run of a client is started with, so that no file of its own has to be touched. */
export interface RunSettings {
  /** Variables for the client; `undefined` takes one away. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Arguments before those of the user. No secret: everybody on the machine can see them. */
  readonly args: readonly string[];
}

/** A client that can be started with the proxy, as data. */
export interface StartableClient {
  /** As its makers write it. */
  readonly title: string;
  /** The program to be found on the PATH. */
  readonly program: string;
  /** What to type where it is not there. */
  readonly install: string;
  /** Its inner commands that refuse the arguments of a run; they are started without. */
  readonly bareCommands?: readonly string[];
  /**
   * @param proxy With the token itself, where one is wanted
   * @param env The user's environment
   * @throws ProxyError `config_invalid` where a variable of the user's cannot be added to
   */
  readonly settingsFor: (proxy: RunProxy, env: RunEnvironment) => RunSettings;
}

/** The proxy as one run of a client needs it. */
interface RunProxy extends ProxyFacts {
  /** Absent where it wants none. */
  readonly token?: string | undefined;
}

type RunEnvironment = Readonly<Record<string, string | undefined>>;

/** Of a window so large that it is spent on answers: what a client is told to leave for one. */
const usualAnswerTokens = 32_000;

/** The clients that can be started, by the name of their command. Add one: a row here. */
export const startableClients = {
  opencode: {
    title: 'OpenCode',
    program: 'opencode',
    install: 'npm install -g opencode-ai',
    settingsFor: (proxy, env) => openCodeSettings('OPENCODE_CONFIG_CONTENT', proxy, env),
  },
  kilo: {
    title: 'Kilo Code',
    program: 'kilo',
    install: 'npm install -g @kilocode/cli',
    // A fork of OpenCode.
    settingsFor: (proxy, env) => openCodeSettings('KILO_CONFIG_CONTENT', proxy, env),
  },
  codex: {
    title: 'Codex',
    program: 'codex',
    install: 'npm install -g @openai/codex',
    settingsFor: codexSettings,
  },
  claude: {
    title: 'Claude Code',
    program: 'claude',
    install: 'npm install -g @anthropic-ai/claude-code',
    settingsFor: claudeSettings,
  },
  qwen: {
    title: 'Qwen Code',
    program: 'qwen',
    install: 'npm install -g @qwen-code/qwen-code',
    bareCommands: [
      'auth',
      'board',
      'channel',
      'extensions',
      'hooks',
      'mcp',
      'review',
      'sandbox',
      'serve',
      'sessions',
      'update',
    ],
    settingsFor: qwenSettings,
  },
} satisfies Readonly<Record<string, StartableClient>>;

/**
 * A configuration in a variable, which goes before all files. What the user has in it stays, also a
 * model.
 */
function openCodeSettings(variable: string, proxy: RunProxy, env: RunEnvironment): RunSettings {
  const { section, block } = providerEntry(openCodeFacts(proxy));
  const theirs = configurationIn(variable, env);
  const others = theirs[section];
  const content = {
    model: `${providerId}/${coreModelId}`,
    ...theirs,
    [section]: { ...(isObject(others) ? others : {}), [providerId]: block },
  };
  return { env: { [variable]: JSON.stringify(content), ...tokenIn(proxy) }, args: [] };
}

function configurationIn(variable: string, env: RunEnvironment): JsonObject {
  const text = env[variable] ?? '';
  if (text.trim() === '') return {};
  const errors: ParseError[] = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true });
  if (errors.length === 0 && isObject(value)) return value;
  throw new ProxyError('config_invalid', `${variable} is set, but not to a JSON object.`, {
    hint: `Unset it, or mend it: what it holds is kept beside our provider.`,
  });
}

/** Where the token is sent, under the name that the settings of the run refer to. */
function tokenIn({ token }: RunProxy): Readonly<Record<string, string>> {
  return token === undefined ? {} : { [tokenVariable]: token };
}

/** Each value is TOML; strings and numbers of JSON are. */
function codexSettings(proxy: RunProxy): RunSettings {
  const { top, provider } = codexValues(proxy);
  const values = [
    ...Object.entries(top),
    ...Object.entries(provider).map(
      ([name, value]) => [`model_providers.${providerId}.${name}`, value] as const,
    ),
  ];
  return {
    env: tokenIn(proxy),
    args: values.flatMap(([name, value]) => ['-c', `${name}=${JSON.stringify(value)}`]),
  };
}

/**
 * Of an output Codex hands over 10,000 tokens, or as many as the model has asked for with the call;
 * of a model that it does not know 10,000 characters. Nothing else in its configuration makes that
 * more (0.171). What is over a window's rest makes it give the chat up for a summary before the
 * output was seen, so that the most that a model may ask for is a part of the window.
 */
const codexOutputShare = 1 / 4;

/** What Codex has to know: at the top of its configuration, and of the provider. */
export function codexValues({ address, hasToken, contextWindowTokens }: ProxyFacts): {
  readonly top: Readonly<Record<string, string | number>>;
  readonly provider: Readonly<Record<string, string>>;
} {
  return {
    top: {
      model: coreModelId,
      model_provider: providerId,
      model_context_window: contextWindowTokens,
      tool_output_token_limit: Math.floor(contextWindowTokens * codexOutputShare),
    },
    provider: {
      // Not "OpenAI": by that name it expects more of a server.
      name: 'RLM OpenCode',
      base_url: `${address}/v1`,
      wire_api: 'responses',
      // Where it learns of our model; it asks nobody to whom it has no key to show.
      model_catalog_url: `${address}/v1/models`,
      ...(hasToken ? { env_key: tokenVariable } : { experimental_bearer_token: noKey }),
    },
  };
}

/** Variables that would send Claude Code elsewhere, or a key of the user's to the proxy. */
const otherWays = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_CUSTOM_HEADERS',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CODE_USE_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
  'CLAUDE_CODE_USE_FOUNDRY',
];

/**
 * Claude Code puts the variables of its settings files over those of its environment, so they are
 * given as settings that go before all files. A token is read by a command, as arguments can be
 * seen by everybody.
 */
function claudeSettings(proxy: RunProxy): RunSettings {
  const settings = {
    env: {
      ...Object.fromEntries(otherWays.map((name) => [name, ''])),
      ...claudeVariables(proxy),
      ANTHROPIC_AUTH_TOKEN: proxy.token === undefined ? noKey : '',
    },
    ...(proxy.token === undefined ? {} : { apiKeyHelper: `printenv ${tokenVariable}` }),
  };
  return {
    env: { ...Object.fromEntries(otherWays.map((name) => [name, undefined])), ...tokenIn(proxy) },
    args: ['--settings', JSON.stringify(settings)],
  };
}

/** What Claude Code reads from its environment, or from `env` in its settings; no token. */
export function claudeVariables(proxy: ProxyFacts): Readonly<Record<string, string>> {
  return {
    ANTHROPIC_BASE_URL: proxy.address,
    ANTHROPIC_MODEL: coreModelId,
    ANTHROPIC_SMALL_FAST_MODEL: coreModelId,
    ANTHROPIC_DEFAULT_HAIKU_MODEL: coreModelId,
    ANTHROPIC_DEFAULT_SONNET_MODEL: coreModelId,
    ANTHROPIC_DEFAULT_OPUS_MODEL: coreModelId,
    // Else it assumes a million tokens, and compacts far too late.
    CLAUDE_CODE_MAX_CONTEXT_TOKENS: String(proxy.contextWindowTokens),
    CLAUDE_CODE_MAX_OUTPUT_TOKENS: String(Math.min(proxy.maxOutputTokens, usualAnswerTokens)),
    // A line at the start of each prompt that is another one in each chat: no prompt is ever found
    // in a provider's cache behind it.
    CLAUDE_CODE_ATTRIBUTION_HEADER: '0',
  };
}

/** Flags go before its settings files; variables alone do not where another way is chosen there. */
function qwenSettings(proxy: RunProxy): RunSettings {
  return {
    env: {
      OPENAI_BASE_URL: `${proxy.address}/v1`,
      OPENAI_API_KEY: proxy.token ?? noKey,
      OPENAI_MODEL: coreModelId,
    },
    args: ['--auth-type', 'openai', '--model', coreModelId],
  };
}
