import type { Command } from 'commander';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { settingLeaves } from '../config/schema.ts';

/**
 * Adds the flags of settings to a command, with the schema's own words. @param names Which ones;
 * absent: all
 */
export function addSettingFlags(command: Command, names?: readonly string[]): Command {
  for (const { flag, description } of settingLeaves) {
    if (flag === undefined || (names !== undefined && !names.includes(flag))) continue;
    command.option(`--${flag} <value>`, description);
  }
  return command;
}

/**
 * The configuration with the flags that were given to a command. @throws ProxyError
 * `config_invalid`
 */
export function loadFromFlags(options: Readonly<Record<string, unknown>>): LoadedConfig {
  const flags: Record<string, string> = {};
  for (const { flag } of settingLeaves) {
    const value = flag === undefined ? undefined : options[camelCase(flag)];
    if (flag !== undefined && typeof value === 'string') flags[flag] = value;
  }
  return loadConfig({ flags });
}

/** As commander names the value of a flag. */
function camelCase(flag: string): string {
  return flag.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
