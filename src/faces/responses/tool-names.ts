import { badMember } from '../request-body.ts';
import { fittingName } from '../tool-name.ts';
import { isObject, nonEmptyText, type JsonObject } from '../../wire/json.ts';
import type { ToolDefinition } from '../../wire/types.ts';

/** A tool as its client knows it. */
export interface ClientTool {
  readonly name: string;
  /** The group of tools it is in, such as an MCP server's. */
  readonly namespace?: string | undefined;
  /** Takes free text in place of arguments. */
  readonly isCustom: boolean;
}

/**
 * The one name under which a tool of a namespace goes upstream. Pure: a call in the history has the
 * same name as the tool had when it was offered.
 */
export function upstreamName(name: string, namespace?: string): string {
  return namespace === undefined ? name : fittingName(`${namespace}__${name}`);
}

/** The tools of a request: as they go upstream, and whose call is whose. */
export class ToolNames {
  readonly definitions: ToolDefinition[] = [];
  readonly #tools = new Map<string, ClientTool>();

  /**
   * Takes a list of tools. Hosted ones (`web_search`, `code_interpreter`, …) run at OpenAI and
   * nowhere else, so they are left out.
   * @throws ProxyError `invalid_request`
   */
  add(tools: unknown, param: string, namespace?: string): void {
    if (tools === undefined || tools === null) return;
    if (!Array.isArray(tools)) throw badMember(param, 'must be a list');
    for (const [at, tool] of (tools as readonly unknown[]).entries()) {
      const place = `${param}[${at}]`;
      if (!isObject(tool)) throw badMember(place, 'must be an object');
      if (tool['type'] === 'namespace')
        this.add(tool['tools'], `${place}.tools`, nameOf(tool, place));
      else if (tool['type'] === 'function') this.#addFunction(tool, nameOf(tool, place), namespace);
      else if (tool['type'] === 'custom') this.#addCustom(tool, nameOf(tool, place), namespace);
    }
  }

  /** The client's tool of a name that the model has called; a function where there is none. */
  toolOf(name: string): ClientTool {
    return this.#tools.get(name) ?? { name, isCustom: false };
  }

  /** Only the tools of these names stay on offer. */
  keep(names: ReadonlySet<string>): void {
    const kept = this.definitions.filter((tool) => names.has(tool.function?.name ?? ''));
    this.definitions.splice(0, this.definitions.length, ...kept);
  }

  #addFunction(tool: JsonObject, name: string, namespace: string | undefined): void {
    const { description, parameters, strict } = tool;
    this.#offer(
      { name, namespace, isCustom: false },
      {
        ...(typeof description === 'string' ? { description } : {}),
        parameters: isObject(parameters) ? parameters : { type: 'object', properties: {} },
        ...(strict === true ? { strict } : {}),
      },
    );
  }

  #addCustom(tool: JsonObject, name: string, namespace: string | undefined): void {
    const said = typeof tool['description'] === 'string' ? tool['description'] : '';
    const input = { type: 'string', description: 'The whole input of the tool, as plain text.' };
    this.#offer(
      { name, namespace, isCustom: true },
      {
        description: [said, grammarOf(tool['format'])].filter((text) => text !== '').join('\n\n'),
        parameters: { type: 'object', properties: { input }, required: ['input'] },
      },
    );
  }

  #offer(tool: ClientTool, parts: JsonObject): void {
    const name = upstreamName(tool.name, tool.namespace);
    this.#tools.set(name, tool);
    this.definitions.push({ type: 'function', function: { name, ...parts } });
  }
}

function nameOf(tool: JsonObject, place: string): string {
  const name = nonEmptyText(tool['name']);
  if (name === undefined) throw badMember(`${place}.name`, 'must be a string that is not empty');
  return name;
}

/** What a model is told of the form that a custom tool's text must have. */
function grammarOf(format: unknown): string {
  if (!isObject(format) || format['type'] !== 'grammar') return '';
  const { syntax, definition } = format;
  if (typeof definition !== 'string') return '';
  const name = typeof syntax === 'string' ? ` (${syntax})` : '';
  return `The input must match this grammar${name}:\n${definition}`;
}

/** The arguments with which a custom tool's text goes upstream. */
export function customArguments(input: string): string {
  return JSON.stringify({ input });
}

/**
 * The text for a custom tool out of what a model wrote: its one string, or, where it kept to no
 * form, all of it.
 */
export function customInput(args: string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(args);
  } catch {
    return args;
  }
  if (typeof parsed === 'string') return parsed;
  if (!isObject(parsed)) return args;
  if (typeof parsed['input'] === 'string') return parsed['input'];
  const values = Object.values(parsed);
  return values.length === 1 && typeof values[0] === 'string' ? values[0] : args;
}
