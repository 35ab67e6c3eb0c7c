import type { Command } from 'commander';
import { rlmProgram } from '../../src/cli/program.ts';
import { setupProgram } from '../../src/cli/setup.ts';
import { settingLeaves, type SettingLeaf } from '../../src/config/schema.ts';

const programs = [await rlmProgram('0'), setupProgram('0')];

/**
 * The README with its generated parts made anew: what stands between `<!-- name -->` and `<!--
 * /name -->`.
 */
export function freshReadme(text: string): string {
  return replacePart(replacePart(text, 'settings', settingsTable()), 'commands', commandsTable());
}

/** Every command that can be typed, with its description. */
export function allCommands(): readonly { readonly name: string; readonly description: string }[] {
  return programs.flatMap((program) =>
    program.commands.flatMap((command) => withInner(command, program.name())),
  );
}

function withInner(command: Command, before: string): { name: string; description: string }[] {
  const name = `${before} ${command.name()}`;
  const takes = command.registeredArguments.map((argument) => {
    const text = `${argument.name().toUpperCase()}${argument.variadic ? '...' : ''}`;
    return argument.required ? text : `[${text}]`;
  });
  return [
    { name: [name, ...takes].join(' '), description: command.description() },
    ...command.commands.flatMap((inner) => withInner(inner, name)),
  ];
}

function commandsTable(): string {
  const rows = allCommands().map(
    ({ name, description }) => `| \`${name}\` | ${cell(description)} |`,
  );
  return ['| command | does |', '|---|---|', ...rows].join('\n');
}

function settingsTable(): string {
  const rows = settingLeaves.map((leaf) => {
    const names = [leaf.env, leaf.flag === undefined ? undefined : `--${leaf.flag}`]
      .filter((name) => name !== undefined)
      .map((name) => `\`${name}\``);
    return `| \`${leaf.key}\` | ${names.join(' ')} | ${defaultOf(leaf)} | ${cell(leaf.description)} |`;
  });
  return [
    '| in the file | elsewhere | default | what it does |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function defaultOf({ defaultValue, unit }: SettingLeaf): string {
  const empty = typeof defaultValue === 'object' && Object.keys(defaultValue ?? {}).length === 0;
  if (defaultValue === undefined || empty) return unit === undefined ? '' : `(${unit})`;
  const text = typeof defaultValue === 'string' ? defaultValue : JSON.stringify(defaultValue);
  return `\`${text}\`${unit === undefined ? '' : ` ${unit}`}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** The text with what stands between `<!-- name -->` and `<!-- /name -->` replaced. */
export function replacePart(text: string, name: string, content: string): string {
  const { start, end } = partAt(text, name);
  return `${text.slice(0, start)}\n${content}\n${text.slice(end)}`;
}

/** What stands between `<!-- name -->` and `<!-- /name -->`. */
export function partOf(text: string, name: string): string {
  const { start, end } = partAt(text, name);
  return text.slice(start, end).trim();
}

function partAt(text: string, name: string): { readonly start: number; readonly end: number } {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const start = text.indexOf(open);
  const end = text.indexOf(close);
  if (start < 0 || end < start) throw new Error(`There is no part ${open} ... ${close}`);
  return { start: start + open.length, end };
}
