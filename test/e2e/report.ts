/** Counts what held and what did not, one line each. */
export class Report {
  passed = 0;
  failed = 0;

  /** Runs a check; it holds unless it throws. @returns Whether it held */
  async check(name: string, run: () => void | Promise<void>): Promise<boolean> {
    try {
      await run();
    } catch (error) {
      this.failed += 1;
      process.stdout.write(`not ok - ${name}\n${indented(detailsOf(error))}\n`);
      return false;
    }
    this.passed += 1;
    process.stdout.write(`ok - ${name}\n`);
    return true;
  }
}

/** Longest account of a failure. */
const maxDetailChars = 4_000;

function detailsOf(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.length <= maxDetailChars ? text : `${text.slice(0, maxDetailChars)}…`;
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
