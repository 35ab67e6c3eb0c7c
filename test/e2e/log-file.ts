import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bash, type ScriptedCall } from './model.ts';

/** Length of one of its lines with the line end, bytes. */
const lineBytes = 62;

/** A log with one line worth finding. */
export interface LogFile {
  /** The word that stands in the one line. */
  readonly token: string;
  /** That line. */
  readonly line: string;
  /** A call that prints it all. */
  readonly print: ScriptedCall;
}

/** A program that prints a log of at least so many bytes, the token's line in the middle. */
export function logFile(
  token: string,
  sizeBytes: number,
): LogFile & {
  write(project: string): Promise<void>;
} {
  const name = `print-${token.toLowerCase()}.mjs`;
  const line = `checkpoint ${token} saved after 17 retries`;
  const count = Math.ceil(sizeBytes / lineBytes);
  const program = [
    `const half = ${Math.floor(count / 2)};`,
    `let text = '';`,
    `for (let n = 0; n < ${count}; n += 1)`,
    `  text += n === half ? ${JSON.stringify(`${line}\n`)} : \`\${String(n).padStart(8, '0')} worker \${n % 7} finished a job without any trouble, as ever\\n\`;`,
    `process.stdout.write(text);`,
  ].join('\n');
  return {
    token,
    line,
    print: bash(`'${process.execPath}' ${name}`),
    write: async (project) => writeFile(join(project, name), program),
  };
}
