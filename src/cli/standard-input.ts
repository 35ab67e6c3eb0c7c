import { createWriteStream, existsSync, fstatSync, rmSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { unreadableReason } from '../base/system-words.ts';
import { randomIds } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { toStoreFailure } from '../store/disk/store-failure.ts';

/**
 * Puts standard input into a private file, which the server can read, too; the disposal deletes it.
 * What was not read to its end leaves no file behind.
 * @throws ProxyError `invalid_request` where standard input is empty or cannot be read,
 * `store_full` and `internal` where the file cannot be written
 */
export async function keepStdin(dataDir: string): Promise<PassingFile> {
  checkStdin();
  const path = join(dataDir, `${randomIds.next('stdin_')}.tmp`);
  const file = passingFile(path);
  let readFault: ProxyError | undefined;
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await pipeline(
      heard((error) => (readFault = unreadable(unreadableReason(error)))),
      createWriteStream(path, { flags: 'wx', mode: 0o600 }),
    );
    // What should have written into it has failed, most likely.
    if (statSync(path).size === 0) throw unreadable('it is empty');
    return file;
  } catch (error) {
    file[Symbol.dispose]();
    throw readFault ?? toStoreFailure(error, path);
  }
}

/** A folder is a standard input of nothing to Node, as if somebody had sent an empty text. */
function checkStdin(): void {
  if (isFolder()) throw unreadable('it is a folder');
}

function isFolder(): boolean {
  try {
    return fstatSync(0).isDirectory();
  } catch {
    // What reads it says why it cannot.
    return false;
  }
}

async function* heard(onFault: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    yield* process.stdin as AsyncIterable<Buffer>;
  } catch (error) {
    onFault(error);
    throw error;
  }
}

function unreadable(why: string): ProxyError {
  return new ProxyError(
    'invalid_request',
    `Standard input cannot be read: ${why}. Nothing was taken from it.`,
    { hint: 'Lead something into it with | or <, or name files instead of -.' },
  );
}

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A file that is deleted when it is disposed of, or when this process is told to end. */
export interface PassingFile extends Disposable {
  readonly path: string;
}

/** @param path Where the file is, or will be */
export function passingFile(path: string): PassingFile {
  const remove = (): void => {
    if (existsSync(path)) rmSync(path);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    remove();
    process.kill(process.pid, signal);
  };
  for (const signal of endings) process.once(signal, onSignal);
  return {
    path,
    [Symbol.dispose]: () => {
      for (const signal of endings) process.off(signal, onSignal);
      remove();
    },
  };
}
