import { ProxyError } from '../errors.ts';

/** What a person can do about a damaged store. */
const doctorHint =
  'Run `rlm-opencode doctor` to see what is damaged and what can be saved. Other sessions are not affected.';

const fullErrors = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Names a failure of the file system: `store_full` where there is no room, else `internal`; a {@link ProxyError} passes as it is. */
export function toStoreFailure(caught: unknown, path: string): ProxyError {
  if (caught instanceof ProxyError) return caught;
  const code = caught instanceof Error && 'code' in caught ? String(caught.code) : 'unknown';
  if (fullErrors.has(code)) {
    return new ProxyError('store_full', `There is no room to write ${path} (${code}).`, {
      cause: caught,
      hint: 'Free some disk space, or delete old sessions with `rlm-opencode sessions rm`.',
    });
  }
  return new ProxyError('internal', `The store could not use ${path} (${code}).`, {
    cause: caught,
    hint: 'Check the disk and the permissions of the data directory; `rlm-opencode doctor` does both.',
  });
}

/** Names damage: which file, and what in it. The text in question is not served. */
export function corruptStore(path: string, what: string): ProxyError {
  return new ProxyError('store_corrupt', `${path} is damaged: ${what}.`, { hint: doctorHint });
}
