import { type Command, CommanderError } from 'commander';

/**
 * Makes every command see the options that are given to it, wherever they stand. Commander hands an
 * option that a command and its inner command both declare to the outer one, and the inner one then
 * works on the default: here what stands behind the inner command's name is its own, what stands
 * before it is handed down, and what cannot be handed down is a fault.
 */
export function handDownOptions(program: Command): void {
  everyCommand(program, (command) => {
    if (command.commands.length > 0) command.enablePositionalOptions();
  });
  program.hook('preAction', (_, action) => {
    for (let above = action.parent; above !== null; above = above.parent) handDown(above, action);
  });
}

/** Calls `visit` with a command and all below it. */
export function everyCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const inner of command.commands) everyCommand(inner, visit);
}

/**
 * @throws CommanderError for an option that the inner command does not know or was given another
 * value for
 */
function handDown(above: Command, action: Command): void {
  for (const option of above.options) {
    const name = option.attributeName();
    if (above.getOptionValueSource(name) !== 'cli') continue;
    const value: unknown = above.getOptionValue(name);
    const isKnown = action.options.some((known) => known.attributeName() === name);
    if (!isKnown) fail(action, `${option.flags} says nothing to \`${action.name()}\``);
    if (action.getOptionValueSource(name) !== 'cli') {
      action.setOptionValueWithSource(name, value, 'cli');
    } else if (action.getOptionValue(name) !== value) {
      fail(action, `${option.flags} is given twice, with different values`);
    }
  }
}

function fail(command: Command, message: string): never {
  const text = `error: ${message}`;
  command.configureOutput().writeErr?.(`${text}\n`);
  throw new CommanderError(1, 'rlm.option', text);
}
