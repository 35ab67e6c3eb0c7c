import { isObject, parseJson } from '../wire/json.ts';

/**
 * What a provider wants back with an answer and this protocol has no member for: the name under
 * which its reasoning came, structured reasoning, signatures beside calls. It travels in
 * `encrypted_content` of reasoning items, which clients send back as it came. Nothing secret.
 */
export interface CarriedState {
  /** The member of the reasoning where it is not `reasoning_content`. */
  readonly field?: string;
  /** Further members of the assistant message. */
  readonly members?: Readonly<Record<string, unknown>>;
  /** Further members of its calls, by their ids. */
  readonly calls?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** In front of every such text: others' are not ours to read. */
const mark = 'rlm1.';

/** The state as text. */
export function writeState(state: CarriedState): string {
  return mark + Buffer.from(JSON.stringify(state)).toString('base64url');
}

/** The state that a text of ours holds; undefined for any other text. */
export function readState(text: unknown): CarriedState | undefined {
  if (typeof text !== 'string' || !text.startsWith(mark)) return undefined;
  const parsed = parseJson(Buffer.from(text.slice(mark.length), 'base64url').toString());
  if (!isObject(parsed)) return undefined;
  const { field, members, calls } = parsed;
  return {
    ...(field === 'reasoning' ? { field } : {}),
    ...(isObject(members) ? { members: withoutOwnNames(members) } : {}),
    ...(isObject(calls) ? { calls: membersByCall(calls) } : {}),
  };
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
