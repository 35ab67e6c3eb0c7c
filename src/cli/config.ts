import { Command } from 'commander';
import { settingLines, shownSettings } from '../config/show.ts';
import { differencesOf, knownServer } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { jsonText, print, printProse } from './screen.ts';
import { shortPath } from './start-text.ts';

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
    const file = shortPath(loaded.filePath);
    print(
      loaded.fileFound
        ? `# Settings: those of ${file}, of variables and of flags say so; the rest is as usual.\n`
        : `# There is no ${file} yet, so all is as usual where nothing else is said.\n# rlm-opencode init writes it.\n`,
    );
    print(settingLines(shown, { dataDir: shortPath(loaded.config.dataDir) }));
    if (different !== undefined && different.size > 0) {
      printProse(
        `The server at ${running?.address} was started with other settings, shown beside these.\n`,
      );
    }
    for (const warning of loaded.warnings) printProse(`${warning}\n`);
  });
}
