import { realFiles, type Files, type OpenFile } from '../../src/store/disk/files.ts';

/** A file system that a process may be killed over. */
export interface KillableFiles {
  readonly files: Files;
  /** After so many more calls that change something, nothing reaches the disk any more. */
  killIn(calls: number): void;
  /** The next process finds the files as they are. */
  revive(): void;
  readonly isDead: boolean;
}

/** The real file system; once the process is killed, each call that changes anything fails. */
export function killableFiles(): KillableFiles {
  let left = Infinity;
  const change = (): void => {
    left -= 1;
    if (left < 0) throw Object.assign(new Error('the process is dead'), { code: 'EIO' });
  };
  const alive =
    <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      change();
      return call(...args);
    };
  const fileOf = (file: OpenFile): OpenFile => ({
    ...file,
    write: alive(async (bytes: Uint8Array, at: number) => file.write(bytes, at)),
    truncate: alive(async (sizeBytes: number) => file.truncate(sizeBytes)),
    // Without the sync itself: it takes most of the time, and no power is cut here.
    datasync: alive(async () => undefined),
  });
  return {
    files: {
      ...realFiles,
      open: async (path, options) => {
        if (options.create) change();
        return fileOf(await realFiles.open(path, options));
      },
      createExclusive: alive(async (path: string, bytes: Uint8Array) =>
        realFiles.createExclusive(path, bytes),
      ),
      makeDirectory: alive(async (path: string) => realFiles.makeDirectory(path)),
      rename: alive(async (from: string, to: string) => realFiles.rename(from, to)),
      link: alive(async (from: string, to: string) => realFiles.link(from, to)),
      remove: alive(async (path: string) => realFiles.remove(path)),
      syncDirectory: alive(async () => undefined),
    },
    killIn: (calls) => {
      left = calls;
    },
    revive: () => {
      left = Infinity;
    },
    get isDead() {
      return left < 0;
    },
  };
}
