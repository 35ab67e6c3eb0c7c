import type { ClientKind } from './client.ts';

/** Codex, 0.17x, by way of the Responses protocol. */
export const codex: ClientKind = {
  id: 'codex',
  name: 'Codex',
  known: {
    userAgent: /^codex[_-]/,
    headers: ['x-codex-turn-metadata', 'x-codex-window-id'],
    prompt: /^You are a coding agent running in the Codex CLI/,
  },
  home: { variables: ['CODEX_HOME'], folders: ['.codex'] },
  directory: [
    // After a resume a second block comes, without a directory.
    { stands: 'user', form: /^\s*<environment_context>[\s\S]{0,4000}?<cwd>([^<\r\n]+)<\/cwd>/ },
  ],
  // In a git repository, and then its root.
  rootHeader: { name: 'x-codex-turn-metadata', member: 'workspaces' },
  conversation: {
    headers: ['thread-id', 'session-id', 'session_id'],
    parentHeaders: ['session-id', 'session_id'],
    members: [['client_metadata', 'thread_id'], ['prompt_cache_key']],
    affinity: 'x-session-id',
  },
  spills: [],
  cuts: [
    /…\d+ (?:chars|tokens) truncated…/,
    /\.\.\. \d+ bytes omitted \.\.\./,
    /\.\.\. command output truncated for persistence \.\.\./,
  ],
  prunedMarkers: [],
  reminders: [/<environment_context>[\s\S]*?(?:<\/environment_context>|$)/g],
  readTools: [],
  pathArguments: ['path'],
  helpers: [
    {
      what: 'summary',
      stands: { header: 'x-codex-turn-metadata' },
      form: /"request_kind":\s*"compaction"/,
      // Of what the model knows as stubs the whole may be longer than its window.
      goes: 'without tools',
    },
  ],
  reasoning: 'comes back',
};
