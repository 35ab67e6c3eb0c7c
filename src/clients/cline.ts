import type { ClientKind } from './client.ts';

/** The command line of Cline, 3.0. */
export const cline: ClientKind = {
  id: 'cline',
  name: 'Cline',
  known: { prompt: /^You are Cline, an AI coding agent\./ },
  home: { variables: ['CLINE_DIR'], folders: ['.cline'] },
  directory: [
    {
      stands: 'system',
      form: /Environment you are running in:\r?\n<env>\r?\n(?:\d+\. [^\r\n]*\r?\n){0,8}?\d+\. Working Directory: ([^\r\n]+)\r?\n/,
    },
  ],
  conversation: { headers: [], parentHeaders: [], members: [] },
  spills: [],
  // Outputs are JSON of at most 8,192 characters, so that line breaks in them are escaped.
  cuts: [/\.\.\.\[truncated \d+ chars\]\.\.\./],
  prunedMarkers: [],
  reminders: [],
  readTools: ['read_files'],
  pathArguments: ['files', 'path', 'url'],
  helpers: [],
  reasoning: 'is dropped',
};
