import { ProxyError } from '../../errors.ts';
import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { Envelope } from '../../wire/types.ts';
import { badMember, numberMember } from '../request-body.ts';
import { ToolNames, upstreamName } from './tool-names.ts';

/** A request's members but for its conversation. */
export interface RequestMembers {
  /** The chat completion's. */
  readonly envelope: Envelope;
  readonly tools: ToolNames;
}

/**
 * Translates what stands beside the conversation. What chat completions do not have (`metadata`,
 * `truncation`, `store`, …) is left out; what stands for a history that is not here is refused,
 * since an answer without it would be a wrong one.
 * @throws ProxyError `invalid_request`, in OpenAI's own words where there are some
 */
export function membersOf(request: JsonObject): RequestMembers {
  refuseStored(request);
  const model = nonEmptyText(request['model']);
  if (model === undefined) throw missing('model');
  if (request['input'] === undefined || request['input'] === null) throw missing('input');
  const tools = toolsOf(request);
  const { definitions } = tools;
  const choice = choiceOf(request['tool_choice'], tools);
  return {
    tools,
    envelope: {
      model,
      ...(request['stream'] === undefined ? {} : { stream: request['stream'] as boolean }),
      ...(definitions.length === 0
        ? {}
        : {
            tools: definitions,
            ...(choice === undefined ? {} : { tool_choice: choice }),
            ...(typeof request['parallel_tool_calls'] === 'boolean'
              ? { parallel_tool_calls: request['parallel_tool_calls'] }
              : {}),
          }),
      ...numberMember(request, 'temperature'),
      ...numberMember(request, 'top_p'),
      ...numberMember(request, 'max_output_tokens', 'max_completion_tokens'),
      ...effortOf(request['reasoning']),
      ...formatOf(request['text']),
      ...(typeof request['user'] === 'string' ? { user: request['user'] } : {}),
    },
  };
}

function refuseStored(request: JsonObject): void {
  const previous = request['previous_response_id'];
  if (previous !== undefined && previous !== null)
    throw new ProxyError(
      'invalid_request',
      `Previous response with id '${nonEmptyText(previous) ?? ''}' not found.`,
      {
        param: 'previous_response_id',
        wireCode: 'previous_response_not_found',
        hint: 'No answers are kept here: send the whole conversation in `input`.',
      },
    );
  if (request['background'] === true)
    throw badMember('background', 'must be false: no answers are kept here to be asked for later');
  for (const name of ['conversation', 'prompt'])
    if (request[name] !== undefined && request[name] !== null)
      throw badMember(
        name,
        'cannot be used: it stands for texts that are not here',
        'Send them in `input`.',
      );
}

function missing(param: string): ProxyError {
  return new ProxyError('invalid_request', `Missing required parameter: '${param}'.`, {
    param,
    wireCode: 'missing_required_parameter',
  });
}

/** The tools of the request, and those that stand in its conversation. */
function toolsOf({ tools, input }: JsonObject): ToolNames {
  const names = new ToolNames();
  names.add(tools, 'tools');
  if (!Array.isArray(input)) return names;
  for (const [at, item] of (input as readonly unknown[]).entries())
    if (isObject(item) && item['type'] === 'additional_tools')
      names.add(item['tools'], `input[${at}].tools`);
  return names;
}

/** Of hosted tools nothing is left to choose. */
function choiceOf(choice: unknown, tools: ToolNames): unknown {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return choice;
  if (!isObject(choice)) return undefined;
  const name = chosenName(choice);
  switch (choice['type']) {
    case 'function':
    case 'custom':
      return name === undefined ? undefined : { type: 'function', function: { name } };
    case 'allowed_tools': {
      const allowed: unknown = choice['tools'];
      const list = Array.isArray(allowed) ? (allowed as readonly unknown[]) : [];
      tools.keep(new Set(list.map((tool) => (isObject(tool) ? chosenName(tool) : '') ?? '')));
      return choice['mode'] === 'required' ? 'required' : 'auto';
    }
    default:
      return undefined;
  }
}

function chosenName(choice: JsonObject): string | undefined {
  const name = nonEmptyText(choice['name']);
  return name === undefined ? undefined : upstreamName(name, nonEmptyText(choice['namespace']));
}

function effortOf(reasoning: unknown): JsonObject {
  const effort = isObject(reasoning) ? nonEmptyText(reasoning['effort']) : undefined;
  return effort === undefined ? {} : { reasoning_effort: effort };
}

function formatOf(text: unknown): JsonObject {
  const format = isObject(text) ? text['format'] : undefined;
  if (!isObject(format)) return {};
  if (format['type'] === 'json_object') return { response_format: { type: 'json_object' } };
  if (format['type'] !== 'json_schema') return {};
  const { type: _, ...schema } = format;
  return { response_format: { type: 'json_schema', json_schema: schema } };
}
