import { realFiles, type Files } from '../../src/store/disk/files.ts';

/** The real file system; what is read of texts is counted, and one reading can be held. */
export interface HeldFiles extends Disposable {
  readonly files: Files;
  /** Bytes read of context files so far. */
  readonly textBytes: () => number;
  /** Resolves when the reading is there that is held. */
  readonly reached: Promise<void>;
  /** Holds none from now on, but for the one that is held. */
  disarm(): void;
  /** Lets it go on. */
  release(): void;
}

/**
 * Holds reading number `held` (from 1) of a context file, and no other: directly after opening all
 * of them are the background's that makes the block table anew, so it stays half-done there until
 * {@link HeldFiles.release}.
 */
export function heldFiles(held: number): HeldFiles {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let textBytes = 0;
  let count = 0;
  let isArmed = true;
  const files: Files = {
    ...realFiles,
    open: async (path, options) => {
      const file = await realFiles.open(path, options);
      if (!path.endsWith('_context.txt')) return file;
      return {
        ...file,
        read: async (target, positionBytes) => {
          if (target.length > 0) count += 1;
          if (isArmed && target.length > 0 && count === held) {
            reached.resolve();
            await released.promise;
          }
          textBytes += target.length;
          return file.read(target, positionBytes);
        },
        readNow: (target, positionBytes) => {
          textBytes += target.length;
          return file.readNow(target, positionBytes);
        },
      };
    },
  };
  return {
    files,
    textBytes: () => textBytes,
    reached: reached.promise,
    disarm: () => {
      isArmed = false;
    },
    release: released.resolve,
    [Symbol.dispose]: released.resolve,
  };
}
