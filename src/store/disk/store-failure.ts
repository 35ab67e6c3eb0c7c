import { ProxyError } from '../../errors.ts';

/** What a person can do about a damaged store. */
const doctorHint =
  'Run `rlm-opencode doctor` to see what is damaged and what can be saved. Other sessions are not affected.';

/** What the system means, for people. */
const reasons: Readonly<Record<string, string>> = {
  EROFS: 'its file system is read-only',
  EACCES: 'this user may not use it',
  EPERM: 'this user may not use it',
  ENOENT: 'it is not there',
  ENOTDIR: 'a file stands where a folder should be',
  EEXIST: 'a file stands where a folder should be',
  EIO: 'the disk does not answer as it should',
  EMFILE: 'this process has too many files open',
  ENFILE: 'this machine has too many files open',
};

const fullErrors = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * Names a failure of the file system: `store_full` where there is no room, else `internal`; a
 * {@link ProxyError} passes as it is.
 */
export function toStoreFailure(caught: unknown, path: string): ProxyError {
  if (caught instanceof ProxyError) return caught;
  const code = caught instanceof Error && 'code' in caught ? String(caught.code) : 'unknown';
  if (fullErrors.has(code)) {
    return new ProxyError('store_full', `There is no room to write ${path} (${code}).`, {
      cause: caught,
      hint: 'Free some disk space, or delete old sessions with `rlm-opencode sessions rm`.',
    });
  }
  const why = reasons[code];
  return new ProxyError(
    'internal',
    `The store could not use ${path}${why === undefined ? '' : `: ${why}`} (${code}).`,
    {
      cause: caught,
      hint: 'Mend that, or choose another place with RLM_DATA_DIR; `rlm-opencode doctor` writes a test file and looks at the free space.',
    },
  );
}

/**
 * The same for whatever a piece of work threw: the system's refusals are named, by the file that
 * they name or else by `folder`; anything else is as it was.
 */
export function namedFailure(caught: unknown, folder: string): unknown {
  if (!(caught instanceof Error) || !('syscall' in caught)) return caught;
  return toStoreFailure(caught, (caught as NodeJS.ErrnoException).path ?? folder);
}

/**
 * No command opens the stores on a disk without any room: who holds them is written down first.
 */
export function noRoomToOpen(failure: ProxyError): ProxyError {
  if (failure.code !== 'store_full') return failure;
  return new ProxyError('store_full', failure.message, {
    cause: failure.parts.cause,
    hint: 'Free some disk space elsewhere first: the stores cannot even be opened, nor one of them deleted, without room for a small file.',
  });
}

/** Names damage: which file, and what in it. The text in question is not served. */
export function corruptStore(path: string, what: string): ProxyError {
  return new ProxyError('store_corrupt', `${path} is damaged: ${what}.`, { hint: doctorHint });
}

const lostHint =
  'The next request opens the store anew, or begins a new one. To delete a store use `rlm-opencode sessions rm`; `rlm-opencode doctor` shows what is left.';

/**
 * Names files that were deleted or replaced under a running server: what was written to them would
 * be lost with them.
 */
export function lostStore(path: string): ProxyError {
  return new ProxyError(
    'store_corrupt',
    `${path} was deleted, or another file put in its place, while the server had it open: its texts are gone, and nothing more is stored in it.`,
    { hint: lostHint },
  );
}

/** The same, said to who still holds the session when its files have been closed. */
export function lostSession(sessionId: string): ProxyError {
  return new ProxyError(
    'store_corrupt',
    `The files of ${sessionId} were deleted or replaced while the server had them open.`,
    { hint: lostHint },
  );
}
