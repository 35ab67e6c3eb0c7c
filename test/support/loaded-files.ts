import { writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { isMainThread } from 'node:worker_threads';

/**
 * Loaded before a command (`--import`): writes what the process has loaded at its end, as JSON, to
 * the file that `LOADED_FILES` names.
 */
const loaded: string[] = [];

registerHooks({
  load: (url, context, next) => {
    loaded.push(url);
    return next(url, context);
  },
});

process.on('exit', () => {
  // Threads inherit this file; what they load is their own.
  if (!isMainThread) return;
  const { moduleLoadList } = process as unknown as { moduleLoadList: readonly string[] };
  writeFileSync(process.env['LOADED_FILES'] ?? '', JSON.stringify([...loaded, ...moduleLoadList]));
});
