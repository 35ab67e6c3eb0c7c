import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import { findProfile } from '../upstream/profiles.ts';
import { isObject } from '../wire/json.ts';
import { parseSettings } from './parse.ts';
import { type Config, resolveConfig } from './resolve.ts';
import { settingLeaves } from './schema.ts';

/** Settings that decide what a model is sent. All others are of a machine. */
const sections: ReadonlySet<string> = new Set([
  'inject',
  'progress',
  'quotes',
  'capture',
  'strip',
  'window',
  'memory',
  'turn',
  'tools',
  'sandbox',
  'patience',
  'subModel',
]);

/** Work that took longer than here was cut off by time; now time is to decide nothing. */
const unhurriedMs = 600_000;

/** Whoever plays turns again wants all of them. */
const allTurns = { maxBytes: Number.MAX_SAFE_INTEGER, maxTurns: Number.MAX_SAFE_INTEGER };

const model = z.object({
  id: z.string(),
  contextWindowTokens: z.number().positive(),
  isWindowAssumed: z.literal(true).exactOptional(),
  maxOutputTokens: z.number().positive(),
});

const rest = z.object({
  strip: z.object({
    minChars: z.number(),
    perTool: z.record(z.string(), z.number()),
    isFixed: z.boolean(),
    fixedTools: z.array(z.string()),
  }),
  providers: z.array(
    z.object({
      id: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/),
      baseURL: z.url(),
      models: z.array(model),
      modelDefaults: model.omit({ id: true }),
      namedModels: z.array(z.string()),
      profile: z.string().optional(),
      maxInFlight: z.int().positive(),
      fallback: z.array(z.string()),
    }),
  ),
  defaultModel: z.object({ providerId: z.string(), modelId: z.string().optional() }).optional(),
});

/**
 * The configuration of a server whose settings were written down (`maskedConfig`), for playing its
 * turns again: what decides about prompts is as it was, and everything else is harmless. Its
 * providers are at `<upstreamOrigin>/<provider>`; nothing of this machine is in it: no environment,
 * no key, no folder but `dataDir`.
 * @param settings Perhaps of an older or a newer version: what is not known is left out
 * @throws ProxyError `config_invalid` for a value that no version has
 */
export function recordedConfig(
  settings: Readonly<Record<string, unknown>>,
  here: {
    readonly dataDir: string;
    /** Where turns are written down with their texts; absent: nowhere. */
    readonly traceDir?: string | undefined;
    readonly token: string;
    readonly upstreamOrigin: string;
  },
): Config {
  const text = JSON.stringify(knownSettings(settings));
  const parsed = parseSettings({ flags: {}, env: {}, file: { path: 'settings.json', text } });
  const found = rest.safeParse(settings);
  if (!found.success) {
    const path = found.error.issues[0]?.path.join('.') ?? '';
    throw new ProxyError('config_invalid', `settings.json: ${path} is not of this form.`);
  }
  const { strip, providers, defaultModel } = found.data;
  const nowhere = { home: here.dataDir, dataHome: here.dataDir, configHome: here.dataDir };
  const config = resolveConfig(parsed, {}, { ...nowhere, temp: here.dataDir });
  return {
    ...config,
    dataDir: here.dataDir,
    localDataDir: here.dataDir,
    outputFolders: [],
    trace: { ...config.trace, dir: here.traceDir, texts: '1', ...allTurns },
    strip,
    defaultModel,
    capture: { ...config.capture, outlineWaitMs: unhurriedMs },
    tools: { ...config.tools, searchDeadlineMs: unhurriedMs },
    server: { ...config.server, host: '127.0.0.1', port: 0, apiToken: here.token },
    providers: providers.map((provider) =>
      Object.assign(provider, {
        baseURL: `${here.upstreamOrigin}/${provider.id}/v1`,
        // By its host, which it has not any more.
        profile: findProfile(provider.baseURL, provider.profile).name,
        route: {},
        headers: {},
      }),
    ),
  };
}

/** Of a configuration what the schema knows and what decides about prompts, as a file says it. */
function knownSettings(settings: Readonly<Record<string, unknown>>): object {
  const known: Record<string, unknown> = {};
  for (const { path } of settingLeaves) {
    if (!sections.has(path[0] ?? '')) continue;
    const value = path.reduce<unknown>(
      (holder, name) =>
        isObject(holder) && Object.hasOwn(holder, name) ? holder[name] : undefined,
      settings,
    );
    if (value === undefined) continue;
    let holder = known;
    for (const name of path.slice(0, -1)) holder = (holder[name] ??= {}) as Record<string, unknown>;
    holder[path.at(-1) ?? ''] = value;
  }
  return known;
}
