import type { Command } from 'commander';

/** What people type who mean one of the commands, and what they mean. */
const meant: Readonly<Record<string, string>> = {
  version: '--version',
  install: 'setup',
  uninstall: 'setup uninstall',
  configure: 'init',
  login: 'init',
  auth: 'init',
  settings: 'config',
  start: 'serve --background',
  run: 'serve',
  restart: 'stop, then serve --background',
  models: 'doctor',
  list: 'sessions',
  ls: 'sessions',
  grep: 'search',
  rg: 'search',
  read: 'get',
  cat: 'get',
  log: 'logs',
  check: 'doctor',
  upgrade: '--version, and npm install -g rlm-opencode',
  'claude-code': 'claude',
  'qwen-code': 'qwen',
  'kilo-code': 'kilo',
};

/** The same of commands below a command, by the name in front. */
const meantBelow: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  sessions: { remove: 'rm', delete: 'rm', del: 'rm', repair: 'salvage', list: '', ls: '' },
  setup: { remove: 'uninstall', add: 'install', list: '', ls: '' },
  service: { remove: 'uninstall', add: 'install', start: 'install', stop: 'uninstall' },
};

/** Options that are meant by others, for every command. */
const meantOptions: Readonly<Record<string, string>> = {
  '-v': '--version',
  '-version': '--version',
  '-help': '--help',
  '-?': '--help',
};

/**
 * What is wrong with a line that was typed, and what to type instead: in place of the words of the
 * library that reads it.
 * @param text As the library says it, `error: ...`
 * @param command Which it was read as
 * @returns Lines, each with its line feed
 */
export function typedWrong(text: string, command: Command): string {
  const said = text.replace(/^error: /, '').trimEnd();
  const name = fullName(command);
  for (const [pattern, words] of faults) {
    const found = pattern.exec(said);
    if (found !== null) return `${words(found, { command, name }).join('\n')}\n`;
  }
  return `${said}\n`;
}

type Fault = readonly [
  pattern: RegExp,
  words: (
    found: RegExpExecArray,
    typed: { readonly command: Command; readonly name: string },
  ) => readonly string[],
];

const faults: readonly Fault[] = [
  [
    /^unknown command '(.*)'(?:\n\(Did you mean (.*)\?\))?$/s,
    ([, typed = '', near], { command, name }) => unknownCommand({ typed, near, command, name }),
  ],
  [
    /^unknown option '(.*?)'(?:\n\(Did you mean (.*)\?\))?$/s,
    ([, typed = '', near], { name }) => {
      const option = Object.hasOwn(meantOptions, typed) ? meantOptions[typed] : near;
      return [
        `\`${name}\` has no option ${typed}.`,
        option === undefined ? `All that there are: ${name} --help` : `Did you mean: ${option}`,
      ];
    },
  ],
  [
    /^missing required argument '(.*)'$/,
    ([, argument = ''], { name }) => [
      `What is missing: ${name} ${argument.toUpperCase()}`,
      `Examples: ${name} --help`,
    ],
  ],
  [
    /^too many arguments for '.*?'\. Expected (\d+) arguments? but got (\d+): (.*)\.$/s,
    ([, expected, , given = ''], { command, name }) => {
      const { args, commands } = command;
      if (commands.length > 0) return unknownCommand({ typed: args[0] ?? '', command, name });
      return expected === '1'
        ? [
            `\`${name}\` takes one, and there are ${args.length}. What has blanks stands in quotes:`,
            `  ${name} '${args.join(' ').replaceAll("'", String.raw`'\''`)}'`,
          ]
        : [`\`${name}\` cannot take: ${given}`, `What it takes: ${name} --help`];
    },
  ],
  [
    /^option '(?:-\w, )?(--[\w-]+).*?' argument '(.*)' is invalid\. (.*)$/s,
    ([, option = '', value = '', why = ''], { name }) => [
      `${option} cannot be \`${value}\`. ${inPlainWords(why)}`,
      `Examples: ${name} --help`,
    ],
  ],
  [
    /^command-argument value '(.*)' is invalid for argument '.*'\. (.*)$/s,
    ([, value = '', why = ''], { name }) => [
      `\`${value}\` is not known here. ${inPlainWords(why)}`,
      `Examples: ${name} --help`,
    ],
  ],
  [
    /^option '(?:-\w, )?(--[\w-]+)(.*)' argument missing$/,
    ([, option = '', value = ''], { name }) => [
      `${option} wants something behind it: ${option}${value}`,
      `Examples: ${name} --help`,
    ],
  ],
];

function unknownCommand(typed: {
  readonly typed: string;
  readonly near?: string | undefined;
  readonly command: Command;
  readonly name: string;
}): readonly string[] {
  const { near, command, name } = typed;
  const isTop = command.parent === null;
  const known = isTop ? meant : (meantBelow[command.name()] ?? {});
  const right = Object.hasOwn(known, typed.typed) ? known[typed.typed] : near;
  return [
    isTop
      ? `There is no command \`${typed.typed}\`.`
      : `\`${name}\` has no command \`${typed.typed}\`.`,
    right === undefined
      ? `All that there are: ${name} --help`
      : `Did you mean: ${`${name} ${right}`.trimEnd()}`,
  ];
}

function inPlainWords(why: string): string {
  return why.replace(/^Allowed choices are (.*)\.$/, 'It is one of: $1.');
}

/** `rlm-opencode sessions rm`. */
function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}
