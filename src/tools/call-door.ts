import { z } from 'zod';
import { readAlmostJson } from './almost-json.ts';
import {
  clamped,
  entryName,
  isNothing,
  isWordForNothing,
  keyOf,
  negated,
  valueFor,
  type Member,
} from './argument-values.ts';

/*
 * The one door through which calls of our tools come in: name, argument text, object, schema.
 * Models write all four almost right, and some providers' call formats have no types at all, so
 * what can mean one thing only is taken as that; what it was taken for and is not what was written
 * is told beside the result. The schema that models see stays strict.
 */

/**
 * What a call's arguments are. `notes` are sentences for the model: what was taken otherwise than
 * it was written.
 */
export type CheckedArguments =
  | { readonly ok: true; readonly args: unknown; readonly notes: readonly string[] }
  | { readonly ok: false; readonly fault: string };

/** The part of a tool that its arguments are checked by. */
export interface ToolShape {
  readonly name: string;
  readonly args: z.ZodType;
}

interface Shape {
  readonly members: ReadonlyMap<string, Member>;
  readonly required: ReadonlySet<string>;
}

/**
 * Other names of a member, without `_` and in lower case, the likeliest first. Taken only where the
 * tool has no such member itself.
 */
export const otherNames: Readonly<Record<string, readonly string[]>> = {
  pattern: ['query', 'regex', 'regexp', 'q', 'search', 'searchterm', 'text', 'expression'],
  text: ['query', 'pattern', 'q', 'string', 'needle', 'search', 'searchterm', 'substring'],
  max_results: ['limit', 'max', 'maxcount', 'numresults', 'topk', 'k', 'n', 'results', 'maxhits'],
  entry: ['entryid', 'id', 'entryname', 'entries', 'ref'],
  id: ['entry', 'entryid'],
  entries: ['entry', 'entryid', 'entryids', 'ids'],
  offset: ['start', 'from', 'position', 'startoffset'],
  length: ['limit', 'size', 'chars', 'characters', 'count', 'maxchars', 'maxlength', 'len'],
  around: ['context', 'contextlines'],
  context_lines: ['context', 'lines', 'c', 'around', 'contextsize'],
  path: ['file', 'filepath', 'filename', 'glob', 'paths'],
  tool: ['toolname'],
  since: ['after', 'newerthan'],
  until: ['before', 'olderthan'],
  order: ['sort', 'sortorder'],
  scope: ['store', 'stores', 'linked', 'linkedstore', 'searchin'],
  cursor: ['nextcursor', 'page'],
  code: ['script', 'program', 'javascript', 'js', 'source', 'input'],
  question: ['query', 'prompt', 'q', 'instruction', 'text'],
  chunk_chars: ['chunksize', 'chunk'],
  newest: ['limit', 'maxresults', 'n', 'count'],
  folder: ['directory', 'dir'],
  against: ['other', 'compare', 'comparewith', 'with'],
  tail: ['last', 'lastlines'],
  line: ['linenumber', 'startline', 'firstline'],
  lines: ['linecount', 'numlines'],
  group: ['groupby'],
  aggregate: ['aggregation'],
};

/** Members whose negation models know better. */
const negatedNames: Readonly<Record<string, readonly string[]>> = {
  case_sensitive: ['ignorecase', 'caseinsensitive', 'insensitive', 'i'],
};

/**
 * Members that have a form of their own, so that a word for "nothing" cannot be meant as a text.
 */
const formalMembers: ReadonlySet<string> = new Set(['entry', 'since', 'until', 'cursor']);

/** All our tools' names, also of those that are not offered. */
const toolNames: readonly string[] = [
  'rlm_get_context',
  'rlm_search',
  'rlm_find',
  'rlm_stats',
  'rlm_query',
  'rlm_exec',
];

/** Members that a whole set of arguments is sometimes wrapped in. */
const wrappers: ReadonlySet<string> = new Set([
  'arguments',
  'args',
  'parameters',
  'params',
  'kwargs',
]);

/** Reads the argument text of a call and checks it. An empty text means no arguments. */
export function readArguments(text: string, tool: ToolShape): CheckedArguments {
  const read = readArgumentText(text);
  if (!read.ok)
    return {
      ok: false,
      fault: `The arguments of ${tool.name} are not valid JSON (${read.reason}). Send one JSON object, such as ${exampleOf(tool)}.`,
    };
  return checkArguments(read.value, tool);
}

/** The value that an argument text stands for, without a look at any schema. */
export function readArgumentText(text: string): ReturnType<typeof readAlmostJson> {
  if (text.trim() === '') return { ok: true, value: {} };
  const read = readAlmostJson(text);
  return read.ok && read.value === null ? { ok: true, value: {} } : read;
}

/** Takes arguments as they are meant, and checks what came of it against the tool's schema. */
export function checkArguments(given: unknown, tool: ToolShape): CheckedArguments {
  const shape = shapeOf(tool);
  const notes: string[] = [];
  const object = asObject(given, shape);
  const meant = object === undefined ? given : meantMembers(object, shape, notes);
  const checked = tool.args.safeParse(meant);
  if (checked.success) return { ok: true, args: checked.data, notes };
  return {
    ok: false,
    fault: `The arguments of ${tool.name} do not fit: ${z.prettifyError(checked.error).replaceAll('\n', ' ')}. It takes ${signatureOf(shape)}.`,
  };
}

/**
 * The name of ours that a call's name stands for, whatever decorates it: case, white space, `-` or
 * nothing for `_`, a namespace in front (`functions.`, `default_api:`, `mcp__x__`), a template's
 * mark behind. Any name that begins with our prefix is one, also where there is no such tool.
 * `undefined` for every other name.
 */
export function plainOwnName(
  name: string,
  names: readonly string[] = toolNames,
): string | undefined {
  const lower =
    name
      .trim()
      .toLowerCase()
      .split(/[<|(\s]/, 1)[0] ?? '';
  // The last piece behind a separator; `__` separates, a single `_` is part of a name.
  const piece = lower.split(/[.:/]|__/).findLast((part) => part !== '') ?? '';
  const key = piece.replaceAll(/[-_]/g, '');
  const known = names.find((one) => one.replaceAll('_', '') === key);
  if (known !== undefined) return known;
  return /^rlm[-_]/.test(piece) ? piece.replaceAll('-', '_') : undefined;
}

/** The members of whatever was given; `undefined` for what cannot be arguments. */
function asObject(given: unknown, { members, required }: Shape): Map<string, unknown> | undefined {
  const isPattern = required.size === 0 && members.has('pattern');
  if (typeof given === 'string' && (required.size === 1 || isPattern)) {
    const [only = 'pattern'] = required;
    return new Map([[only, given]]);
  }
  if (Array.isArray(given)) {
    return given.length === 1 && isObject(given[0]) ? new Map(Object.entries(given[0])) : undefined;
  }
  if (!isObject(given)) return undefined;
  const entries = Object.entries(given);
  const [first] = entries;
  if (
    entries.length === 1 &&
    first !== undefined &&
    wrappers.has(first[0]) &&
    !members.has(first[0])
  ) {
    const [, inner] = first;
    const read = typeof inner === 'string' ? readArgumentText(inner) : undefined;
    const value = read?.ok === true ? read.value : inner;
    if (isObject(value)) return new Map(Object.entries(value));
  }
  return new Map(entries);
}

/**
 * Each member under its own name and with the type that the schema wants, where that can be only
 * one.
 */
function meantMembers(
  given: ReadonlyMap<string, unknown>,
  shape: Shape,
  notes: string[],
): Record<string, unknown> {
  const meant = new Map<string, unknown>();
  for (const [name, value] of given)
    if (shape.members.has(name)) take(name, value, shape, { meant, notes });
  for (const [name, value] of given) {
    if (shape.members.has(name)) continue;
    // A member that means nothing is left out, also an unknown one.
    if (isNothing(value)) continue;
    takeOther(name, value, shape, { meant, notes });
  }
  return Object.fromEntries(meant);
}

interface Meant {
  readonly meant: Map<string, unknown>;
  readonly notes: string[];
}

function take(name: string, value: unknown, shape: Shape, { meant, notes }: Meant): void {
  const member = shape.members.get(name) as Member;
  const isRequired = shape.required.has(name);
  if (isNothing(value) && !(isRequired && value === '')) return;
  if (formalMembers.has(name) && isWordForNothing(value)) return;
  const one = name === 'entry' ? entryName(value) : valueFor(member, value, name);
  if (one === undefined) return;
  meant.set(name, clamped(name, one, member, notes));
}

/**
 * A member that the tool does not have by this name. What stands for none of its members stays, and
 * is refused by the schema.
 */
function takeOther(name: string, value: unknown, shape: Shape, into: Meant): void {
  const key = keyOf(name);
  for (const member of shape.members.keys()) {
    const isSame = keyOf(member) === key;
    const isNegated = negatedNames[member]?.includes(key) === true;
    if (isSame || isNegated || otherNames[member]?.includes(key) === true) {
      const meaning = isNegated ? negated(value) : value;
      const before = into.meant.get(member);
      if (before === undefined) take(member, meaning, shape, into);
      // Said twice: fine where it is the same, else nobody can tell which is meant.
      else if (JSON.stringify(before) !== JSON.stringify(meaning)) into.meant.set(name, value);
      return;
    }
  }
  if (key === 'flags' && shape.members.has('case_sensitive') && /^[gimuy]*$/.test(String(value))) {
    if (String(value).includes('i')) into.meant.set('case_sensitive', false);
    return;
  }
  into.meant.set(name, value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const shapes = new WeakMap<z.ZodType, Shape>();

function shapeOf(tool: ToolShape): Shape {
  const known = shapes.get(tool.args);
  if (known !== undefined) return known;
  const { properties = {}, required = [] } = z.toJSONSchema(tool.args, { io: 'input' }) as {
    readonly properties?: Readonly<Record<string, Member>>;
    readonly required?: readonly string[];
  };
  const shape = { members: new Map(Object.entries(properties)), required: new Set(required) };
  shapes.set(tool.args, shape);
  return shape;
}

function signatureOf({ members }: Shape): string {
  const all = [...members].map(
    ([name, { type }]) => `${name}${type === undefined ? '' : ` (${type})`}`,
  );
  return all.length === 0 ? 'no arguments' : all.join(', ');
}

function exampleOf(tool: ToolShape): string {
  const [first] = shapeOf(tool).members;
  if (first === undefined) return '{}';
  return JSON.stringify({ [first[0]]: first[1].type === 'integer' ? 0 : '…' });
}
