import type { ClientKind } from './client.ts';

/** The coding agent called pi, 0.7x. */
export const pi: ClientKind = {
  id: 'pi',
  name: 'pi',
  known: { prompt: /operating inside pi, a coding agent harness/ },
  home: { variables: ['PI_CODING_AGENT_DIR'], folders: ['.pi', 'agent'] },
  directory: [
    // The prompt's last line: what a project brings stands before it, so the last one counts.
    { stands: 'system', form: /^(?:[\s\S]*\n)?Current working directory: ([^\r\n]+)/ },
  ],
  conversation: { headers: [], parentHeaders: [], members: [] },
  spills: [
    {
      note: /\s{0,4}\[Showing (?:lines|last) [^\]\r\n]*Full output: ([^\]\r\n]+)\]((?:\r?\n[^\r\n]*){0,4})$/,
      stands: 'behind',
      printed: 'end',
      file: /\/pi-[a-z]+-[0-9a-f]{8,}\.log$/,
      own: { below: 'temp', folders: [] },
    },
  ],
  cuts: [],
  prunedMarkers: [],
  reminders: [],
  readTools: ['read'],
  pathArguments: ['path', 'file_path'],
  helpers: [
    {
      what: 'summary',
      stands: 'system',
      form: /^You are a context summarization assistant\./,
      goes: 'untouched',
    },
  ],
  reasoning: 'comes back',
};
