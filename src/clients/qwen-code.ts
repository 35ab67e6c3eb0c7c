import type { ClientKind } from './client.ts';

/** Between the beginning and the end of a cut output. */
const gap = '\n\n---\n... [CONTENT TRUNCATED] ...\n---\n\n';

const place = {
  file: /\/\.qwen\/tmp\/(?:[^/]+\/)+[^/]+\.(?:output|txt)$/,
  own: {
    below: 'home',
    folders: ['.qwen', 'tmp'],
    isDeep: true,
    moved: {
      variables: ['QWEN_RUNTIME_DIR', 'QWEN_HOME'],
      folders: ['tmp'],
      file: /^(?:[^/]+\/)+[^/]+\.(?:output|txt)$/,
    },
  },
} as const;

/** Qwen Code, 0.2x. */
export const qwenCode: ClientKind = {
  id: 'qwen',
  name: 'Qwen Code',
  known: { userAgent: /^QwenCode\//, prompt: /^You are Qwen Code, / },
  home: { variables: ['QWEN_HOME'], folders: ['.qwen'] },
  directory: [
    {
      stands: 'user',
      form: /^<system-reminder>\r?\nThis is the Qwen Code\.[\s\S]{0,2000}?\nI'm currently working in the (?:directory: |following directories:\r?\n\s*- )([^\r\n]+)/,
    },
  ],
  conversation: { headers: [], parentHeaders: [], members: [] },
  spills: [
    // The shell: a fifth of what is shown is the beginning.
    {
      ...place,
      note: /^Tool output was too large and has been truncated\.\r?\nThe full output has been saved to: ([^\r\n]+)\r?\n(?:[^\r\n]*\r?\n){0,12}?Truncated part of the output:\r?\n/,
      stands: 'before',
      printed: 'both',
      gap,
      separator: '\n\n',
      hasDots: true,
      // Commands run in a terminal of its own that keeps 10,000 rows, of 80 columns with nobody at
      // the keyboard (0.24.4; seen: the last 621,556 of 2,000,099 bytes as "the full output").
      keepsRows: { rows: 10_000, columns: 80 },
    },
    {
      ...place,
      note: /^<persisted-output>\r?\nOutput too large \([^)\r\n]*\)\. Full output saved to: ([^\r\n]+)\r?\n(?:[^\r\n]*\r?\n){0,6}?Preview \([^)\r\n]*\):\r?\n/,
      stands: 'before',
      printed: 'beginning',
      closing: /(?:\r?\n\.\.\.)?\r?\n<\/persisted-output>\s*$/,
    },
  ],
  cuts: [/\.\.\. \[CONTENT TRUNCATED\] \.\.\./],
  prunedMarkers: ['[Old tool result content cleared]'],
  reminders: [/<system-reminder>[\s\S]*?(?:<\/system-reminder>|$)/g],
  readTools: ['read_file'],
  pathArguments: ['file_path', 'absolute_path', 'path', 'url'],
  helpers: [
    {
      what: 'memory',
      stands: 'user',
      form: /^Managed memory has TWO directories\./,
      goes: 'without tools',
    },
  ],
  reasoning: 'is dropped',
};
