/** What the system's words for a failed file mean. */
const meanings: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a file stands where a folder should be',
  EACCES: 'this user may not use it',
  EPERM: 'this user may not use it',
  EEXIST: 'it is there already',
  EISDIR: 'it is a folder',
  EBADF: 'it is not open for that',
  ELOOP: 'its links lead in a circle',
  ENOSPC: 'there is no room left on its disk',
  EROFS: 'its file system is read-only',
  EIO: 'the disk does not answer as it should',
  ENAMETOOLONG: 'its name is too long',
  EMFILE: 'this process has too many files open',
};

/** Why a file could not be read, for people: `there is no such file or folder (ENOENT)`. */
export function unreadableReason(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return String(error);
  const code = String(error.code);
  const meaning = meanings[code];
  return meaning === undefined ? code : `${meaning} (${code})`;
}

/**
 * A call of the system that failed, for people: `/a/b: a file stands where a folder should be
 * (ENOTDIR).` The system's own words where they say more, as of a connection.
 */
export function systemFailure(error: NodeJS.ErrnoException): string {
  const { code = '', path } = error;
  const meaning = meanings[code];
  return path === undefined || meaning === undefined
    ? error.message
    : `${path}: ${meaning} (${code}).`;
}
