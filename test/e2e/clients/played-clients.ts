import { join } from 'node:path';
import { providerId } from '../../../src/setup/provider-entry.ts';
import { coreModelId } from '../../../src/wire/core-model.ts';
import type { ScriptedCall } from '../model.ts';
import type { NpmProgram } from '../npm-program.ts';
import { opencodePackage } from '../opencode-binary.ts';

/** A real client and what it takes to play it: one question a process, nobody at the keyboard. */
export interface PlayedClient extends NpmProgram {
  /** As its makers write it. */
  readonly title: string;
  /** The name that it is started by. */
  readonly program: string;
  /**
   * `command`: by `rlm-opencode NAME`, everything set for the run. `setup`: its own file is written
   * by `rlm-opencode setup NAME` once, then it is started itself.
   */
  readonly start: { readonly by: 'command' | 'setup'; readonly name: string };
  /**
   * Arguments of a run that asks one question, without the text. `isContinued`: in the chat before,
   * of the same directory.
   */
  readonly args: (isContinued: boolean) => readonly string[];
  /** Another process asks the model for it, and goes on when it is killed. */
  readonly hasDaemon?: true;
  /** Where alone it goes on with a chat, if that is not in such a run. */
  readonly goesOnOnlyIn?: string;
  /** How it gets the question: on stdin, or as the last argument. */
  readonly question: 'stdin' | 'argument';
  /** A call of its shell. */
  readonly shell: (command: string) => ScriptedCall;
  /** So that it asks for nothing on the network, and is allowed to run its shell. */
  readonly env?: Readonly<Record<string, string>>;
  /** What of an output that it cuts lies in a file that it names. */
  readonly keeps: 'whole' | 'end' | 'nothing';
  /** Whether what it leaves of an output is too short to leave the prompt, always. */
  readonly leavesLittle?: true;
  /** Files of its home before the first start, so that it looks for nothing on the network. */
  readonly files?: Readonly<Record<string, string>>;
}

function commandTool(name: string): (command: string) => ScriptedCall {
  return (command) => ({ name, args: { command, description: 'Run a command' } });
}

/** Makes a folder look as if a package were in it that OpenCode and its fork want there. */
function asIfInstalled(folder: string, name: string): Readonly<Record<string, string>> {
  const dependencies = { [name]: '*' };
  return {
    [`${folder}/node_modules/.package-lock.json`]: '{}',
    [`${folder}/package.json`]: JSON.stringify({ dependencies }),
    [`${folder}/package-lock.json`]: JSON.stringify({
      lockfileVersion: 3,
      packages: { '': { dependencies } },
    }),
  };
}

/** Add one: a row here. */
export const playedClients: readonly PlayedClient[] = [
  {
    ...opencodePackage,
    title: 'OpenCode',
    program: 'opencode.exe',
    start: { by: 'command', name: 'opencode' },
    args: (isContinued) => ['run', '--auto', ...(isContinued ? ['--continue'] : [])],
    question: 'stdin',
    shell: commandTool('bash'),
    env: {
      OPENCODE_DISABLE_MODELS_FETCH: '1',
      OPENCODE_DISABLE_AUTOUPDATE: '1',
      OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
    },
    keeps: 'whole',
    files: asIfInstalled('config/opencode', '@opencode-ai/plugin'),
  },
  {
    id: 'codex',
    title: 'Codex',
    packageName: '@openai/codex',
    version: '0.171.0',
    file: join('bin', 'codex.js'),
    program: 'codex',
    start: { by: 'command', name: 'codex' },
    args: (isContinued) => [
      'exec',
      ...(isContinued ? ['resume', '--last'] : []),
      '--skip-git-repo-check',
      '--dangerously-bypass-approvals-and-sandbox',
      '-',
    ],
    question: 'stdin',
    shell: (cmd) => ({ name: 'exec_command', args: { cmd } }),
    keeps: 'nothing',
  },
  {
    id: 'claude',
    title: 'Claude Code',
    packageName: '@anthropic-ai/claude-code',
    version: '2.1.332',
    file: join('bin', 'claude.exe'),
    postinstall: 'install.cjs',
    program: 'claude',
    start: { by: 'command', name: 'claude' },
    args: (isContinued) => ['-p', '--allowedTools=Bash', ...(isContinued ? ['--continue'] : [])],
    question: 'stdin',
    shell: commandTool('Bash'),
    env: { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' },
    keeps: 'whole',
  },
  {
    id: 'qwen',
    title: 'Qwen Code',
    packageName: '@qwen-code/qwen-code',
    version: '0.24.4',
    file: 'cli-entry.js',
    program: 'qwen',
    start: { by: 'command', name: 'qwen' },
    args: (isContinued) => ['--yolo', ...(isContinued ? ['--continue'] : [])],
    question: 'stdin',
    shell: (command) => ({
      name: 'run_shell_command',
      args: { command, description: 'Run a command', is_background: false },
    }),
    keeps: 'end',
  },
  {
    id: 'kilo',
    title: 'Kilo',
    packageName: '@kilocode/cli',
    version: '7.7.7',
    file: join('bin', 'kilo'),
    postinstall: 'postinstall.mjs',
    program: 'kilo',
    start: { by: 'command', name: 'kilo' },
    args: (isContinued) => ['run', '--auto', ...(isContinued ? ['--continue'] : [])],
    question: 'stdin',
    shell: commandTool('bash'),
    env: { KILO_DISABLE_MODELS_FETCH: '1', KILO_DISABLE_AUTOUPDATE: '1' },
    keeps: 'whole',
    files: asIfInstalled('config/kilo', '@kilocode/plugin'),
  },
  {
    id: 'pi',
    title: 'pi',
    packageName: '@mariozechner/pi-coding-agent',
    version: '0.73.1',
    file: join('dist', 'cli.js'),
    program: 'pi',
    start: { by: 'setup', name: 'pi' },
    args: (isContinued) => [
      '--provider',
      providerId,
      '--model',
      coreModelId,
      ...(isContinued ? ['--continue'] : []),
      '-p',
    ],
    question: 'stdin',
    shell: (command) => ({ name: 'bash', args: { command } }),
    env: { PI_OFFLINE: '1' },
    keeps: 'whole',
  },
  {
    id: 'continue',
    title: 'Continue',
    packageName: '@continuedev/cli',
    version: '1.5.47',
    file: join('dist', 'cn.js'),
    program: 'cn',
    start: { by: 'setup', name: 'continue' },
    args: (isContinued) => ['-p', '--auto', ...(isContinued ? ['--resume'] : [])],
    // It loses a long text on stdin.
    question: 'argument',
    shell: (command) => ({ name: 'Bash', args: { command } }),
    keeps: 'nothing',
  },
  {
    id: 'cline',
    title: 'Cline',
    packageName: 'cline',
    version: '3.0.65',
    file: join('bin', 'cline'),
    postinstall: 'postinstall.mjs',
    program: 'cline',
    start: { by: 'setup', name: 'cline' },
    args: () => ['-P', 'openai-compatible', '--auto-approve', 'true'],
    // `--id` of a session, and then it wants a keyboard.
    goesOnOnlyIn: 'a terminal',
    hasDaemon: true,
    question: 'argument',
    shell: (command) => ({ name: 'run_commands', args: { commands: [command] } }),
    keeps: 'nothing',
    leavesLittle: true,
  },
];
