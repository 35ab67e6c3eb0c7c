import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { ProxyError } from '../errors.ts';
import { type Environment, type ParsedSettings, parseSettings } from './parse.ts';
import { type Config, type Folders, foldersOf, resolveConfig } from './resolve.ts';
import { settingLeaves } from './schema.ts';

/** What may be given; the rest comes from the process. */
export interface LoadOptions {
  /** Values by long flag name, without dashes. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  /** Default: the environment of this process. */
  readonly env?: Environment;
  /** Default: the user's. */
  readonly homeDir?: string;
}

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
 * Reads the settings: flags, then environment, then `rlm-opencode/config.jsonc` in the configuration home
 * (or the file that `RLM_CONFIG` names), then defaults. The only reader of the process's environment.
 * @throws ProxyError `config_invalid`
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const env = options.env ?? process.env;
  const folders = foldersOf(env, options.homeDir ?? homedir());
  const named = env['RLM_CONFIG'];
  const filePath =
    named === undefined || named === ''
      ? join(folders.configHome, 'rlm-opencode/config.jsonc')
      : resolve(named);
  const text = readOptional(filePath, named !== undefined && named !== '');
  const parsed = parseSettings({
    flags: options.flags ?? {},
    env,
    ...(text === undefined ? {} : { file: { path: filePath, text } }),
  });
  const config = resolveConfig(parsed.settings, env, folders);
  return {
    ...parsed,
    config: { ...config, dataDir: resolve(config.dataDir) },
    filePath,
    fileFound: text !== undefined,
    warnings: warningsOf(parsed, env),
  };
}

/** The XDG folders of this process's user. */
export function userFolders(env: Environment = process.env): Folders {
  return foldersOf(env, homedir());
}

function readOptional(path: string, required: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && !required) return undefined;
    throw new ProxyError('config_invalid', `${path} cannot be read.`, {
      cause: error,
      hint: 'RLM_CONFIG names the file; unset it to use the usual one.',
    });
  }
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
    if (provider.apiKey === undefined && keyName !== undefined && !env[keyName]) {
      warnings.push(`providers.${id} takes its key from ${keyName}, which is not set.`);
    }
  }
  return warnings;
}
