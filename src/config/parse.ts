import type { z } from 'zod';
import { ProxyError } from '../errors.ts';
import { isObject } from '../wire/json.ts';
import { parseSettingsFile } from './file-text.ts';
import type { Environment } from './places.ts';
import { type SettingLeaf, type Settings, settingLeaves, settingsSchema } from './schema.ts';

/** Where a value came from. `name` is the flag, the variable or the file. */
interface Source {
  readonly kind: 'flag' | 'environment' | 'file' | 'default';
  readonly name: string;
}

/** What was said, by whom. */
export interface SettingLayers {
  /** Values by long flag name, without dashes. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Environment;
  /** The configuration file, if there is one. */
  readonly file?: { readonly path: string; readonly text: string };
}

/** Settings with the source of each. */
export interface ParsedSettings {
  readonly settings: Settings;
  /** By {@link SettingLeaf.key}. */
  readonly sources: ReadonlyMap<string, Source>;
}

type JsonObject = Record<string, unknown>;

/**
 * Merges flags over environment over file over defaults. Pure: reads nothing.
 * An empty environment variable counts as absent.
 * @throws ProxyError `config_invalid`, naming every fault and where it stands; values are not
 * repeated, they may be secret
 */
export function parseSettings(layers: SettingLayers): ParsedSettings {
  const merged = layers.file === undefined ? {} : parseSettingsFile(layers.file);
  const sources = new Map<string, Source>();
  for (const leaf of settingLeaves) sources.set(leaf.key, place(merged, leaf, layers));
  const result = settingsSchema.safeParse(merged);
  if (result.success) return { settings: result.data, sources };
  const faults = result.error.issues.map((issue) => faultLine(issue, sources, layers.file?.path));
  throw new ProxyError('config_invalid', `The settings have a fault.\n${faults.join('\n')}`, {
    hint: 'Run `rlm-opencode config` when it is mended; README.md lists every setting.',
  });
}

/** Puts a leaf's value into `merged` unless the file's stays, and says where it came from. */
function place(merged: JsonObject, leaf: SettingLeaf, layers: SettingLayers): Source {
  const flag = leaf.flag === undefined ? undefined : layers.flags[leaf.flag];
  if (flag !== undefined) {
    assign(merged, leaf.path, coerce(flag, leaf));
    return { kind: 'flag', name: `--${leaf.flag}` };
  }
  const variable = leaf.env === undefined ? undefined : layers.env[leaf.env];
  if (variable !== undefined && variable !== '') {
    assign(merged, leaf.path, coerce(variable, leaf));
    return { kind: 'environment', name: leaf.env ?? '' };
  }
  return layers.file !== undefined && has(merged, leaf.path)
    ? { kind: 'file', name: layers.file.path }
    : { kind: 'default', name: 'default' };
}

function coerce(text: string, leaf: SettingLeaf): unknown {
  if (leaf.kind === 'list') {
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  if (leaf.kind !== 'number') return text;
  const number = Number(text.replaceAll('_', ''));
  return Number.isNaN(number) || text.trim() === '' ? text : number;
}

function assign(root: JsonObject, path: readonly string[], value: unknown): void {
  let holder = root;
  for (const name of path.slice(0, -1)) {
    const next = (holder[name] ??= {});
    if (!isObject(next)) return; // The file is wrong there; the schema says so.
    holder = next;
  }
  holder[path.at(-1) ?? ''] = value;
}

function has(root: JsonObject, path: readonly string[]): boolean {
  let holder: unknown = root;
  for (const name of path) {
    if (!isObject(holder) || !Object.hasOwn(holder, name)) return false;
    holder = holder[name];
  }
  return true;
}

function faultLine(
  issue: z.core.$ZodIssue,
  sources: ReadonlyMap<string, Source>,
  filePath: string | undefined,
): string {
  const key = issue.path.join('.');
  const source = [...sources].find(([leaf]) => key === leaf || key.startsWith(`${leaf}.`))?.[1];
  const name = source === undefined || source.kind === 'default' ? filePath : source.name;
  const where = name === undefined ? '' : ` (${name})`;
  if (issue.code !== 'unrecognized_keys') return `  ${key}${where}: ${faultOf(issue)}`;
  const section = key === '' ? '' : `${key}.`;
  const unknown = issue.keys.map((member) => `${section}${member}`).join(', ');
  return `  ${unknown}${where}: no such setting.${knownMembers(section)}`;
}

/** What a value must be, by the schema's name for it. */
const kinds: Readonly<Record<string, string>> = {
  number: 'a number',
  int: 'a whole number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/** What is wrong with a value, in the words of who wrote it. */
function faultOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${kinds[issue.expected] ?? issue.expected}.`;
    case 'too_small':
      return issue.origin === 'string'
        ? 'must not be empty.'
        : `must be at least ${issue.minimum}.`;
    case 'too_big':
      return `must be at most ${issue.maximum}.`;
    case 'invalid_value':
      return `must be one of: ${issue.values.map(String).join(', ')}.`;
    case 'invalid_key':
      return 'is no name that can be given: small letters, digits, - and _ only.';
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'invalid_union':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return issue.message;
  }
}

function knownMembers(section: string): string {
  const names = settingLeaves
    .filter((leaf) => leaf.key.startsWith(section))
    .map((leaf) => leaf.key.slice(section.length).split('.')[0] ?? '');
  return names.length === 0 ? '' : ` Known here: ${[...new Set(names)].join(', ')}.`;
}
