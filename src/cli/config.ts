import { Command } from 'commander';
import { settingLines, shownSettings } from '../config/show.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { jsonText, print, printError } from './screen.ts';

/** `rlm-opencode config`: every setting, its value and where it came from; secrets are not shown. */
export function configCommand(): Command {
  const command = new Command('config')
    .description('show every setting with its value and where it came from')
    .option('--json', 'as JSON');
  return addSettingFlags(command).action((options: { json?: boolean }) => {
    const loaded = loadFromFlags({ ...options });
    const shown = shownSettings(loaded);
    if (options.json === true) {
      print(`${jsonText({ file: loaded.filePath, settings: shown }, 2)}\n`);
      return;
    }
    print(`# ${loaded.filePath}${loaded.fileFound ? '' : ' (there is no such file)'}\n`);
    print(settingLines(shown));
    for (const warning of loaded.warnings) printError(`${warning}\n`);
  });
}
