import { printStyled, visible } from './screen.ts';

/**
 * One line on a terminal that is written over as work goes on. Writes nothing where nobody looks.
 */
export class ProgressLine {
  readonly #out: NodeJS.WriteStream;
  #isShown = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  /** Shows a share from 0 to 1 as a bar, and what is said beside it. */
  bar(share: number, words: string): void {
    const width = 24;
    const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
    this.text(`[${'█'.repeat(filled)}${'·'.repeat(width - filled)}] ${words}`);
  }

  /** Shows these words instead of the last ones, cut to the terminal's width. */
  text(words: string): void {
    if (!this.#out.isTTY) return;
    // A file's name may hold anything.
    const shown = visible(words).replaceAll(/[\t\n]/g, ' ');
    printStyled(`\r\u001b[K${shown.slice(0, (this.#out.columns || 80) - 1)}`, this.#out);
    this.#isShown = true;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#isShown) printStyled('\r\u001b[K', this.#out);
    this.#isShown = false;
  }
}
