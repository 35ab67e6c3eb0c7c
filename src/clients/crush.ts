import type { ClientKind } from './client.ts';

/** Crush, as its public sources have it: it was not run. */
export const crush: ClientKind = {
  id: 'crush',
  name: 'Crush',
  known: {
    userAgent: /^Charm-Crush\//,
    prompt: /^You are Crush, a powerful AI Assistant that runs in the CLI\./,
  },
  directory: [
    {
      stands: 'system',
      form: /<env>\r?\nWorking directory: ([^\r\n]+)\r?\nIs directory a git repo: /,
    },
  ],
  conversation: { headers: [], parentHeaders: [], members: [] },
  spills: [],
  cuts: [/\.\.\. \[\d+ lines truncated\] \.\.\./],
  prunedMarkers: [],
  reminders: [],
  readTools: ['view'],
  pathArguments: ['file_path', 'path', 'url'],
  helpers: [
    {
      what: 'summary',
      stands: 'user',
      form: /^The conversation context above needs to be compacted\./,
      goes: 'as the chat',
    },
  ],
  reasoning: 'comes back',
};
