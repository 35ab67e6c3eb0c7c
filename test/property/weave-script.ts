import * as fc from 'fast-check';
import type { Message, ToolCall, Usage } from '../../src/wire/types.ts';
import {
  done,
  finish,
  reply,
  role,
  text,
  toolDelta,
  usage,
  chunk,
  type Reply,
} from '../support/scripted-upstream.ts';

/** How a provider names its calls. */
export type IdStyle = 'unique' | 'repeated' | 'odd' | 'short';

/** One call that the model makes, before it has an id. */
interface PlannedCall {
  readonly name: string;
  /** The arguments text, byte for byte. */
  readonly args: string;
  readonly extra: boolean;
}

/** One completion of the upstream. */
export interface PlannedStep {
  readonly content: string;
  readonly reasoning: { readonly field: string; readonly text: string } | undefined;
  readonly calls: readonly PlannedCall[];
}

/** Which tools the client lets the model call in a request. */
type Choice = 'absent' | 'auto' | 'required' | 'none' | 'forced' | 'listed' | 'listed with ours';

/** What the model does with one client request: hidden steps, then one that the client sees. */
export interface PlannedTurn {
  readonly hidden: readonly PlannedStep[];
  readonly last: PlannedStep;
  /** Absent: the client says nothing. */
  readonly choice?: Choice;
}

/** Choices in which the model may call none of our tools. */
const closedChoices: ReadonlySet<Choice | undefined> = new Set(['none', 'forced', 'listed']);

/** Whether the model may call none of our tools in the request. */
export function isClosed({ choice }: PlannedTurn): boolean {
  return closedChoices.has(choice);
}

const named = (name: string): object => ({ type: 'function', function: { name } });

/** `tool_choice` of a request, as the client writes it. */
export function toolChoiceOf({ choice = 'absent' }: PlannedTurn): unknown {
  switch (choice) {
    case 'absent':
      return undefined;
    case 'forced':
      return named('bash');
    case 'listed':
    case 'listed with ours': {
      const own = choice === 'listed' ? [] : [named('rlm_find')];
      const tools = [named('bash'), named('read'), ...own];
      return { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools } };
    }
    case 'auto':
    case 'required':
    case 'none':
      return choice;
  }
}

const words = fc.constantFrom(
  'so',
  'then',
  'π',
  'the\tfile',
  'done.',
  '🙂',
  ' ',
  '\n',
  'fails',
  '"x"',
);

/** Short visible text, sometimes with white space at its ends. */
const shortText = fc.array(words, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(' '));

const reasoning = fc.option(
  fc.record({
    field: fc.constantFrom('reasoning_content', 'reasoning'),
    text: fc.oneof(fc.constant(''), shortText),
  }),
  { nil: undefined },
);

const ownCall: fc.Arbitrary<PlannedCall> = fc.record({
  name: fc.constantFrom('rlm_stats', 'rlm_find', 'rlm_search', 'rlm_get_context', 'rlm_unknown'),
  args: fc.constantFrom(
    '{}',
    '{ "text" : "fox" }',
    '{"pattern":"\\u0066ox"}',
    '{"offset": 0}',
    '{"bro',
    '',
  ),
  extra: fc.boolean(),
});

const clientCall: fc.Arbitrary<PlannedCall> = fc.record({
  name: fc.constantFrom('bash', 'read'),
  args: fc.constantFrom(
    '{"command": "ls"}',
    '{"filePath":"/a/b.ts" }',
    '{}',
    '{ "n": 1.0 }',
    '{"cut":',
  ),
  extra: fc.boolean(),
});

const hiddenStep: fc.Arbitrary<PlannedStep> = fc.record({
  content: fc.oneof(fc.constant(''), shortText),
  reasoning,
  calls: fc.array(ownCall, { minLength: 1, maxLength: 3 }),
});

const callingStep: fc.Arbitrary<PlannedStep> = fc.record({
  content: fc.oneof(fc.constant(''), shortText),
  reasoning,
  calls: fc
    .tuple(
      fc.array(ownCall, { maxLength: 2 }),
      fc.array(clientCall, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
    )
    .map(([own, theirs, ownFirst]) => (ownFirst ? own.concat(theirs) : theirs.concat(own))),
});

const hiddenSteps = fc.array(hiddenStep, { maxLength: 2 });

/** Mostly nothing, as clients do. */
function choices(...others: readonly Choice[]): fc.Arbitrary<Choice> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant<Choice>('absent') },
    { weight: 2, arbitrary: fc.constantFrom(...others) },
  );
}

function renamed(call: PlannedCall, name: string): PlannedCall {
  return { ...call, name };
}

/** What a model does that heeds the choice. */
function heeding(turn: PlannedTurn): PlannedTurn {
  if (!isClosed(turn)) return turn;
  const calls = turn.last.calls
    .filter(({ name }) => !name.startsWith('rlm_'))
    .map((call) => (turn.choice === 'forced' ? renamed(call, 'bash') : call));
  return { ...turn, hidden: [], last: { ...turn.last, calls } };
}

/** A turn that ends in the client's calls, alone or beside ours. */
export const callingTurn: fc.Arbitrary<PlannedTurn> = fc
  .record({
    hidden: hiddenSteps,
    last: callingStep,
    choice: choices('auto', 'required', 'forced', 'listed', 'listed with ours'),
  })
  .map(heeding);

/** A turn that ends in text. */
export const answeringTurn: fc.Arbitrary<PlannedTurn> = fc
  .record({
    hidden: hiddenSteps,
    last: fc.record({ content: shortText, reasoning, calls: fc.constant([]) }),
    choice: choices('auto', 'none', 'listed', 'listed with ours'),
  })
  .map(heeding);

/** Gives calls their ids, as a provider would. */
export class IdSource {
  readonly #style: IdStyle;
  #count = 0;

  constructor(style: IdStyle) {
    this.#style = style;
  }

  /** Id of the call at `index` of a message. */
  next(index: number): string {
    this.#count += 1;
    const odd = ['toString', '__proto__', 'functions.bash:0', 'ид 1', 'constructor'];
    switch (this.#style) {
      case 'repeated':
        return `call_${index}`;
      case 'odd':
        return `${odd[index % odd.length]}${this.#count > 5 ? this.#count : ''}`;
      case 'short':
        return `c${String(this.#count).padStart(8, '0')}`;
      case 'unique':
        return `call_${this.#count}_${index}`;
    }
  }
}

/** The message that a step makes, as it has to come back. */
export function messageOf(step: PlannedStep, ids: IdSource): Message {
  const calls: ToolCall[] = step.calls.map(({ name, args, extra }, index) => ({
    id: ids.next(index),
    type: 'function',
    function: { name, arguments: args },
    ...(extra ? { extra_content: { google: { thought_signature: `sig-${index}` } } } : {}),
  }));
  return {
    role: 'assistant',
    content: step.content === '' && calls.length > 0 ? null : step.content,
    ...(step.reasoning === undefined ? {} : { [step.reasoning.field]: step.reasoning.text }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** The same message streamed, by a provider that counts so many tokens. */
export function replyOf(message: Message, promptTokens: number): Reply {
  const calls = message.tool_calls ?? [];
  const steps = [role()];
  for (const field of ['reasoning_content', 'reasoning'])
    if (typeof message[field] === 'string') steps.push(chunk({ [field]: message[field] }));
  if (typeof message.content === 'string' && message.content !== '')
    steps.push(text(message.content));
  for (const [index, call] of calls.entries()) steps.push(toolDelta({ index, ...call }));
  steps.push(
    finish(calls.length > 0 ? 'tool_calls' : 'stop'),
    usage(counted(promptTokens)),
    done(),
  );
  return reply(...steps);
}

function counted(promptTokens: number): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: 20,
    total_tokens: promptTokens + 20,
  };
}
