import type { ClientKind } from './client.ts';

/** A client that is not known: what clients have in common. */
export const unknownClient: ClientKind = {
  id: 'other',
  name: 'any other',
  known: {},
  directory: [
    // On a line of its own, numbered or in a list. Several that differ tell nothing.
    {
      stands: 'system',
      form: /(?:^|\n)[ \t]*(?:(?:[-*•]|\d+[.)])[ \t]*)?(?:(?:current|primary) )?working directory:[ \t]*[`"']?((?:\/|[A-Za-z]:[\\/])[^\r\n`"']*)/i,
    },
    { stands: 'system', form: /<cwd>((?:\/|[A-Za-z]:[\\/])[^<\r\n]*)<\/cwd>/ },
  ],
  conversation: {
    headers: ['x-session-id', 'x-session-affinity'],
    parentHeaders: ['x-parent-session-id'],
    members: [],
    affinity: 'its headers',
  },
  spills: [],
  cuts: [],
  prunedMarkers: [],
  reminders: [],
  readTools: ['Read', 'read_file', 'view'],
  pathArguments: ['filePath', 'file_path', 'path', 'file', 'url'],
  helpers: [],
  reasoning: 'is dropped',
};
