import { z } from 'zod';
import type { FunctionCall, ToolDefinition } from '../wire/types.ts';
import { execTool } from './exec.ts';
import { findTool } from './find.ts';
import { getContextTool } from './get-context.ts';
import { queryTool } from './query.ts';
import { searchTool } from './search.ts';
import { statsTool } from './stats.ts';
import type { Tool, ToolContext } from './tool.ts';

/** A tool with its argument type forgotten: what a list of tools can hold. */
type AnyTool = Tool<never>;

/** The tools that a model may call here, in the one order in which they are always sent. */
export class ToolRegistry {
  readonly #tools: ReadonlyMap<string, AnyTool>;
  /** As they go into a request's `tools`, after the client's own. Constant. */
  readonly definitions: readonly ToolDefinition[];

  constructor(tools: readonly AnyTool[]) {
    // A map and not an object: models call tools named `__proto__`, too.
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.definitions = tools.map(definitionOf);
  }

  /** Names in order. */
  get names(): readonly string[] {
    return [...this.#tools.keys()];
  }

  /** Whether a call is for one of these tools. */
  has(name: string): boolean {
    return this.#tools.has(name);
  }

  /** The same without some tools (a client has tools of these names itself). */
  without(names: ReadonlySet<string>): ToolRegistry {
    return new ToolRegistry([...this.#tools.values()].filter((tool) => !names.has(tool.name)));
  }

  /** A short text of what a call is about to do, for progress; the tool's name where its arguments are no good. */
  describe(call: FunctionCall, context: ToolContext): string {
    const found = this.#check(call);
    return found.ok ? found.tool.describe(found.args, context) : call.function.name;
  }

  /**
   * Runs a call and returns the text for the model, never empty. An unknown tool, arguments that are no JSON or do not fit
   * come back as one clear sentence.
   * @throws whatever the tool throws: its own failure
   */
  async run(call: FunctionCall, context: ToolContext): Promise<string> {
    const found = this.#check(call);
    return found.ok ? found.tool.run(found.args, context) : JSON.stringify({ error: found.fault });
  }

  #check(
    call: FunctionCall,
  ):
    | { readonly ok: true; readonly tool: AnyTool; readonly args: never }
    | { readonly ok: false; readonly fault: string } {
    const { name } = call.function;
    const tool = this.#tools.get(name);
    if (tool === undefined)
      return {
        ok: false,
        fault: `There is no tool ${JSON.stringify(name)}; there are ${this.names.join(', ')}.`,
      };
    const parsed = parseArguments(call.function.arguments);
    if (!parsed.ok)
      return {
        ok: false,
        fault: `The arguments of ${name} are not valid JSON (${parsed.reason}). Send one JSON object, such as ${exampleOf(tool)}.`,
      };
    const checked = tool.args.safeParse(parsed.value);
    if (checked.success) return { ok: true, tool, args: checked.data };
    return {
      ok: false,
      fault: `The arguments of ${name} do not fit: ${z.prettifyError(checked.error).replaceAll('\n', ' ')}. It takes ${signatureOf(tool)}.`,
    };
  }
}

/** The four tools that read the store. */
export const readingTools: readonly AnyTool[] = erased([
  getContextTool,
  searchTool,
  findTool,
  statsTool,
]);

/** All tools: reading, and the two that make it recursive. */
export const allTools: readonly AnyTool[] = [...readingTools, ...erased([queryTool, execTool])];

/** Lets tools with different arguments into one list; each checks its own before it runs. */
function erased(tools: readonly { readonly name: string }[]): readonly AnyTool[] {
  return tools as readonly AnyTool[];
}

function parseArguments(
  text: string,
):
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: string } {
  if (text.trim() === '') return { ok: true, value: {} };
  try {
    const value: unknown = JSON.parse(text);
    return { ok: true, value: value ?? {} };
  } catch (error) {
    return { ok: false, reason: (error as Error).message };
  }
}

function definitionOf(tool: AnyTool): ToolDefinition {
  const { $schema: _, ...parameters } = z.toJSONSchema(tool.args, { io: 'input' }) as Record<
    string,
    unknown
  >;
  return {
    type: 'function',
    function: { name: tool.name, description: tool.description, parameters },
  };
}

function schemaProperties(tool: AnyTool): Readonly<Record<string, { readonly type?: string }>> {
  const schema = z.toJSONSchema(tool.args, { io: 'input' }) as {
    properties?: Record<string, { type?: string }>;
  };
  return schema.properties ?? {};
}

function signatureOf(tool: AnyTool): string {
  const members = Object.entries(schemaProperties(tool)).map(
    ([name, { type }]) => `${name}${type === undefined ? '' : ` (${type})`}`,
  );
  return members.length === 0 ? 'no arguments' : members.join(', ');
}

function exampleOf(tool: AnyTool): string {
  const [first] = Object.entries(schemaProperties(tool));
  if (first === undefined) return '{}';
  return JSON.stringify({ [first[0]]: first[1].type === 'integer' ? 0 : '…' });
}
