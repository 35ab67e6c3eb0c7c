import { writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** Loaded before a command (`--import`): writes what the process has loaded at its end, as JSON, to the file that `LOADED_FILES` names. */
const loaded: string[] = [];

registerHooks({
  load: (url, context, next) => {
    loaded.push(url);
    return next(url, context);
  },
});

process.on('exit', () => {
  const { moduleLoadList } = process as unknown as { moduleLoadList: readonly string[] };
  writeFileSync(process.env['LOADED_FILES'] ?? '', JSON.stringify([...loaded, ...moduleLoadList]));
});
