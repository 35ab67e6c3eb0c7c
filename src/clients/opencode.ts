import type { Client } from './client.ts';

/** OpenCode, 1.x and 2.x. */
export const openCode: Client = {
  // The environment block of the first system message. The first match counts: an AGENTS.md with a
  // block of its own comes after the real one. Indented by two spaces.
  workingDirectory:
    /Here is some useful information about the environment you are running in:\r?\n<env>\r?\n {2}Working directory: ([^\r\n]+)\r?\n/,
  chatIdHeaders: ['x-session-id', 'x-session-affinity', 'x-opencode-session'],
  parentChatIdHeader: 'x-parent-session-id',
  // Outputs are cut at 50 KiB or 2,000 lines; the files are deleted after 7 days.
  spill: {
    // bash
    noteBefore: /^\.\.\.output truncated\.\.\.\s+Full output saved to: ([^\r\n]+)(?:\r?\n){1,2}/,
    // All other tools: how much is missing, then the note.
    noteBehind:
      /\.\.\.[\d,.]+ (?:bytes|lines|characters) truncated\.\.\.\s+(?:[^\r\n]*\. )?Full output saved to: ([^\r\n]+)(?:\r?\n[^\r\n]*){0,4}$/,
    // bash, when a command is stopped.
    added: /\s*<(?:shell|bash)_metadata>[^<]{0,1000}<\/(?:shell|bash)_metadata>\s*$/,
    folders: ['opencode', 'tool-output'],
    fileName: /^tool_[A-Za-z0-9]+$/,
  },
  prunedMarkers: ['[Old tool result content cleared]', '[Old tool result content omitted]'],
  attachmentLead: /^Called the (?:Read|read) tool with the following input: (\{.*\})$/s,
  readTools: ['read'],
  wordReader: 'opencode/',
};
