import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bash, type ScriptedCall } from './model.ts';

/** A log with one line worth finding, in its middle. */
export interface LogFile {
  /** The word that stands in that line only. */
  readonly token: string;
  /** That line. */
  readonly line: string;
  readonly text: string;
  /** Name of the file that {@link LogFile.write} writes. */
  readonly name: string;
  /** A call that prints it all. */
  readonly print: ScriptedCall;
  readonly write: (project: string) => Promise<void>;
}

/** A log of at least so many bytes, all of them ASCII. */
export function logFile(token: string, sizeBytes: number): LogFile {
  const name = `log-${token.toLowerCase()}.txt`;
  const line = `checkpoint ${token} saved after 17 retries`;
  const lines: string[] = [];
  for (let length = 0; length < sizeBytes; length += (lines.at(-1)?.length ?? 0) + 1) {
    const number = lines.length;
    lines.push(
      `${String(number).padStart(8, '0')} worker ${number % 7} finished a job without any trouble, as ever`,
    );
  }
  lines.splice(lines.length / 2, 0, line);
  const text = `${lines.join('\n')}\n`;
  return {
    token,
    line,
    text,
    name,
    // When a command ends, OpenCode 1.18.33 may drop what it has not read yet (seen: 262,144 of
    // 2,000,099 bytes in its own file).
    print: bash(`cat ${name}; sleep 1`),
    write: async (project) => writeFile(join(project, name), text),
  };
}
