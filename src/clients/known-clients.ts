import type { Client } from './client.ts';
import { openCode } from './opencode.ts';

/**
 * The clients that are recognised, in the order in which they are asked for. Add one: a file with
 * its row, a line here.
 */
export const knownClients: readonly Client[] = [openCode];

/** The working directory that a system prompt names in a client's form, if it does. */
export function workingDirectoryOf(systemText: string): string | undefined {
  for (const { workingDirectory } of knownClients) {
    const found = workingDirectory.exec(systemText)?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

const prunedMarkers: ReadonlySet<string> = new Set(
  knownClients.flatMap((client) => client.prunedMarkers),
);

/**
 * Whether a tool output is nothing but a client's own mark of one that it has pruned. Never stored,
 * never taken for the original.
 */
export function isPruned(output: unknown): boolean {
  return typeof output === 'string' && prunedMarkers.has(output.trim());
}

/**
 * The arguments (JSON) of the call that has read the file which the next part of a user message is
 * the content of, if this part is a client's note that says so.
 */
export function attachmentArguments(text: string): string | undefined {
  for (const { attachmentLead } of knownClients) {
    const found = attachmentLead.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

const readTools: ReadonlySet<string> = new Set([
  ...knownClients.flatMap((client) => client.readTools),
  // Of clients that have no row.
  'Read',
  'read_file',
  'view',
]);

/** Whether a model asks for one text and no more with a tool of this name. */
export function isReadTool(name: string): boolean {
  return readTools.has(name);
}

/** Whether a client, by its `user-agent` header, reads meaning into the words of an error. */
export function readsErrorWords(userAgent: string | undefined): boolean {
  return knownClients.some(
    ({ wordReader }) => wordReader !== undefined && userAgent?.startsWith(wordReader) === true,
  );
}
