import type { Message } from '../../src/wire/types.ts';

/** A client's request for a chat in a directory: what is its own in it, in its real shape. */
export interface ClientRequest {
  readonly headers: Readonly<Record<string, string>>;
  /** Members of the body beside model, messages and tools. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly messages: readonly Message[];
}

/** Makes {@link ClientRequest}: a user's question and what followed, in a chat of this name. */
type RequestIn = (directory: string, rest: readonly Message[], chat?: string) => ClientRequest;

/**
 * A new chat of each client that has a row, by the row's id: short requests of the shape that the
 * real ones were seen to have. What comes by way of another protocol stands here as its face
 * translates it.
 */
export const clientRequests: Readonly<Record<string, RequestIn>> = {
  opencode: (directory, rest, chat = 'ses_1') => ({
    headers: {
      'user-agent': 'opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14',
      'x-session-id': chat,
      'x-session-affinity': chat,
    },
    messages: [
      system(
        'You are powered by the model named m.\nHere is some useful information about the environment you are running in:\n<env>\n' +
          `  Working directory: ${directory}\n  Workspace root folder: ${directory}\n  Is directory a git repo: yes\n</env>`,
      ),
      ...rest,
    ],
  }),
  kilo: (directory, rest, chat = 'ses_1') => ({
    headers: {
      'user-agent': 'Kilo-Code/7.7.7 ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14',
      'x-session-id': chat,
      'x-session-affinity': chat,
      'x-title': 'Kilo Code',
    },
    messages: [
      system('You are Kilo, a highly skilled software engineer with much knowledge.'),
      ...withPart(
        rest,
        'behind',
        `\n\n<environment_details>\nMessage time: 2026-11-26T11:50:25Z\nWorking directory: ${directory}\nWorkspace root folder: ${directory}\n</environment_details>`,
      ),
    ],
  }),
  qwen: (directory, rest) => ({
    headers: { 'user-agent': 'QwenCode/0.24.4 (linux; x64)' },
    messages: [
      system('You are Qwen Code, a non-interactive CLI agent.'),
      ...withPart(
        rest,
        'before',
        `<system-reminder>\nThis is the Qwen Code. We are setting up the context for our chat.\nToday's date is Thursday.\nMy operating system is: linux\nI'm currently working in the directory: ${directory}\nHere is the folder structure:\n</system-reminder>`,
      ),
    ],
  }),
  pi: (directory, rest) => ({
    headers: { 'user-agent': 'OpenAI/JS 6.26.0' },
    messages: [
      {
        role: 'developer',
        content: `You are an expert coding assistant operating inside pi, a coding agent harness.\n\n## AGENTS.md\n\nCurrent working directory: /not/this\n\nCurrent date: 2026-11-26\nCurrent working directory: ${directory}`,
      },
      ...rest,
    ],
  }),
  continue: (directory, rest) => ({
    headers: { 'user-agent': 'ls/JS 5.23.2' },
    messages: [
      system(
        `You are an agent in the Continue CLI. Use the tools.\nHere is useful information about the environment you are running in:\n<env>\nWorking directory: ${directory}\nIs directory a git repo: true\n</env>`,
      ),
      ...rest,
    ],
  }),
  cline: (directory, rest) => ({
    headers: { 'user-agent': 'ai-sdk/openai-compatible/3.0.37 runtime/bun/1.3.13' },
    messages: [
      system(
        `You are Cline, an AI coding agent. Use the tools.\n\nEnvironment you are running in:\n<env>\n1. Platform: linux\n2. Date: 11/26/2026\n3. IDE: Terminal Shell\n4. Working Directory: ${directory}\n</env>\n`,
      ),
      ...rest,
    ],
  }),
  codex: (directory, rest, chat = '01a217c5-49a9-7ce1-854f-650c73594577') => ({
    headers: {
      'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.171.0)',
      originator: 'codex_exec',
      'session-id': chat,
      'thread-id': chat,
      'x-codex-turn-metadata': JSON.stringify({ thread_id: chat, request_kind: 'turn' }),
    },
    members: { prompt_cache_key: chat },
    messages: [
      system('You are a coding agent running in the Codex CLI.'),
      parts(
        `<environment_context>\n  <cwd>${directory}</cwd>\n  <shell>bash</shell>\n</environment_context>`,
      ),
      ...rest,
    ],
  }),
  'claude-code': (directory, rest, chat = '219b8bd0-b44b-4f83-951c-43b6376c6d4d') => ({
    headers: {
      'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)',
      'x-claude-code-session-id': chat,
    },
    members: { metadata: { user_id: JSON.stringify({ device_id: 'd', session_id: chat }) } },
    messages: [
      system("You are a Claude agent, built on Anthropic's Claude Agent SDK."),
      ...rest.slice(0, 1),
      system(
        `# Environment\nYou have been invoked in the following environment: \n - Primary working directory: ${directory}\n - Is a git repository: false`,
      ),
      ...rest.slice(1),
    ],
  }),
  crush: (directory, rest) => ({
    headers: { 'user-agent': 'Charm-Crush/v0.97.1 (https://charm.land/crush)' },
    messages: [
      system(
        `You are Crush, a powerful AI Assistant that runs in the CLI.\n\n<env>\nWorking directory: ${directory}\nIs directory a git repo: yes\nPlatform: linux\n</env>`,
      ),
      ...rest,
    ],
  }),
  other: (directory, rest) => ({
    headers: { 'user-agent': 'my-agent/1.0' },
    messages: [system(`You help.\n\n- Working directory: \`${directory}\`\n- Shell: zsh`), ...rest],
  }),
};

function system(content: string): Message {
  return { role: 'system', content };
}

function parts(...texts: readonly string[]): Message {
  return { role: 'user', content: texts.map((text) => ({ type: 'text', text })) };
}

/** The messages with another text part in the first, which is the user's. */
function withPart(
  [first, ...rest]: readonly Message[],
  at: 'before' | 'behind',
  text: string,
): readonly Message[] {
  if (first === undefined) return [];
  const own = String(first.content);
  return [at === 'before' ? parts(text, own) : parts(own, text), ...rest];
}
