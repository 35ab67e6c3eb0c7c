import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Shell } from '../../src/cli/completion.ts';
import { CliHome } from '../support/cli.ts';

const prompt = 'ready> ';

/**
 * A real shell: where its start file lies, what to put there so that `rlm-opencode` only says what
 * it was given, and how it is started.
 */
const shells: Readonly<
  Record<Shell, { readonly file: string; readonly start: string; readonly command: string }>
> = {
  bash: {
    file: 'rc',
    start: `PS1='${prompt}'\nrlm-opencode() { printf 'ran:%s;\\n' "$*"; }\n`,
    command: 'bash --noprofile --rcfile "$HOME/rc" -i',
  },
  zsh: {
    file: '.zshrc',
    start: `PS1='${prompt}'\nautoload -Uz compinit; compinit -u\nrlm-opencode() { print -r "ran:$*;" }\n`,
    command: 'zsh -i',
  },
  fish: {
    file: '.config/fish/config.fish',
    start: `function fish_prompt; echo '${prompt}'; end\nfunction rlm-opencode; echo "ran:$argv;"; end\n`,
    command: 'fish -i',
  },
};

/** What is typed, and what the command then gets. */
const lines = [
  ['rlm-opencode sea\tx', 'search x'],
  ['rlm-opencode sessions sa\t', 'sessions salvage'],
  ['rlm-opencode sessions rm --y\t', 'sessions rm --yes'],
  ['rlm-opencode setup cod\t', 'setup codex'],
  ['rlm-opencode setup uninstall co\tn\t', 'setup uninstall continue'],
  ['rlm-opencode completion fi\t', 'completion fish'],
  ['rlm-opencode ingest --from cl\t', 'ingest --from claude-code'],
  ['rlm-opencode ingest UNI\t', 'ingest UNIQUE.md'],
  ['rlm-opencode search --directory nes\t', 'search --directory nested'],
] as const;

/** With what the command was run; shells differ in whether a completed folder ends in a slash. */
function ranIn(shown: string): readonly string[] {
  return [...shown.matchAll(/ran:([^;]*?)\/?;/g)].map(([, words = '']) => words.trim());
}

test.for(Object.keys(shells) as Shell[])(
  '%s completes commands, options, their values and files',
  async (shell, { skip }) => {
    for (const program of [shell, 'script'])
      if (spawnSync(program, ['--version']).error !== undefined) skip(`no ${program} here`);
    using home = new CliHome();
    const { stdout: completion, code } = await home.runHere(['completion', shell]);
    expect(code).toBe(0);
    const { file, start, command } = shells[shell];
    mkdirSync(join(home.folder, file, '..'), { recursive: true });
    writeFileSync(join(home.folder, file), start + completion);
    mkdirSync(join(home.folder, 'nested'));
    writeFileSync(join(home.folder, 'UNIQUE.md'), '');
    const child = spawn('script', ['-qefc', command, '/dev/null'], {
      cwd: home.folder,
      env: { PATH: process.env['PATH'] ?? '', HOME: home.folder, TERM: 'xterm', LANG: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const left = [...lines.map(([typed]) => typed), 'exit'];
    let typed = 0;
    let shown = '';
    child.stdout.on('data', (piece: Buffer) => {
      shown += piece.toString();
      // The first line when there is a prompt, each other one when the one before has run.
      if (!shown.includes(prompt) || ranIn(shown).length < typed) return;
      const line = left.shift();
      if (line !== undefined) child.stdin.write(`${line}\r`);
      typed += 1;
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(ranIn(shown)).toEqual(lines.map(([, words]) => words));
  },
);
