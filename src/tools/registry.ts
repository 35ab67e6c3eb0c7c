import { z } from 'zod';
import { isObject } from '../wire/json.ts';
import type { FunctionCall, ToolDefinition } from '../wire/types.ts';
import { plainOwnName, readArguments, readArgumentText } from './call-door.ts';
import { execTool } from './programs/exec.ts';
import { findTool } from './searching/find.ts';
import { getContextTool } from './reading/get-context.ts';
import { queryTool } from './query/query.ts';
import { faultText } from './result-form.ts';
import { scopeName } from './linked/scope.ts';
import { searchTool } from './searching/search.ts';
import { statsTool } from './listing/stats.ts';
import type { Tool, ToolContext } from './tool.ts';

/** A tool with its argument type forgotten: what a list of tools can hold. */
type AnyTool = Tool<never>;

/** The tools that a model may call here, in the one order in which they are always sent. */
export class ToolRegistry {
  readonly #tools: ReadonlyMap<string, AnyTool>;
  readonly #isLinked: boolean;
  readonly #onRun: ((name: string) => void) | undefined;
  #linked: ToolRegistry | undefined;
  /** As they go into a request's `tools`, after the client's own. Constant. */
  readonly definitions: readonly ToolDefinition[];

  /**
   * `isLinked`: whether definitions say how linked stores are reached. Without, they are the same
   * bytes as if there were no links; calls are taken in the same way. `onRun` hears of each call,
   * by the plain name where it is one of ours, else by the one that the model wrote.
   */
  constructor(
    tools: readonly AnyTool[],
    { isLinked = false, onRun }: { isLinked?: boolean; onRun?: (name: string) => void } = {},
  ) {
    // A map and not an object: models call tools named `__proto__`, too.
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#isLinked = isLinked;
    this.#onRun = onRun;
    this.definitions = tools.map((tool) => definitionOf(tool, isLinked));
  }

  /** The same tools where no linked store can be reached: over a part of the context. */
  get unlinked(): ToolRegistry {
    return this.#isLinked ? this.#with([...this.#tools.values()], false) : this;
  }

  /** The same tools, for a chat whose store has links. */
  get linked(): ToolRegistry {
    if (this.#isLinked) return this;
    this.#linked ??= this.#with([...this.#tools.values()], true);
    return this.#linked;
  }

  /** Names in order. */
  get names(): readonly string[] {
    return [...this.#tools.keys()];
  }

  /** Whether there is a tool of exactly this name. */
  has(name: string): boolean {
    return this.#tools.has(name);
  }

  /**
   * Whether a call of this name is for us: one of these tools, however its name is decorated, or a
   * name that begins with our prefix, which a client could make nothing of. `offered` are the names
   * of all tools in the request: what is among them and not here, under that very name or under the
   * plain form of it, is the client's.
   */
  isOwn(name: string, offered: ReadonlySet<string> = nothingOffered): boolean {
    if (this.has(name)) return true;
    const plain = plainOwnName(name, this.names);
    if (plain === undefined || offered.has(name)) return false;
    return this.has(plain) || !offered.has(plain);
  }

  /** The same without some tools (a client has tools of these names itself). */
  without(names: ReadonlySet<string>): ToolRegistry {
    const left = [...this.#tools.values()].filter((tool) => !names.has(tool.name));
    return this.#with(left, this.#isLinked);
  }

  /** A model has begun to write a call of this name. */
  expect(name: string, context: ToolContext): void {
    this.#tools.get(name)?.expect?.(context);
  }

  /**
   * A short text of what a call is about to do, for progress; the tool's name where its arguments
   * are no good.
   */
  describe(call: FunctionCall, context: ToolContext): string {
    const found = this.#check(call);
    return found.ok ? found.tool.describe(found.args, context) : call.function.name;
  }

  /**
   * Runs a call and returns the text for the model, never empty. An unknown tool, arguments that
   * are not JSON or do not fit come back as one clear sentence.
   * @throws whatever the tool throws: its own failure
   */
  async run(call: FunctionCall, context: ToolContext): Promise<string> {
    const { name } = call.function;
    this.#onRun?.(plainOwnName(name, this.names) ?? name);
    const manual = this.#manualFor(call);
    if (manual !== undefined) return manual;
    const found = this.#check(call);
    if (!found.ok) return faultText(found.fault, context.form ?? 'text');
    const result = await found.tool.run(found.args, context);
    return found.notes.length === 0 ? result : withNotes(result, found.notes);
  }

  #with(tools: readonly AnyTool[], isLinked: boolean): ToolRegistry {
    const onRun = this.#onRun;
    return new ToolRegistry(tools, { isLinked, ...(onRun !== undefined && { onRun }) });
  }

  /** What a call asks for that asks for help. */
  #manualFor({ function: { name, arguments: text } }: FunctionCall): string | undefined {
    const tool = this.#tools.get(plainOwnName(name, this.names) ?? name);
    if (tool?.manual === undefined || !text.includes('help')) return undefined;
    const read = readArgumentText(text);
    const help = read.ok && isObject(read.value) ? read.value['help'] : undefined;
    return help === true || help === 'true' ? tool.manual : undefined;
  }

  #check(call: FunctionCall):
    | {
        readonly ok: true;
        readonly tool: AnyTool;
        readonly args: never;
        readonly notes: readonly string[];
      }
    | { readonly ok: false; readonly fault: string } {
    const { name } = call.function;
    const tool = this.#tools.get(plainOwnName(name, this.names) ?? name);
    if (tool === undefined)
      return {
        ok: false,
        fault: `There is no tool ${JSON.stringify(name)}; there are ${this.names.join(', ')}.`,
      };
    const checked = readArguments(call.function.arguments, tool);
    return checked.ok
      ? { ok: true, tool, args: checked.args as never, notes: checked.notes }
      : checked;
  }
}

const nothingOffered: ReadonlySet<string> = new Set();

/** What the arguments were taken for, in front of the result, which keeps its form. */
function withNotes(result: string, notes: readonly string[]): string {
  const said = notes.join(' ');
  return result.startsWith('{')
    ? `{"arguments_note":${JSON.stringify(said)},${result.slice(1)}`
    : `note: ${said}\n${result}`;
}

/**
 * A call of ours as it goes back upstream: as the model wrote it. Only what servers refuse to read
 * is made readable: arguments that are empty or say nothing become `{}` (the result says what was
 * wrong with them), and a name that the protocol does not allow (`functions.x`) loses its
 * decoration.
 */
export function sentBack(call: FunctionCall): FunctionCall {
  const { name, arguments: text } = call.function;
  const isReadable = text.trim() !== '' && readArgumentText(text).ok;
  const isAllowed = /^[a-zA-Z0-9_-]{1,64}$/.test(name);
  if (isReadable && isAllowed) return call;
  const called = {
    ...call.function,
    name: isAllowed ? name : (plainOwnName(name) ?? name),
    arguments: isReadable ? text : '{}',
  };
  return { ...call, function: called };
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

function definitionOf(tool: AnyTool, isLinked: boolean): ToolDefinition {
  const { $schema: _, ...parameters } = z.toJSONSchema(tool.args, { io: 'input' }) as {
    readonly $schema?: unknown;
    properties?: Record<string, unknown>;
  };
  if (!isLinked) {
    const { [scopeName]: __, ...others } = parameters.properties ?? {};
    parameters.properties = others;
  }
  if (tool.manual !== undefined)
    parameters.properties = { ...parameters.properties, help: { type: 'boolean' } };
  return {
    type: 'function',
    function: {
      name: tool.name,
      description: isLinked ? (tool.linkedDescription ?? tool.description) : tool.description,
      parameters: withoutNoise(parameters),
    },
  };
}

/** Limits that no model comes near: they are checked, not shown. */
const unshown: ReadonlySet<string> = new Set([
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'propertyNames',
]);

function isNoise(name: string, value: unknown): boolean {
  return (
    unshown.has(name) ||
    (name === 'minimum' && Number(value) <= 1) ||
    (name === 'maximum' && Number(value) >= Number.MAX_SAFE_INTEGER)
  );
}

/** A schema as models see it, without what tells them nothing. */
function withoutNoise(schema: object): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(schema, (name, value: unknown) => (isNoise(name, value) ? undefined : value)),
  ) as Record<string, unknown>;
}
