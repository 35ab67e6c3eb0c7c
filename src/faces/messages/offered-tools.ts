import { badMember, objectsIn, stringOf } from '../request-body.ts';
import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { ToolDefinition } from '../../wire/types.ts';
import { fittingName } from '../tool-name.ts';
import { clientRunTools } from './client-run-tools.ts';

/** The tools of a request that the model can be offered. */
export interface OfferedTools {
  readonly definitions: readonly ToolDefinition[];
  /** The client's name of a tool, by the name under which the model calls it. */
  readonly nameOf: (upstreamName: string) => string;
  /** Names of tools that run at Anthropic and nowhere else, so that they cannot be offered. */
  readonly leftOut: readonly string[];
}

/**
 * Tools that are loaded when they are needed (`defer_loading`) are offered from the turn on in
 * which the conversation has named them, behind all others: so what was offered before stays the
 * beginning.
 * @throws ProxyError `invalid_request`
 */
export function offeredTools(tools: unknown, messages: unknown): OfferedTools {
  const list = toolList(tools);
  const offered = new Map<string, ToolDefinition>();
  const deferred = new Map<string, ToolDefinition>();
  const names = new Map<string, string>();
  const leftOut: string[] = [];
  const take = (tool: JsonObject, place: string, into: Map<string, ToolDefinition>): void => {
    const name = nonEmptyText(tool['name']);
    const definition = definitionOf(tool, name, place);
    if (definition === undefined || name === undefined) {
      leftOut.push(name ?? stringOf(tool['type']));
      return;
    }
    names.set(fittingName(name), name);
    into.set(name, definition);
  };
  for (const [at, tool] of list.entries())
    take(tool, `tools[${at}]`, tool['defer_loading'] === true ? deferred : offered);
  for (const change of toolChanges(messages)) {
    if (change.definition !== undefined) take(change.definition, change.place, deferred);
    const found = deferred.get(change.name);
    if (change.isRemoval) offered.delete(change.name);
    else if (found !== undefined) offered.set(change.name, found);
  }
  return {
    definitions: [...offered.values()],
    nameOf: (name) => names.get(name) ?? name,
    leftOut,
  };
}

function toolList(tools: unknown): readonly JsonObject[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) throw badMember('tools', 'must be a list');
  return objectsIn(tools as readonly unknown[], 'tools');
}

/** Undefined for what runs at Anthropic. Its types end in the date of their version. */
function definitionOf(
  tool: JsonObject,
  name: string | undefined,
  place: string,
): ToolDefinition | undefined {
  const type = nonEmptyText(tool['type']) ?? 'custom';
  const { description, input_schema: schema, strict } = tool;
  if (type !== 'custom') {
    const known = clientRunTools.find(([pattern]) => pattern.test(type))?.[1];
    return known === undefined || name === undefined
      ? undefined
      : { type: 'function', function: { name: fittingName(name), ...known } };
  }
  if (name === undefined) throw badMember(`${place}.name`, 'must be a string that is not empty');
  return {
    type: 'function',
    function: {
      name: fittingName(name),
      ...(typeof description === 'string' ? { description } : {}),
      parameters: isObject(schema) ? schema : { type: 'object', properties: {} },
      ...(strict === true ? { strict } : {}),
    },
  };
}

interface ToolChange {
  readonly name: string;
  readonly isRemoval: boolean;
  readonly definition?: JsonObject;
  readonly place: string;
}

/** What the conversation says of tools: those that were found, added and withdrawn, in order. */
function* toolChanges(messages: unknown): Generator<ToolChange, void, void> {
  if (!Array.isArray(messages)) return;
  for (const [at, message] of (messages as readonly unknown[]).entries()) {
    if (!isObject(message) || !Array.isArray(message['content'])) continue;
    for (const [index, block] of (message['content'] as readonly unknown[]).entries())
      if (isObject(block)) yield* changesIn(block, `messages[${at}].content[${index}]`);
  }
}

function* changesIn(block: JsonObject, place: string): Generator<ToolChange, void, void> {
  const { type, tool, content } = block;
  if (type === 'tool_reference')
    yield { name: stringOf(block['tool_name']), isRemoval: false, place };
  else if (type === 'tool_result' && Array.isArray(content)) {
    for (const part of content as readonly unknown[])
      if (isObject(part) && part['type'] === 'tool_reference') yield* changesIn(part, place);
  } else if ((type === 'tool_addition' || type === 'tool_removal') && isObject(tool)) {
    const { definition } = tool;
    const named = isObject(definition) ? definition : tool;
    yield {
      name: stringOf(named['name']),
      isRemoval: type === 'tool_removal',
      ...(isObject(definition) ? { definition } : {}),
      place: `${place}.tool`,
    };
  }
}
