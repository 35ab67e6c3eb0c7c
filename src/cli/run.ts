import { type Command, CommanderError } from 'commander';
import { systemFailure, unreadableReason } from '../base/system-words.ts';
import { ProxyError } from '../errors.ts';
import { everyCommand, handDownOptions } from './nested-options.ts';
import { print, printError, printProse } from './screen.ts';
import { typedWrong } from './typed-wrong.ts';

/** How a command ends, in ripgrep's habit: found or done, nothing found, something went wrong. */
export const exitCodes = { done: 0, nothing: 1, failed: 2 } as const;

/** A value of {@link exitCodes}. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/**
 * Parses the arguments, runs the command and sets the exit code. An expected failure is a sentence
 * on stderr, a bug shows its stack.
 */
export async function runProgram(program: Command, args: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head`) is not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done);
    printProse(`Standard output cannot be written: ${unreadableReason(error)}.\n`);
    process.exit(exitCodes.failed);
  });
  everyCommand(program, (command) =>
    command.exitOverride().configureOutput({
      writeOut: (text) => print(text),
      writeErr: printError,
      outputError: (text, write) => write(typedWrong(text, command)),
    }),
  );
  handDownOptions(program);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    process.exitCode = exitCodes.failed;
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) process.exitCode = exitCodes.done;
      return;
    }
    printProse(`${failureText(error)}\n`);
  }
}

/** Ends a command's action with an exit code. */
export function finish(code: ExitCode): void {
  process.exitCode = code;
}

/** The commands that do what the model's tools do. */
const commandsOfTools: Readonly<Record<string, string>> = {
  rlm_get_context: 'get',
  rlm_search: 'search',
  rlm_find: 'find',
  rlm_stats: 'stats',
};

/** What is said to a model names its tools; a person has commands. */
function inWordsOfCommands(text: string): string {
  return text.replaceAll(/\brlm_\w+/g, (tool) =>
    Object.hasOwn(commandsOfTools, tool) ? `\`rlm-opencode ${commandsOfTools[tool]}\`` : tool,
  );
}

function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof ProxyError)
    return inWordsOfCommands([error.message, error.parts.hint].filter(Boolean).join('\n'));
  // What the system refuses is no bug; a bug shows where it is.
  return 'syscall' in error ? systemFailure(error as NodeJS.ErrnoException) : String(error.stack);
}
