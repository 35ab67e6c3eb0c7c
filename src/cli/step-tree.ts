import { styleText } from 'node:util';

/** Shows a hidden step as a branch of a tree, a sub-call's one level deeper; for whoever watches a terminal, nothing else. */
export function showStep(step: string): void {
  const [, levels = '', words = step] = /^(↳*) ?(.*)$/s.exec(step) ?? [];
  showBranch(`${'│  '.repeat(levels.length)}├─`, words);
}

/** The tree's last line. */
export function endTree(words: string): void {
  showBranch('└─', words);
}

function showBranch(sign: string, words: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${styleText('dim', `${sign} ${words}`)}\n`);
}
