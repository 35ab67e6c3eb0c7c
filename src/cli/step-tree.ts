import { styleText } from 'node:util';
import { printStyled, visible } from './screen.ts';

/**
 * Shows a hidden step as a branch of a tree, a sub-call's one level deeper; for whoever watches a
 * terminal, nothing else.
 */
export function showStep(step: string): void {
  const [, levels = '', words = step] = /^(↳*) ?(.*)$/s.exec(step) ?? [];
  showBranch(`${'│  '.repeat(levels.length)}├─`, words);
}

/** The tree's last line. */
export function endTree(words: string): void {
  showBranch('└─', words);
}

function showBranch(sign: string, words: string): void {
  if (!process.stderr.isTTY) return;
  printStyled(`${styleText('dim', `${sign} ${visible(words)}`)}\n`, process.stderr);
}
