import { Command } from 'commander';
import { settingLines, shownSettings } from '../config/show.ts';
import { differencesOf, knownServer } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { jsonText, print, printError } from './screen.ts';

/**
 * `rlm-opencode config`: every setting, its value and where it came from; secrets are not shown.
 */
export function configCommand(): Command {
  const command = new Command('config')
    .description('show every setting with its value and where it came from')
    .option('--json', 'as JSON');
  return addSettingFlags(command).action(async (options: { json?: boolean }) => {
    const loaded = loadFromFlags({ ...options });
    const running = await knownServer(loaded.config);
    const here = shownSettings(loaded);
    const different = running === undefined ? undefined : differencesOf(here, running.facts);
    const shown = here.map((setting) => {
      const server = different?.get(setting.key);
      return server === undefined ? setting : Object.assign({ server }, setting);
    });
    if (options.json === true) {
      print(`${jsonText({ file: loaded.filePath, settings: shown }, 2)}\n`);
      return;
    }
    print(`# ${loaded.filePath}${loaded.fileFound ? '' : ' (there is no such file)'}\n`);
    print(settingLines(shown));
    if (different !== undefined && different.size > 0) {
      printError(
        `The server at ${running?.address} was started with other settings, shown beside these.\n`,
      );
    }
    for (const warning of loaded.warnings) printError(`${warning}\n`);
  });
}
