import type { Envelope, ToolCall } from '../wire/types.ts';

/** Steps of ours before the one in which the client's own choice of tools holds. */
export interface HandOver {
  /** Members of the request in the steps before: they let the model call our tools. */
  readonly opening: Readonly<Record<string, unknown>>;
  /**
   * Whether calls of the client's tools, made in such a step, are what the client asked for: then
   * no further step is needed.
   */
  readonly isMet: (calls: readonly ToolCall[]) => boolean;
}

/**
 * Whether the model can call our tools in a request: what stands outside the prompt can be opened
 * in no other way, so it decides about stubs and tools.
 */
export type HiddenCalls =
  | {
      /** It can, in every step. */
      readonly kind: 'possible';
      /** Members that go up in place of the client's. */
      readonly changed: Readonly<Record<string, unknown>>;
      /** Whether the client names tools of ours that are to be called. */
      readonly namesOurs: boolean;
    }
  /** Not while the client's choice of tools holds, but steps of ours could come before. */
  | { readonly kind: 'before'; readonly handOver: HandOver }
  /** Not at all: the client forbids calls, or there are no tools of ours that could be called. */
  | { readonly kind: 'impossible' };

/** `tool_choice` that demands a call and leaves open which: OpenAI's word, and Mistral's. */
const anyCall: ReadonlySet<unknown> = new Set(['required', 'any']);

/**
 * Asked once for a request. Pure. `ourNames`: the tools that would be offered beside the client's.
 */
export function hiddenCallsIn(envelope: Envelope, ourNames: readonly string[]): HiddenCalls {
  if (ourNames.length === 0) return { kind: 'impossible' };
  const choice = envelope.tool_choice ?? 'auto';
  if (choice === 'none') return { kind: 'impossible' };
  if (anyCall.has(choice)) {
    // With nothing but tools of ours to call, such a chat would never come to an answer.
    const hasTools = (envelope.tools ?? []).length > 0;
    const changed = hasTools ? {} : { tool_choice: 'auto' };
    return { kind: 'possible', changed, namesOurs: false };
  }
  if (choice !== 'auto') return forcedBy(choice, ourNames);
  const legacy = envelope['function_call'] ?? 'auto';
  if (legacy === 'none') return { kind: 'impossible' };
  if (legacy === 'auto') return { kind: 'possible', changed: {}, namesOurs: false };
  // The old form's answer is no tool call, so it is never met by one.
  return {
    kind: 'before',
    handOver: { opening: { function_call: 'auto' }, isMet: () => false },
  };
}

function forcedBy(choice: unknown, ourNames: readonly string[]): HiddenCalls {
  const list = allowedList(choice);
  if (list !== undefined) return allowedBy(list, ourNames);
  const name = nameOf(choice);
  if (name !== undefined && ourNames.includes(name))
    return { kind: 'possible', changed: {}, namesOurs: true };
  return {
    kind: 'before',
    handOver: {
      opening: { tool_choice: 'auto' },
      isMet: (calls) => calls.length > 0 && calls.every((call) => nameOf(call) === name),
    },
  };
}

/** What a list of allowed tools says, in either of the two forms that OpenAI has for it. */
interface AllowedList {
  readonly mode: unknown;
  readonly tools: readonly unknown[];
  /** The same list with other tools. */
  readonly withTools: (tools: readonly unknown[]) => unknown;
}

function allowedList(choice: unknown): AllowedList | undefined {
  if (!isRecord(choice) || choice['type'] !== 'allowed_tools') return undefined;
  const inner = choice['allowed_tools'];
  const list = isRecord(inner) ? inner : choice;
  const tools = Array.isArray(list['tools']) ? (list['tools'] as readonly unknown[]) : [];
  return {
    mode: list['mode'],
    tools,
    withTools: (more) => {
      const changed = { ...list, mode: 'auto', tools: more };
      return list === choice ? changed : { ...choice, allowed_tools: changed };
    },
  };
}

function allowedBy(list: AllowedList, ourNames: readonly string[]): HiddenCalls {
  const names = new Set(list.tools.map(nameOf));
  if (ourNames.some((name) => names.has(name)))
    return { kind: 'possible', changed: {}, namesOurs: true };
  const ours = ourNames.map((name) => ({ type: 'function', function: { name } }));
  const mustCall = list.mode === 'required';
  return {
    kind: 'before',
    handOver: {
      opening: { tool_choice: list.withTools([...list.tools, ...ours]) },
      isMet: (calls) =>
        (calls.length > 0 || !mustCall) && calls.every((call) => names.has(nameOf(call))),
    },
  };
}

/** The name in a choice, a list's element or a call, of a function or of a custom tool. */
function nameOf(value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  for (const holder of [value['function'], value['custom'], value]) {
    const name = isRecord(holder) ? holder['name'] : undefined;
    if (typeof name === 'string') return name;
  }
  return undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
