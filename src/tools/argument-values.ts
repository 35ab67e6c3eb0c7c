import { readAlmostJson } from './almost-json.ts';

/** One member of a tool's arguments, as its JSON schema has it. */
export interface Member {
  readonly type?: string;
  readonly anyOf?: readonly { readonly type?: string }[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: { readonly type?: string };
}

/** Other words for the values of an enumeration. */
const otherValues: Readonly<Record<string, string>> = {
  desc: 'newest',
  descending: 'newest',
  latest: 'newest',
  recent: 'newest',
  asc: 'oldest',
  ascending: 'oldest',
  earliest: 'oldest',
  group_by: 'count_by',
  distinct: 'unique',
};

const wordsForNothing: ReadonlySet<string> = new Set(['null', 'none', 'undefined', 'nil']);

/**
 * A value with the type that its member wants, where it can mean only one; else as it is.
 * `undefined`: it means nothing.
 */
export function valueFor(member: Member, value: unknown, name: string): unknown {
  const types = member.anyOf?.map((one) => one.type) ?? [member.type];
  if (member.enum !== undefined) return enumValue(member.enum, value);
  if (types.includes('integer')) {
    const number = asNumber(value);
    if (number !== undefined) return number;
    if (typeof value === 'string' && isWordForNothing(value)) return undefined;
    return value;
  }
  if (types.includes('boolean')) return asBoolean(value);
  if (types.includes('array')) return asList(value, name);
  if (types.includes('string')) {
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    if (Array.isArray(value) && value.length === 1 && typeof value[0] === 'string') return value[0];
  }
  return value;
}

/** A number inside its limits; a note where it was not. */
export function clamped(name: string, value: unknown, member: Member, notes: string[]): unknown {
  if (typeof value !== 'number' || !Number.isFinite(value)) return value;
  const { minimum = -Infinity, maximum = Infinity } = member;
  const isWhole = member.type === 'integer' || member.anyOf?.some((one) => one.type === 'integer');
  const whole = isWhole === true ? Math.trunc(value) : value;
  const taken = Math.max(minimum, Math.min(maximum, whole));
  if (taken === value) return value;
  const why =
    whole > maximum
      ? `is at most ${maximum}`
      : whole < minimum
        ? `is at least ${minimum}`
        : 'is a whole number';
  notes.push(`${name} ${why}: ${taken} was taken for ${value}.`);
  return taken;
}

function enumValue(values: readonly string[], value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const lower = value.trim().toLowerCase();
  const key = keyOf(lower);
  return (
    values.find((one) => keyOf(one) === key) ??
    (Object.hasOwn(otherValues, lower) && values.includes(otherValues[lower] as string)
      ? otherValues[lower]
      : value)
  );
}

/** A number that a text spells exactly. */
function asNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || !/^\s*[-+]?\d+(?:\.\d+)?\s*$/.test(value)) return undefined;
  return Number(value);
}

function asBoolean(value: unknown): unknown {
  if (value === 1 || value === 0) return value === 1;
  if (typeof value !== 'string') return value;
  const word = value.trim().toLowerCase();
  if (word === 'true' || word === '1') return true;
  if (word === 'false' || word === '0') return false;
  return wordsForNothing.has(word) ? undefined : value;
}

/** The opposite of a boolean in any spelling; anything else as it is. */
export function negated(value: unknown): unknown {
  const meaning = asBoolean(value);
  return typeof meaning === 'boolean' ? !meaning : value;
}

/** A list, of what may be a list as text, one value, or several behind commas. */
function asList(value: unknown, name: string): unknown {
  if (typeof value === 'number') return asList([value], name);
  if (typeof value === 'string') {
    const read = value.trimStart().startsWith('[') ? readAlmostJson(value) : undefined;
    const list = read?.ok === true ? read.value : value.split(/[,\s]+/).filter((one) => one !== '');
    return asList(list, name);
  }
  if (!Array.isArray(value)) return value;
  if (value.length === 0) return undefined;
  return name === 'entries' ? value.map(entryName) : value;
}

/**
 * `e12` for 12, "12", "E12", "#12", "entry e12" and a list of just one of these, `api:e12` for
 * "API: 12"; any other value as it is.
 */
export function entryName(value: unknown): unknown {
  if (Array.isArray(value) && value.length === 1) return entryName(value[0]);
  if (typeof value === 'number' && Number.isInteger(value)) return `e${value}`;
  if (typeof value !== 'string') return value;
  const number = /^\s*(?:entry\s+)?[#e]?(\d+)\s*$/i.exec(value)?.[1];
  if (number !== undefined) return `e${number}`;
  // Of a linked store. `e12:340` is no such name: nothing that looks like an id is a store's.
  const linked = /^\s*(?:entry\s+)?([a-z0-9-]*[a-z-][a-z0-9-]*)\s*:\s*[#e]?(\d+)\s*$/i.exec(value);
  if (linked === null || /^e\d+$/i.test(linked[1]!)) return value;
  return `${linked[1]!.toLowerCase()}:e${linked[2]}`;
}

/** Whether a value is how models leave an argument out. */
export function isNothing(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    (Array.isArray(value) && value.length === 0)
  );
}

/** Whether a text is a word for nothing: `null`, `None`. */
export function isWordForNothing(value: unknown): boolean {
  return typeof value === 'string' && wordsForNothing.has(value.trim().toLowerCase());
}

/** What is the same in all spellings of a name: `maxResults`, `max-results`, `max_results`. */
export function keyOf(name: string): string {
  return name.toLowerCase().replaceAll(/[-_\s]/g, '');
}
