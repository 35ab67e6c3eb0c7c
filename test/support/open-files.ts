import { readdirSync, readlinkSync } from 'node:fs';

/** What this process has open in a folder; nothing where the machine does not say. */
export function openFilesOf(folder: string): readonly string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((path) => path.startsWith(folder));
    } catch {
      return [];
    }
  });
}
