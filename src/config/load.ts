import { resolve } from 'node:path';
import { type ParsedSettings, parseSettings } from './parse.ts';
import {
  type Environment,
  isOpenToOthers,
  type LoadOptions,
  machineOf,
  readSettingsFile,
} from './places.ts';
import { storeFolder } from './data-dir.ts';
import { type Config, resolveConfig } from './resolve.ts';
import { settingLeaves } from './schema.ts';

/** The configuration and how it came to be. */
export interface LoadedConfig extends ParsedSettings {
  readonly config: Config;
  /** The file that was looked for; it need not exist. */
  readonly filePath: string;
  /** Whether it does. */
  readonly fileFound: boolean;
  /** Sentences for the user: things that are probably not meant. */
  readonly warnings: readonly string[];
}

/**
 * Reads the settings: flags, then environment, then `rlm-opencode/config.jsonc` in the
 * configuration home (or the file that `RLM_CONFIG` names), then defaults.
 * @throws ProxyError `config_invalid`
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const { env, folders } = machineOf(options);
  const { path: filePath, text } = readSettingsFile(env, folders);
  const parsed = parseSettings({
    flags: options.flags ?? {},
    env,
    ...(text === undefined ? {} : { file: { path: filePath, text } }),
  });
  const config = resolveConfig(parsed, env, folders);
  return {
    ...parsed,
    config: {
      ...config,
      localDataDir: resolve(config.localDataDir),
      dataDir: storeFolder(resolve(config.localDataDir), config.store.url),
    },
    filePath,
    fileFound: text !== undefined,
    warnings: warningsOf(parsed, env),
  };
}

function warningsOf({ settings }: ParsedSettings, env: Environment): string[] {
  const warnings: string[] = [];
  const known = new Set(settingLeaves.map((leaf) => leaf.env));
  for (const name of Object.keys(env)) {
    if (/^RLM_[A-Z_]+$/.test(name) && name !== 'RLM_CONFIG' && !known.has(name)) {
      warnings.push(`${name} is set, but there is no such setting.`);
    }
  }
  if (settings.upstream.apiKey !== undefined && settings.upstream.baseURL === undefined) {
    warnings.push('RLM_UPSTREAM_API_KEY is set without RLM_UPSTREAM_BASE_URL, so it is not used.');
  }
  for (const [id, provider] of Object.entries(settings.providers)) {
    const keyName = provider.apiKeyEnv;
    const keyFile = provider.apiKeyFile;
    if (keyFile !== undefined && isOpenToOthers(keyFile)) {
      warnings.push(`providers.${id}.apiKeyFile can be read by others: chmod 600 ${keyFile}`);
    }
    if (
      provider.apiKey === undefined &&
      keyFile === undefined &&
      keyName !== undefined &&
      !env[keyName]
    ) {
      warnings.push(`providers.${id} takes its key from ${keyName}, which is not set.`);
    }
  }
  return warnings;
}
