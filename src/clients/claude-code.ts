import type { ClientKind } from './client.ts';

/** Claude Code, 2.1, by way of the Messages protocol. */
export const claudeCode: ClientKind = {
  id: 'claude-code',
  name: 'Claude Code',
  known: {
    userAgent: /^claude-cli\//,
    headers: ['x-claude-code-session-id'],
    prompt: /^(?:x-anthropic-billing-header: cc_|You are Claude Code, )/,
  },
  home: { variables: ['CLAUDE_CONFIG_DIR'], folders: ['.claude'] },
  directory: [
    {
      stands: 'system',
      form: /# Environment\r?\n[^\r\n]*\r?\n\s*- Primary working directory: ([^\r\n]+)/,
    },
    // With a model whose name it knows.
    {
      stands: 'user',
      form: /^\s*<system-reminder>[\s\S]{0,40000}?# Environment\r?\n[^\r\n]*\r?\n\s*- Primary working directory: ([^\r\n]+)/,
    },
    // Earlier versions.
    { stands: 'system', form: /<env>\r?\nWorking directory: ([^\r\n]+)\r?\nIs directory a git/ },
  ],
  conversation: {
    headers: ['x-claude-code-session-id'],
    parentHeaders: [],
    agentHeader: 'x-claude-code-agent-id',
    members: [
      ['metadata', 'user_id', 'session_id'],
      // Before 2.1.
      ['metadata', 'user_id', /_session_([0-9a-f-]{36})$/],
    ],
    affinity: 'x-session-id',
  },
  spills: [
    {
      note: /^<persisted-output>\r?\nOutput too large \([^)\r\n]*\)\. Full output saved to: ([^\r\n]+)\r?\n\s*Preview \([^)\r\n]*\):\r?\n/,
      stands: 'before',
      printed: 'beginning',
      closing: /(?:\r?\n\.\.\.)?\r?\n<\/persisted-output>\s*$/,
      file: /\/projects\/[^/]+\/[0-9a-f-]{36}\/tool-results\/[A-Za-z0-9_-]+\.(?:txt|json)$/,
      own: {
        below: 'home',
        folders: ['.claude', 'projects'],
        isDeep: true,
        moved: {
          variables: ['CLAUDE_CONFIG_DIR'],
          folders: ['projects'],
          file: /^[^/]+\/[0-9a-f-]{36}\/tool-results\/[A-Za-z0-9_-]+\.(?:txt|json)$/,
        },
      },
    },
  ],
  cuts: [],
  prunedMarkers: ['[Old tool result content cleared]'],
  reminders: [/<system-reminder>[\s\S]*?(?:<\/system-reminder>|$)/g],
  readTools: ['Read'],
  pathArguments: ['file_path', 'path', 'notebook_path', 'url'],
  helpers: [
    {
      what: 'title',
      stands: 'system',
      form: /(?:^|\n)You are naming a coding session/,
      goes: 'untouched',
    },
    {
      what: 'summary',
      stands: 'user',
      form: /^CRITICAL: Respond with TEXT ONLY/,
      goes: 'as the chat',
    },
  ],
  // At each start, by a program that says nothing of itself.
  probes: ['/api/hello'],
  reasoning: 'comes back',
};
