import { hash } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { type LoadOptions, machineOf, readSettingsFile, standardDataDir } from './places.ts';
import type { SettingMeta } from './setting.ts';

/**
 * The setting `dataDir`. It stands here, without the schema: all that a command needs to find a
 * running server.
 */
export const dataDirSetting = {
  env: 'RLM_DATA_DIR',
  flag: 'data-dir',
  description:
    'Where everything is stored. Default: `rlm-opencode` in the data home (`~/.local/share`).',
} as const satisfies SettingMeta;

/**
 * The setting `store.url`, which stands here for the same reason: what is here of a shared store
 * lies in a folder of its own, so that no two stores ever mix.
 */
export const storeUrlSetting = { env: 'RLM_STORE_URL' } as const;

/** Where the files are: of a shared store below the machine's own, one folder for each store. */
export function storeFolder(dataDir: string, storeUrl: string | undefined): string {
  if (storeUrl === undefined) return dataDir;
  const [, user = '', place = ''] = /^\w+:\/\/(?:([^@/:]*)[^@/]*@)?([^?]*)/.exec(storeUrl) ?? [];
  const name = hash('sha256', `${user}@${place.toLowerCase()}`).slice(0, 12);
  return join(dataDir, 'shared', name);
}

/** Whether a folder is one of {@link storeFolder} for a shared store. */
export function isOfSharedStore(folder: string): boolean {
  return basename(dirname(folder)) === 'shared';
}

/**
 * The data directory alone, absolute: the same as `loadConfig` finds, in a fraction of the time.
 * Other settings are not looked at; what is not a path is left to `loadConfig` and its words.
 * @throws ProxyError `config_invalid`
 */
export async function loadDataDir(options: LoadOptions = {}): Promise<string> {
  const { env, folders } = machineOf(options);
  const { path, text } = readSettingsFile(env, folders);
  const inFile = text === undefined ? {} : await placesInFile({ path, text });
  const storeUrl = (env[storeUrlSetting.env] || undefined) ?? inFile.storeUrl;
  const { env: variable, flag } = dataDirSetting;
  const said = options.flags?.[flag] ?? (env[variable] || undefined) ?? inFile.dataDir;
  if ((said === undefined || isText(said)) && (storeUrl === undefined || isText(storeUrl))) {
    return storeFolder(resolve(said ?? standardDataDir(folders)), storeUrl);
  }
  const { loadConfig } = await import('./load.ts');
  return loadConfig(options).config.dataDir;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

async function placesInFile(file: {
  readonly path: string;
  readonly text: string;
}): Promise<{ readonly dataDir?: unknown; readonly storeUrl?: unknown }> {
  const { parseSettingsFile } = await import('./file-text.ts');
  const { dataDir, store } = parseSettingsFile(file);
  return { dataDir, storeUrl: (store as { readonly url?: unknown } | undefined)?.url };
}
