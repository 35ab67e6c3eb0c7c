import { rewriteState } from '../../faces/carried-state.ts';
import { isObject, parseJson, type JsonObject } from '../../wire/json.ts';
import { isNameOfSomebody } from '../given-names.ts';
import { choiceWords, includeWords, referenceWords } from './kept-words.ts';
import { inLiterals } from './literals.ts';
import { scrubArguments } from './arguments.ts';
import { scrubPattern } from './pattern.ts';
import type { WordScrubber } from './words.ts';

/** Members whose texts are words of a protocol: one word each, written by programs. */
const protocolMembers: ReadonlySet<string> = new Set([
  'role',
  'type',
  'object',
  'finish_reason',
  'stop_reason',
  'status',
  'format',
  'syntax',
  'encoding',
  'media_type',
  'code',
]);

/** What stands in {@link protocolMembers}, as `image/png`; anything else there is a text. */
const protocolWord = /^[a-z][\w.+/-]{0,63}$/i;

/** Of these a protocol offers a few. */
const choiceMembers: ReadonlySet<string> = new Set([
  'tool_choice',
  'mode',
  'effort',
  'reasoning_effort',
  'verbosity',
  'service_tier',
  'detail',
  'display',
  'truncation',
]);

/** Members that hold bytes as base64. */
const base64Members: ReadonlySet<string> = new Set([
  'data',
  'file_data',
  'url',
  'image_url',
  'signature',
  'encrypted_content',
  'b64_json',
]);

/** Members that hold what somebody said, or a tool put out, even where that is JSON. */
const textMembers: ReadonlySet<string> = new Set([
  'content',
  'text',
  'input',
  'instructions',
  'output',
  'thinking',
  'reasoning',
  'reasoning_content',
]);

/** Arguments of a call: what is in them is the tool's, also the names of members. */
const argumentMembers: ReadonlySet<string> = new Set(['input', 'arguments']);

/** What a client says of itself and of its user. */
const metadataMembers: ReadonlySet<string> = new Set(['metadata', 'client_metadata']);

/** Members that hold the JSON schema of a tool or an answer. */
const schemaMembers: ReadonlySet<string> = new Set(['parameters', 'input_schema', 'schema']);

/** Members of a JSON schema below which names are somebody's. */
const namingMembers: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependentRequired',
]);

/** Members of a JSON schema that hold values. */
const valueMembers: ReadonlySet<string> = new Set([
  'default',
  'const',
  'enum',
  'examples',
  'example',
]);

/** A JSON value of a protocol with its form and without its words. */
export function scrubJson(value: unknown, words: WordScrubber): unknown {
  return new JsonScrubber(words).protocol(value, '');
}

/** What a provider says of a failure: its numbers stay, since they say how much is too much. */
export function scrubError(value: unknown, words: WordScrubber): unknown {
  return new JsonScrubber(words, true).protocol(value, '');
}

/** Walks over a value; what is one of the protocol depends on where it stands. */
class JsonScrubber {
  readonly #words: WordScrubber;
  readonly #isError: boolean;

  constructor(words: WordScrubber, isError = false) {
    this.#words = words;
    this.#isError = isError;
  }

  /** A value of the protocol, in a member of this name. */
  protocol(value: unknown, member: string): unknown {
    if (typeof value === 'string') return this.#text(value, member);
    // Objects in a list are items of the protocol.
    if (Array.isArray(value))
      return value.map((item) => this.protocol(item, isObject(item) ? '' : member));
    if (!isObject(value)) return value;
    if (member === 'error' && !this.#isError) return scrubError(value, this.#words);
    if (argumentMembers.has(member)) return this.#free(value);
    if (metadataMembers.has(member) && !this.#isError) return this.#free(value, true);
    if (schemaMembers.has(member)) return this.#schema(value);
    this.#noteNames(value);
    const name = typeof value['name'] === 'string' ? value['name'] : '';
    return this.#object(value, (held, key) => {
      if (key === 'arguments' && typeof held === 'string')
        return scrubArguments(name, held, this.#words);
      return this.protocol(held, key);
    });
  }

  /** Tools of a namespace go to providers under one name, and are called by it. */
  #noteNames({ type, name, namespace, tools }: JsonObject): void {
    if (typeof name !== 'string') return;
    if (typeof namespace === 'string') this.#words.name(`${namespace}__${name}`);
    if (type !== 'namespace' || !Array.isArray(tools)) return;
    for (const tool of tools as readonly unknown[])
      if (isObject(tool)) this.#words.name(`${name}__${String(tool['name'])}`);
  }

  /** The members of an object; a name that is none of a protocol is somebody's. */
  #object(value: JsonObject, how: (held: unknown, key: string) => unknown): JsonObject {
    return Object.fromEntries(
      Object.entries(value).map(([key, held]) => [
        isNameOfSomebody(key) ? this.#words.text(key) : key,
        how(held, key),
      ]),
    );
  }

  /**
   * What a client, its tools or their users have made: nothing in it is of a protocol.
   * @param hasInner Whether texts in it may be JSON
   */
  #free(value: unknown, hasInner = false): unknown {
    if (typeof value === 'string')
      return (hasInner ? this.#inner(value) : undefined) ?? this.#words.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#free(item, hasInner));
    if (!isObject(value)) return value;
    return this.#named(value, (held) => this.#free(held, hasInner));
  }

  /** An object whose members somebody has named. */
  #named(value: JsonObject, how: (held: unknown) => unknown): JsonObject {
    return Object.fromEntries(
      Object.entries(value).map(([key, held]) => [this.#words.text(key), how(held)]),
    );
  }

  #schema(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#schema(item));
    if (typeof value === 'string') return this.#words.text(value);
    if (!isObject(value)) return value;
    return this.#object(value, (held, key) => {
      if (namingMembers.has(key) && isObject(held))
        return this.#named(held, (each) => this.#schema(each));
      if (valueMembers.has(key)) return this.#free(held);
      if (typeof held !== 'string') return this.#schema(held);
      if (key === 'pattern') return scrubPattern(held, this.#words);
      if (key === '$ref') return this.#words.text(held, referenceWords);
      return (key === 'type' || key === 'format') && protocolWord.test(held)
        ? held
        : this.#words.text(held);
    });
  }

  #text(text: string, member: string): string {
    const words = this.#words;
    if (member === 'model' || (protocolMembers.has(member) && protocolWord.test(text))) return text;
    if (member === 'name' || member === 'tool_name') return words.name(text);
    if (choiceMembers.has(member) && !this.#isError) return words.text(text, choiceWords);
    if (member === 'include') return words.text(text, includeWords);
    const bytes = base64Members.has(member) ? scrubBytes(text, words) : undefined;
    if (bytes !== undefined) return bytes;
    const inner = textMembers.has(member) ? undefined : this.#inner(text);
    if (inner !== undefined) return inner;
    return this.#isError ? words.textButNumbers(text) : words.text(text);
  }

  /** Some clients name their conversation in JSON inside a text; failures hold others. */
  #inner(text: string): string | undefined {
    if (!text.startsWith('{') || !isObject(parseJson(text))) return undefined;
    const how = (held: string): string =>
      this.#isError ? this.#words.textButNumbers(held) : this.#words.text(held);
    return inLiterals(text, { text: how, name: how });
  }
}

/** What our own state holds, or base64, of a data URL or alone; undefined for other texts. */
function scrubBytes(text: string, words: WordScrubber): string | undefined {
  const state = rewriteState(text, {
    members: (members) => scrubJson(members, words) as JsonObject,
    args: (args) => scrubArguments('', args, words),
    id: (id) => words.text(id),
  });
  if (state !== undefined) return state;
  const [, head = '', payload = ''] =
    /^(data:[a-z]+\/[\w.+-]{1,80};base64,)?(.*)$/s.exec(text) ?? [];
  const isBase64 =
    payload.length >= 16 && Buffer.from(payload, 'base64').toString('base64') === payload;
  return isBase64 ? head + words.base64(payload) : undefined;
}
