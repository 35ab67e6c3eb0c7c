import { TurnFold } from '../wire/fold.ts';
import { isObject, parseJson, type JsonObject } from '../wire/json.ts';
import type { Chunk } from '../wire/types.ts';

/**
 * What a provider wants back with an answer and other protocols have no member for: the name under
 * which its reasoning came, structured reasoning, signatures beside calls. It travels in
 * `encrypted_content` of reasoning items and in `signature` of thinking blocks, which clients send
 * back as it came. Nothing secret.
 */
export interface CarriedState {
  /** The member of the reasoning where it is not `reasoning_content`. */
  readonly field?: string;
  /** Further members of the assistant message. */
  readonly members?: Readonly<Record<string, unknown>>;
  /** Further members of its calls, by their ids. */
  readonly calls?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Arguments of calls that a client hands back in other words, by the calls' ids. */
  readonly args?: Readonly<Record<string, string>>;
}

/** In front of every such text: others' are not ours to read. */
const mark = 'rlm1.';

/** The state as text. */
function writeState(state: CarriedState): string {
  return mark + Buffer.from(JSON.stringify(state)).toString('base64url');
}

/** The state that a text of ours holds; undefined for any other text. */
export function readState(text: unknown): CarriedState | undefined {
  if (typeof text !== 'string' || !text.startsWith(mark)) return undefined;
  const parsed = parseJson(Buffer.from(text.slice(mark.length), 'base64url').toString());
  if (!isObject(parsed)) return undefined;
  const { field, members, calls, args } = parsed;
  return {
    ...(field === 'reasoning' ? { field } : {}),
    ...(isObject(members) ? { members: withoutOwnNames(members) } : {}),
    ...(isObject(calls) ? { calls: membersByCall(calls) } : {}),
    ...(isObject(args) ? { args: textsByCall(args) } : {}),
  };
}

/** What becomes of the parts of a {@link CarriedState}. */
interface StateRewrite {
  /** Of a message or of a call. */
  readonly members: (members: JsonObject) => JsonObject;
  /** Arguments, JSON as a text. */
  readonly args: (args: string) => string;
  /** Of a call. */
  readonly id: (id: string) => string;
}

/** A text of ours with other words in it; undefined for any other text. */
export function rewriteState(
  text: string,
  { members, args, id }: StateRewrite,
): string | undefined {
  const state = readState(text);
  if (state === undefined) return undefined;
  const byCall = <Held>(
    calls: Readonly<Record<string, Held>>,
    rewrite: (held: Held) => Held,
  ): Record<string, Held> =>
    Object.fromEntries(Object.entries(calls).map(([call, held]) => [id(call), rewrite(held)]));
  return writeState({
    ...state,
    ...(state.members === undefined ? {} : { members: members(state.members) }),
    ...(state.calls === undefined ? {} : { calls: byCall(state.calls, members) }),
    ...(state.args === undefined ? {} : { args: byCall(state.args, args) }),
  });
}

/** What a message or a call says itself is not to be replaced by what came back in a state. */
const ownNames: ReadonlySet<string> = new Set([
  'role',
  'content',
  'tool_calls',
  'tool_call_id',
  'id',
  'type',
  'function',
  'custom',
]);

function withoutOwnNames(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !ownNames.has(name)));
}

function membersByCall(
  calls: Readonly<Record<string, unknown>>,
): Record<string, Readonly<Record<string, unknown>>> {
  return Object.fromEntries(
    Object.entries(calls).flatMap(([id, members]) =>
      isObject(members) ? [[id, withoutOwnNames(members)]] : [],
    ),
  );
}

function textsByCall(args: JsonObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(args).flatMap(([id, text]) => (typeof text === 'string' ? [[id, text]] : [])),
  );
}

/** Members of an answer that are for whoever reads it, and that no provider wants back. */
const shownMembers: ReadonlySet<string> = new Set(['annotations', 'audio', 'images']);

/** Gathers from the chunks of an answer what only a {@link CarriedState} can hold. */
export class CarriedParts {
  readonly #fold = new TurnFold();
  readonly #args: Record<string, string> = {};
  #field: string | undefined;
  #hasNews = false;

  /** Whether something has come that {@link CarriedParts.write} has not written yet. */
  get hasNews(): boolean {
    return this.#hasNews;
  }

  /** Takes what of a chunk is neither text nor arguments. */
  add({ reasoningField, reasoningDetails, extra: all, toolCalls }: Chunk): void {
    if (reasoningField !== undefined) this.#field = reasoningField;
    const extra = all === undefined ? undefined : withoutShown(all);
    if (reasoningDetails === undefined && extra === undefined && toolCalls === undefined) return;
    const isOfCall = toolCalls?.some((delta) => delta.extra !== undefined) === true;
    if (reasoningDetails !== undefined || extra !== undefined || isOfCall) this.#hasNews = true;
    this.#fold.add({
      ...(reasoningDetails === undefined ? {} : { reasoningDetails }),
      ...(extra === undefined ? {} : { extra }),
      ...(toolCalls === undefined
        ? {}
        : { toolCalls: toolCalls.map((delta) => ({ ...delta, arguments: '' })) }),
    });
  }

  /** Keeps the arguments of a call as the model wrote them. */
  keepArguments(id: string, args: string): void {
    this.#args[id] = args;
    this.#hasNews = true;
  }

  /** As text, what there is by now: of several texts of an answer, the last says all. */
  write(): string {
    const own = this.#field === 'reasoning' ? { field: this.#field } : {};
    if (!this.#hasNews) return writeState(own);
    this.#hasNews = false;
    const { role: _, content: __, tool_calls: calls = [], ...members } = this.#fold.turn().message;
    const extras = calls.map(({ id, type: _type, function: _call, custom: _custom, ...extra }) =>
      Object.keys(extra).length === 0 ? [] : [[id, extra] as const],
    );
    return writeState({
      ...own,
      members,
      calls: Object.fromEntries(extras.flat()),
      ...(Object.keys(this.#args).length === 0 ? {} : { args: this.#args }),
    });
  }
}

/** The others; undefined where there are none. */
function withoutShown(extra: JsonObject): JsonObject | undefined {
  const kept = Object.entries(extra).filter(([name]) => !shownMembers.has(name));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
