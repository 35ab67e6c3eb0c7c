/** What the system's words for a failed file mean. */
const meanings: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a file stands where a folder should be',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  EISDIR: 'it is a folder',
  ELOOP: 'its links lead in a circle',
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
