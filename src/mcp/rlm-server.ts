import { type CallToolResult, Server, type ServerContext } from '@modelcontextprotocol/server';
import type { Clock } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { HttpRequest } from './http-request.ts';
import { listResources, readResource, templates } from './resources.ts';
import type { AskStores, StoreChoice } from './stores.ts';

/** What a server of the Model Context Protocol is made of. */
export interface RlmServerParts {
  readonly version: string;
  readonly clock: Clock;
  readonly ask: AskStores;
  /** Which store is meant, where the client's roots do not say it. */
  readonly choice: StoreChoice | undefined;
  /** Whether the roots of the client's workspace come before {@link choice}. */
  readonly usesRoots: boolean;
}

/** Longest search, milliseconds: clients give a call up after a minute. */
const searchMs = 45_000;

/** Longest result, characters: as chats have it by default. */
const maxResultChars = 60_000;

/** So long a client may take to name its roots, milliseconds. */
const rootsMs = 3_000;

/** Between two signs of life of a call, milliseconds: less than clients wait. */
const tickMs = 5_000;

const instructions =
  'This is the memory of the project that you work in: tool outputs, files and earlier work of its chats, stored whole. Look here before you say that something is not known: rlm_stats says what there is, rlm_search and rlm_find search all of it, rlm_get_context opens a place. Ids such as e12 name stored texts (entries); each is a resource, too.';

const titles: Readonly<Record<string, string>> = {
  rlm_get_context: 'Read stored text',
  rlm_search: 'Search what is stored',
  rlm_find: 'Find a text',
  rlm_stats: 'What is stored',
};

/**
 * A server of the Model Context Protocol over the stores of a project: the tools that read, and the
 * entries as resources. For one connection.
 */
export function createRlmServer(parts: RlmServerParts): Server {
  const server = new Server(
    { name: 'rlm-opencode', title: 'RLM-OpenCode', version: parts.version },
    { capabilities: { tools: {}, resources: {} }, instructions },
  );
  const place = new Place(parts, server);
  server.setRequestHandler('tools/list', async (_, ctx) => {
    const { tools } = (await parts.ask('reading-tools', await place.choice(ctx), {
      signal: signalOf(ctx),
    })) as { readonly tools: readonly OfferedTool[] };
    return { tools: tools.map(toolOf) };
  });
  server.setRequestHandler('tools/call', async ({ params }, ctx) => {
    try {
      return await callTool(parts, await place.choice(ctx), params, ctx);
    } catch (caught) {
      const signal = signalOf(ctx);
      if (signal.aborted) throw toProxyError(signal.reason);
      const { message, parts: more } = toProxyError(caught);
      return textResult([message, more.hint].filter(Boolean).join('\n'), true);
    }
  });
  server.setRequestHandler('resources/list', async ({ params }, ctx) =>
    listResources(parts.ask, await place.choice(ctx), params?.cursor, signalOf(ctx)),
  );
  server.setRequestHandler('resources/templates/list', () => ({
    resourceTemplates: [...templates],
  }));
  server.setRequestHandler('resources/read', async ({ params }, ctx) =>
    readResource(parts.ask, await place.choice(ctx), params.uri, signalOf(ctx)),
  );
  server.setNotificationHandler('notifications/roots/list_changed', () => place.forget());
  return server;
}

/** Ends the work on a request: it is cancelled or, over HTTP, its client is gone. */
function signalOf({ mcpReq: { signal }, http }: ServerContext): AbortSignal {
  return http?.req instanceof HttpRequest ? AbortSignal.any([signal, http.req.work]) : signal;
}

/** A tool as models are offered it. */
interface OfferedTool {
  readonly function: {
    readonly name: string;
    readonly description: string;
    readonly parameters: object;
  };
}

function toolOf({ function: { name, description, parameters } }: OfferedTool): {
  name: string;
  title: string;
  description: string;
  inputSchema: { type: 'object' };
  annotations: object;
} {
  return {
    name,
    title: titles[name] ?? name,
    description,
    inputSchema: { ...(portable(parameters) as object), type: 'object' },
    annotations: { readOnlyHint: true, idempotentHint: true, openWorldHint: false },
  };
}

/** Without lists of types, which some providers' models do not take: each is a branch instead. */
function portable(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(portable);
  if (!isObject(schema)) return schema;
  const { type, ...others } = Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [name, portable(value)]),
  );
  if (Array.isArray(type)) return { ...others, anyOf: type.map((one: unknown) => ({ type: one })) };
  return type === undefined ? others : { type, ...others };
}

function textResult(text: string, isError: boolean): CallToolResult {
  return { content: [{ type: 'text', text }], ...(isError && { isError }) };
}

async function callTool(
  { ask, clock }: RlmServerParts,
  choice: StoreChoice,
  {
    name,
    arguments: given = {},
  }: { name: string; arguments?: Record<string, unknown> | undefined },
  ctx: ServerContext,
): Promise<CallToolResult> {
  const signal = signalOf(ctx);
  using teller = new Teller(ctx, clock);
  const answer = await ask(
    'tool',
    {
      ...choice,
      name,
      arguments: given,
      form: 'text',
      maxResultChars,
      deadlineMs: searchMs,
      tells: true,
    },
    { signal, onProgress: (said) => teller.say(said) },
  );
  if (!isObject(answer)) return textResult(nothingStored(choice), false);
  const text = String(answer['text']);
  const fields = given['format'] === 'json' ? parseJson(text) : undefined;
  if (!isObject(fields)) return textResult(text, text.startsWith('error: '));
  const isError = typeof fields['error'] === 'string';
  return { ...textResult(text, isError), structuredContent: { ...fields } };
}

/** What a model is told of a project of which nothing is stored. */
function nothingStored({ directory, project, session }: StoreChoice): string {
  return `Nothing is stored for ${directory ?? project ?? session} yet, so there is nothing to search or read. Texts come by themselves from chats that go through the proxy (a person starts them with \`rlm-opencode opencode\`, \`codex\`, \`claude\` or \`qwen\`); files go in with \`rlm-opencode ingest PATH\`. \`rlm-opencode sessions\` lists the projects that have a store.`;
}

/** Tells a client that wants it how far a call is; a sign of life while it takes long. */
class Teller implements Disposable {
  readonly #ctx: ServerContext;
  #count = 0;
  #text = '';
  readonly #clock: Clock;
  #cancel: () => void = () => undefined;

  constructor(ctx: ServerContext, clock: Clock) {
    this.#ctx = ctx;
    this.#clock = clock;
    if (ctx.mcpReq._meta?.progressToken !== undefined) this.#tick();
  }

  #tick(): void {
    this.#cancel = this.#clock.after(tickMs, () => {
      void this.#send();
      this.#tick();
    });
  }

  async say(said: unknown): Promise<void> {
    this.#text = isObject(said) ? String(said['text']) : '';
    await this.#send();
  }

  async #send(): Promise<void> {
    const progressToken = this.#ctx.mcpReq._meta?.progressToken;
    if (progressToken === undefined) return;
    this.#count += 1;
    const params = { progressToken, progress: this.#count, message: this.#text };
    // Who is gone needs no progress; the call itself ends by its signal.
    await this.#ctx.mcpReq.notify({ method: 'notifications/progress', params }).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}

/** Which store the connection is about. */
class Place {
  readonly #parts: RlmServerParts;
  readonly #server: Server;
  #roots: Promise<readonly string[]> | undefined;

  constructor(parts: RlmServerParts, server: Server) {
    this.#parts = parts;
    this.#server = server;
  }

  /** The client has other roots now. */
  forget(): void {
    this.#roots = undefined;
  }

  /** @throws ProxyError `invalid_request` where nothing says which */
  async choice(ctx: ServerContext): Promise<StoreChoice> {
    const { choice, usesRoots, ask } = this.#parts;
    const roots = usesRoots ? await (this.#roots ??= this.#ask(ctx)) : [];
    const choices = roots.map((directory) => ({ directory, climb: true }));
    for (const one of choices.length > 1 ? choices : []) {
      const found = await ask('reading-tools', one, { signal: signalOf(ctx) });
      if (isObject(found) && found['session'] !== undefined) return one;
    }
    const chosen = choices[0] ?? choice;
    if (chosen !== undefined) return chosen;
    throw new ProxyError('invalid_request', 'Nothing says which project is meant.', {
      hint: 'Send the header x-rlm-directory with the absolute path of the project (x-rlm-project with its name where stores are shared), or declare the roots of the workspace.',
    });
  }

  async #ask(ctx: ServerContext): Promise<readonly string[]> {
    // oxlint-disable-next-line typescript/no-deprecated -- clients of the older protocol have roots
    if (this.#server.getClientCapabilities()?.roots === undefined) return [];
    try {
      const { roots } = await ctx.mcpReq.send({ method: 'roots/list' }, { timeout: rootsMs });
      return roots.flatMap(({ uri }) => pathOf(uri));
    } catch {
      // A client that cannot say it, or of a protocol that asks no client, has none.
      return [];
    }
  }
}

/** The directory of a root; none where it is no file of this machine. */
function pathOf(uri: string): readonly string[] {
  if (!uri.startsWith('file://')) return [];
  try {
    const path = decodeURIComponent(new URL(uri).pathname);
    return [path.length > 1 ? path.replace(/\/$/, '') : path];
  } catch {
    return [];
  }
}
