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
