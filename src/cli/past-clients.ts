import type { SessionFlags } from './session-flags.ts';

/** The clients whose history is read. */
export const pastClients = ['opencode', 'claude-code', 'codex'] as const;

/** What `ingest` takes beside the flags that choose a store. */
export interface PastFlags extends SessionFlags {
  readonly from: (typeof pastClients)[number];
  readonly history?: string;
  readonly dryRun?: boolean;
  readonly allProjects?: boolean;
}
