import type { ClientKind } from './client.ts';

/** The command line of Continue, 1.5. */
export const continueCli: ClientKind = {
  id: 'continue',
  name: 'Continue',
  known: { prompt: /^You are an agent in the Continue CLI\./ },
  home: { variables: ['CONTINUE_GLOBAL_DIR'], folders: ['.continue'] },
  directory: [
    {
      stands: 'system',
      form: /Here is useful information about the environment you are running in:\r?\n<env>\r?\nWorking directory: ([^\r\n]+)\r?\n/,
    },
  ],
  conversation: { headers: [], parentHeaders: [], members: [] },
  spills: [],
  // Outputs are cut to their last 50,000 characters.
  cuts: [
    /^\(previous output truncated: \d+ lines and \d+ characters removed\)/,
    /^\(previous \d+ characters truncated\)/,
  ],
  prunedMarkers: [],
  reminders: [],
  readTools: ['Read'],
  pathArguments: ['filepath', 'file_path', 'path', 'url'],
  helpers: [],
  reasoning: 'is dropped',
};
