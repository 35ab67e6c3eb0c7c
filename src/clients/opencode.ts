import type { ClientKind, SpillForm } from './client.ts';

/** How OpenCode and what is made of it cut outputs. The files are kept for 7 days. */
function spillsIn(place: Pick<SpillForm, 'file' | 'own'>): readonly SpillForm[] {
  return [
    // bash. Outputs are cut at 50 KiB or 2,000 lines.
    {
      ...place,
      note: /^\.\.\.output truncated\.\.\.\s+Full output saved to: ([^\r\n]+)(?:\r?\n){1,2}/,
      stands: 'before',
      printed: 'end',
      // Where a command is stopped.
      added: /\s*<(?:shell|bash)_metadata>[^<]{0,1000}<\/(?:shell|bash)_metadata>\s*$/,
    },
    // All other tools: how much is missing, then the note.
    {
      ...place,
      note: /\.\.\.[\d,.]+ (?:bytes|lines|characters) truncated\.\.\.\s+(?:[^\r\n]*\. )?Full output saved to: ([^\r\n]+)(?:\r?\n[^\r\n]*){0,4}$/,
      stands: 'behind',
      printed: 'beginning',
    },
  ];
}

/** OpenCode, 1.x and 2.x. */
export const openCode: ClientKind = {
  id: 'opencode',
  name: 'OpenCode',
  known: {
    userAgent: /^opencode\d?\//,
    headers: ['x-opencode-session'],
    prompt:
      /Here is some useful information about the environment you are running in:\r?\n<env>\r?\n {2}Working directory: /,
  },
  directory: [
    // The environment block of the first system message. The first match counts: an AGENTS.md with
    // a block of its own comes after the real one. Indented by two spaces.
    {
      stands: 'system',
      form: /Here is some useful information about the environment you are running in:\r?\n<env>\r?\n {2}Working directory: ([^\r\n]+)\r?\n(?: {2}Workspace root folder: ([^\r\n]+)\r?\n)?/,
    },
  ],
  conversation: {
    headers: ['x-session-id', 'x-session-affinity', 'x-opencode-session'],
    parentHeaders: ['x-parent-session-id'],
    members: [],
    affinity: 'its headers',
  },
  spills: spillsIn({
    file: /\/opencode\/tool-output\/tool_[A-Za-z0-9]+$/,
    own: { below: 'data', folders: ['opencode', 'tool-output'] },
  }),
  cuts: [],
  prunedMarkers: ['[Old tool result content cleared]', '[Old tool result content omitted]'],
  attachmentLead: /^Called the (?:Read|read) tool with the following input: (\{.*\})$/s,
  reminders: [/<system-reminder>[\s\S]*?(?:<\/system-reminder>|$)/g],
  readTools: ['read'],
  pathArguments: ['filePath', 'path', 'url'],
  helpers: [
    { what: 'title', stands: 'system', form: /^You are a title generator\./, goes: 'untouched' },
    {
      what: 'summary',
      stands: 'system',
      form: /^You are a context summarization agent\./,
      goes: 'untouched',
    },
  ],
  reasoning: 'comes back',
  readsErrorWords: true,
};

/** Kilo, made of OpenCode: what it says of the environment stands in the user's message. */
export const kilo: ClientKind = {
  ...openCode,
  id: 'kilo',
  name: 'Kilo',
  known: {
    userAgent: /^Kilo-Code\//,
    prompt: /^You are Kilo, a highly skilled software engineer/,
  },
  directory: [
    {
      stands: 'user',
      form: /^\s*<environment_details>\r?\n(?:[^\r\n<]*\r?\n)*?Working directory: ([^\r\n]+)\r?\n(?:Workspace root folder: ([^\r\n<]+)\r?\n)?/,
    },
    ...openCode.directory,
  ],
  spills: spillsIn({
    file: /\/kilo\/tool-output\/tool_[A-Za-z0-9]+$/,
    own: { below: 'data', folders: ['kilo', 'tool-output'] },
  }),
  reminders: [...openCode.reminders, /<environment_details>[\s\S]*?(?:<\/environment_details>|$)/g],
};
