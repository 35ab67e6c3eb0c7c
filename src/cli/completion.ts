import { Argument, Command } from 'commander';
import { examples } from './examples.ts';
import { print } from './screen.ts';

/** A word that can be typed, and what it does. */
interface Word {
  readonly word: string;
  readonly does: string;
}

/** An option, and what may stand behind it. */
interface OptionWord extends Word {
  readonly takesValue: boolean;
  /** Empty where that is anything. */
  readonly values: readonly string[];
}

/** What may follow behind a command, or a command within one. */
interface Place {
  /** `['sessions', 'rm']` */
  readonly path: readonly string[];
  /** Commands within it, and what its first argument may be. */
  readonly commands: readonly Word[];
  readonly options: readonly OptionWord[];
}

const writers = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** A shell that a script can be had for. */
export type Shell = keyof typeof writers;

/**
 * `rlm-opencode completion bash`: prints a script that completes commands and options in a shell.
 * @param wholeProgram Loads every command
 */
export function completionCommand(wholeProgram: () => Promise<Command>): Command {
  return new Command('completion')
    .description('print a script that completes commands and options in your shell')
    .addArgument(new Argument('<shell>').choices(Object.keys(writers)))
    .addHelpText(
      'after',
      examples(
        ['source <(rlm-opencode completion bash)', 'in ~/.bashrc'],
        ['source <(rlm-opencode completion zsh)', 'in ~/.zshrc, behind compinit'],
        ['rlm-opencode completion fish | source', 'in ~/.config/fish/config.fish'],
      ),
    )
    .action(async (shell: Shell) => print(completionScript(await wholeProgram(), shell)));
}

/** The script for a program's commands. Two levels of commands are completed. */
export function completionScript(program: Command, shell: Shell): string {
  const places = [
    placeOf(program, []),
    ...program.commands.flatMap((command) => [
      placeOf(command, [command.name()]),
      ...command.commands.map((inner) => placeOf(inner, [command.name(), inner.name()])),
    ]),
  ];
  return writers[shell](program.name(), places);
}

function placeOf(command: Command, path: readonly string[]): Place {
  const options = command.options
    .filter(({ hidden }) => !hidden)
    .flatMap(({ short, long, description: does, required: takesValue, argChoices: values = [] }) =>
      [short, long].flatMap((word) =>
        word === undefined ? [] : [{ word, does, takesValue, values }],
      ),
    );
  const choices = command.registeredArguments[0]?.argChoices ?? [];
  return {
    path,
    commands: [
      ...command.commands.map((inner) => ({ word: inner.name(), does: inner.description() })),
      ...choices.map((word) => ({ word, does: '' })),
    ],
    options,
  };
}

/** An option behind which one of a few words stands, with its place. */
type ValuedOption = Pick<Place, 'path'> & Pick<OptionWord, 'word' | 'values'>;

function withValues(places: readonly Place[]): readonly ValuedOption[] {
  return places.flatMap(({ path, options }) =>
    options
      .filter(({ values }) => values.length > 0)
      .map(({ word, values }) => ({ path, word, values })),
  );
}

/** A text between single quotes of bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The innermost command first, so that the first case that fits is the right one. */
function innermostFirst(places: readonly Place[]): readonly Place[] {
  return places
    .filter(({ path }) => path.length > 0)
    .toSorted((a, b) => b.path.length - a.path.length);
}

function words(list: readonly Word[]): string {
  return list.map(({ word }) => word).join(' ');
}

function bashScript(name: string, places: readonly Place[]): string {
  const own = functionName(name);
  const top = places[0];
  const cases = [
    ...withValues(places).map(
      ({ path, word, values }) =>
        `    ${quoted(path.join(' '))}*${quoted(` ${word} `)}) commands=${quoted(values.join(' '))} options= ;;\n`,
    ),
    ...innermostFirst(places).map(
      ({ path, commands, options }) =>
        `    ${quoted(path.join(' '))}\\ *) commands=${quoted(words(commands))} options=${quoted(words(options))} ;;\n`,
    ),
  ];
  return `# Completion of ${name} for bash: source <(${name} completion bash)
${own}() {
  local commands=${quoted(words(top?.commands ?? []))}
  local options=${quoted(words(top?.options ?? []))}
  local word="\${COMP_WORDS[COMP_CWORD]}"
  local before="\${COMP_WORDS[*]:1:COMP_CWORD-1} "
  case "$before" in
${cases.join('')}  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$commands" -- "$word"))
  fi
}
complete -o default -F ${own} ${name}
`;
}

/** Words for zsh's `_describe`. */
function described(list: readonly Word[]): string {
  return list
    .map(({ word, does }) =>
      quoted(does === '' ? word : `${word}:${does.replaceAll(':', String.raw`\:`)}`),
    )
    .join(' ');
}

function zshScript(name: string, places: readonly Place[]): string {
  const own = functionName(name);
  const top = places[0];
  const cases = [
    ...withValues(places).map(
      ({ path, word, values }) =>
        `    ${quoted(path.join(' '))}*${quoted(` ${word} `)})\n      commands=(${values.map(quoted).join(' ')})\n      options=() ;;\n`,
    ),
    ...innermostFirst(places).map(
      ({ path, commands, options }) =>
        `    ${quoted(path.join(' '))}\\ *)\n      commands=(${described(commands)})\n      options=(${described(options)}) ;;\n`,
    ),
  ];
  return `#compdef ${name}
# Completion of ${name} for zsh: source <(${name} completion zsh)
${own}() {
  local -a commands options
  commands=(${described(top?.commands ?? [])})
  options=(${described(top?.options ?? [])})
  local before="\${(j: :)words[2,CURRENT-1]} "
  case "$before" in
${cases.join('')}  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe option options
  elif (( \${#commands} )); then
    _describe command commands
  else
    _files
  fi
}
if [ "$funcstack[1]" = "${own}" ]; then
  ${own} "$@"
else
  compdef ${own} ${name}
fi
`;
}

/** A text between single quotes of fish. */
function fishText(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}

function fishScript(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ path, commands, options }) => {
    const inner = commands.map(({ word }) => word).join(' ');
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const isHere =
      path.length === 0
        ? '__fish_use_subcommand'
        : inner === ''
          ? seen
          : `${seen}; and not __fish_seen_subcommand_from ${inner}`;
    return [
      ...commands.map(
        ({ word, does }) =>
          `complete -c ${name} -f -n ${fishText(isHere)} -a ${word} -d ${fishText(does)}`,
      ),
      ...options.map(({ word, does, takesValue, values }) => {
        const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
        const value =
          values.length > 0 ? ` -x -a ${fishText(values.join(' '))}` : takesValue ? ' -r' : '';
        return `complete -c ${name} -n ${fishText(isHere)} ${flag}${value} -d ${fishText(does)}`;
      }),
    ];
  });
  return `# Completion of ${name} for fish: ${name} completion fish | source\n${lines.join('\n')}\n`;
}

/** A name that shells take for a function. */
function functionName(name: string): string {
  return `_${name.replaceAll('-', '_')}`;
}
