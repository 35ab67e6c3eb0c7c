import { isObject, parseJson } from '../../wire/json.ts';
import { scrubProgram } from './program.ts';
import type { WordScrubber } from './words.ts';

/** Members whose texts are words of a protocol. */
const protocolMembers: ReadonlySet<string> = new Set([
  'role',
  'type',
  'model',
  'object',
  'finish_reason',
  'stop_reason',
  'status',
  'format',
  'encoding',
  'detail',
  'media_type',
  'tool_choice',
  'service_tier',
  'reasoning_effort',
  'effort',
  'verbosity',
  'required',
  'code',
]);

/** Arguments of our tools that hold words of somebody; the others are numbers, ids and choices. */
const textArguments: ReadonlySet<string> = new Set([
  'words',
  'text',
  'path',
  'folder',
  'title',
  'question',
  'reduce',
  'measures',
  'group',
]);

/** Members that hold what somebody said, or a tool put out, even where that is JSON. */
const textMembers: ReadonlySet<string> = new Set([
  'content',
  'text',
  'output',
  'thinking',
  'reasoning',
  'reasoning_content',
]);

/** A JSON value with its form and without its words. */
export function scrubJson(value: unknown, words: WordScrubber, member = ''): unknown {
  if (typeof value === 'string') return scrubMember(value, words, member);
  if (Array.isArray(value)) return value.map((item) => scrubJson(item, words, member));
  if (!isObject(value)) return value;
  const { name, arguments: args } = value;
  const isError = member === 'error';
  return Object.fromEntries(
    Object.entries(value).map(([key, held]) => {
      if (key === 'name' && typeof held === 'string') return [key, scrubToolName(held, words)];
      if (key === 'arguments' && typeof args === 'string')
        return [key, scrubArguments(typeof name === 'string' ? name : '', args, words)];
      if (isError && key === 'message' && typeof held === 'string')
        return [key, words.textButNumbers(held)];
      return [key, scrubJson(held, words, key)];
    }),
  );
}

/** The arguments of a call, JSON as a text: of our own tools only what is somebody's words. */
export function scrubArguments(name: string, text: string, words: WordScrubber): string {
  const args = parseJson(text);
  if (!isObject(args)) return words.text(text);
  const scrubbed = name.startsWith('rlm_')
    ? Object.fromEntries(
        Object.entries(args).map(([key, value]) => [key, ownArgument(key, value, words)]),
      )
    : scrubJson(args, words);
  return JSON.stringify(scrubbed);
}

function ownArgument(key: string, value: unknown, words: WordScrubber): unknown {
  if (key === 'pattern' && typeof value === 'string') return words.pattern(value);
  if (key === 'code' && typeof value === 'string') return scrubProgram(value, words);
  if (key === 'tool' && typeof value === 'string') return scrubToolName(value, words);
  return textArguments.has(key) ? scrubJson(value, words) : value;
}

function scrubMember(text: string, words: WordScrubber, member: string): string {
  if (protocolMembers.has(member)) return text;
  // Some clients name their conversation in JSON inside a text.
  const inner = textMembers.has(member) || !text.startsWith('{') ? undefined : parseJson(text);
  return inner === undefined ? words.text(text) : JSON.stringify(scrubJson(inner, words));
}

/** Ours stay; of others the words that many tools have, and the form. */
function scrubToolName(name: string, words: WordScrubber): string {
  return name.startsWith('rlm_') ? name : words.text(name);
}
