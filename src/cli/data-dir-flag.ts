import type { Command } from 'commander';
import { dataDirSetting, loadDataDir } from '../config/data-dir.ts';

/** Adds `--data-dir` alone. Commands that need no other setting start without the schema. */
export function addDataDirFlag(command: Command): Command {
  return command.option(`--${dataDirSetting.flag} <value>`, dataDirSetting.description);
}

/**
 * The data directory by the flags that were given to a command, the environment and the file.
 * @throws ProxyError `config_invalid`
 */
export async function dataDirOf(flags: { readonly dataDir?: string }): Promise<string> {
  return loadDataDir(
    flags.dataDir === undefined ? {} : { flags: { [dataDirSetting.flag]: flags.dataDir } },
  );
}
