import { resolve } from 'node:path';
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
 * The data directory alone, absolute: the same as `loadConfig` finds, in a fraction of the time.
 * Other settings are not looked at; what is not a path is left to `loadConfig` and its words.
 * @throws ProxyError `config_invalid`
 */
export async function loadDataDir(options: LoadOptions = {}): Promise<string> {
  const { env, folders } = machineOf(options);
  const { path, text } = readSettingsFile(env, folders);
  const inFile = text === undefined ? undefined : await dataDirInFile({ path, text });
  const { env: variable, flag } = dataDirSetting;
  const said = options.flags?.[flag] ?? (env[variable] || undefined) ?? inFile;
  if (said === undefined) return resolve(standardDataDir(folders));
  if (typeof said === 'string' && said !== '') return resolve(said);
  const { loadConfig } = await import('./load.ts');
  return loadConfig(options).config.dataDir;
}

async function dataDirInFile(file: {
  readonly path: string;
  readonly text: string;
}): Promise<unknown> {
  const { parseSettingsFile } = await import('./file-text.ts');
  return parseSettingsFile(file)['dataDir'];
}
