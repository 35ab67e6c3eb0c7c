import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { Envelope } from '../../wire/types.ts';
import { badMember, numberMember } from '../request-body.ts';
import { fittingName } from '../tool-name.ts';
import { type OfferedTools, offeredTools } from './offered-tools.ts';

/** A request's members but for its conversation. */
export interface MessagesMembers {
  /** The chat completion's. */
  readonly envelope: Envelope;
  readonly tools: OfferedTools;
  readonly stopSequences: readonly string[];
  /** Whether thinking is to be shown. */
  readonly showsThinking: boolean;
  /** What the answer has to look like, where that is asked for. */
  readonly schema?: AnswerSchema | undefined;
}

/** A JSON schema for an answer. */
export interface AnswerSchema {
  readonly name: string;
  readonly schema: unknown;
}

/**
 * Translates what stands beside the conversation. New members come every month, and a client that
 * meets a refusal leaves out one after the other and asks again: so what chat completions do not
 * have (`top_k`, `context_management`, `metadata`, `service_tier`, …) is left out, and only what
 * stands for something that is not here is refused.
 * @throws ProxyError `invalid_request`
 */
export function membersOf(request: JsonObject): MessagesMembers {
  refuseAbsent(request);
  const model = nonEmptyText(request['model']);
  if (model === undefined) throw badMember('model', 'must be a string that is not empty');
  const tools = offeredTools(request['tools'], request['messages']);
  const stopSequences = textsIn(request['stop_sequences'], 'stop_sequences');
  const { thinking, stream } = request;
  return {
    tools,
    stopSequences,
    showsThinking: isObject(thinking) && thinking['type'] !== 'disabled',
    schema: schemaOf(request),
    envelope: {
      model,
      ...(stream === undefined ? {} : { stream: stream as boolean }),
      ...(tools.definitions.length === 0
        ? {}
        : { tools: tools.definitions, ...choiceOf(request['tool_choice'], tools) }),
      ...numberMember(request, 'max_tokens'),
      ...numberMember(request, 'temperature'),
      ...numberMember(request, 'top_p'),
      ...(stopSequences.length === 0 ? {} : { stop: stopSequences }),
      ...effortOf(request),
    },
  };
}

function refuseAbsent(request: JsonObject): void {
  for (const name of ['mcp_servers', 'container']) {
    const value = request[name];
    const isEmpty = Array.isArray(value) && value.length === 0;
    if (value !== undefined && value !== null && !isEmpty)
      throw badMember(
        name,
        'cannot be used: it stands for what runs at Anthropic',
        'Let the client run such tools, and offer them in `tools`.',
      );
  }
}

function textsIn(value: unknown, place: string): readonly string[] {
  if (value === undefined || value === null) return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((each) => {
    if (typeof each !== 'string') throw badMember(place, 'must be a list of texts');
    return each;
  });
}

/** Of tools that are not offered nothing is left to choose. */
function choiceOf(choice: unknown, { definitions }: OfferedTools): JsonObject {
  if (!isObject(choice)) return {};
  const alone = choice['disable_parallel_tool_use'] === true ? { parallel_tool_calls: false } : {};
  switch (choice['type']) {
    case 'auto':
    case 'none':
      return { tool_choice: choice['type'], ...alone };
    case 'any':
      return { tool_choice: 'required', ...alone };
    case 'tool': {
      const name = fittingName(nonEmptyText(choice['name']) ?? '');
      const isOffered = definitions.some((tool) => tool.function?.name === name);
      return isOffered
        ? { tool_choice: { type: 'function', function: { name } }, ...alone }
        : { ...alone };
    }
    default:
      return {};
  }
}

/**
 * From these budgets on, tokens, thinking is of that effort: those which Claude Code's words "think
 * hard" and "ultrathink" ask for are 10,000 and 31,999.
 */
const mediumTokens = 8_000;
const highTokens = 24_000;

/**
 * Efforts by the words that chat completions know everywhere. `high` is what a model does that is
 * asked for nothing, and Claude Code asks every model for it, also those that know no effort.
 */
const efforts: Readonly<Record<string, string | undefined>> = {
  low: 'low',
  medium: 'medium',
  high: undefined,
  xhigh: 'high',
  max: 'high',
};

function effortOf({ thinking, output_config: output }: JsonObject): JsonObject {
  const { type, budget_tokens: budget } = isObject(thinking) ? thinking : {};
  if (type === 'disabled') return {};
  const asked = isObject(output) ? efforts[nonEmptyText(output['effort']) ?? ''] : undefined;
  const effort = asked ?? (typeof budget === 'number' ? effortFor(budget) : undefined);
  return effort === undefined ? {} : { reasoning_effort: effort };
}

function effortFor(budgetTokens: number): string {
  if (budgetTokens < mediumTokens) return 'low';
  return budgetTokens < highTokens ? 'medium' : 'high';
}

function schemaOf({
  output_config: output,
  output_format: older,
}: JsonObject): AnswerSchema | undefined {
  const format = (isObject(output) ? output['format'] : undefined) ?? older;
  if (!isObject(format) || format['type'] !== 'json_schema') return undefined;
  return { name: nonEmptyText(format['name']) ?? 'answer', schema: format['schema'] };
}
