/** The ways in which clients of the Messages API ask, each telling in the same words what it saw. */
import { Anthropic, APIError } from '@anthropic-ai/sdk';
import type {
  Message,
  MessageCreateParamsNonStreaming,
  Tool,
} from '@anthropic-ai/sdk/resources/messages';
import type { ChatClient, Seen, Where } from './chat-clients.ts';
import { readMessageEvents } from './message-events.ts';

const lookup: Tool = {
  name: 'lookup',
  description: 'Looks a city up.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
};

/** The question. The tool is never run: what is looked at is the call. */
const question: Omit<MessageCreateParamsNonStreaming, 'model'> = {
  messages: [{ role: 'user', content: 'Where?' }],
  tools: [lookup],
  max_tokens: 8_000,
  thinking: { type: 'adaptive' },
};

const nothing = { text: '', reasoning: '', calls: [] };

const finishes: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  tool_use: 'tool_calls',
  max_tokens: 'length',
  refusal: 'content_filter',
};

async function ask({ baseURL, model }: Where, stream: boolean): Promise<Seen> {
  const response = await fetch(`${baseURL}/messages?beta=true`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({ model, stream, ...question }),
  });
  if (!response.ok) {
    const { error } = (await response.json()) as { error: { type: string; message: string } };
    return { ...nothing, error: { ...coded(error), status: response.status } };
  }
  if (!stream) return seenIn((await response.json()) as Message);
  const { message, error } = readMessageEvents(await response.text());
  const seen = message === undefined ? nothing : seenIn(message);
  return error === undefined ? seen : { ...seen, error: coded(error) };
}

function coded({ type, message }: { readonly type: string; readonly message: string }): {
  readonly message: string;
  readonly code: string;
} {
  return { message, code: type };
}

function seenIn({ content, stop_reason: reason, usage }: Message): Seen {
  const seen = {
    text: '',
    reasoning: '',
    calls: [] as { id: string; name: string; arguments: string }[],
  };
  for (const block of content) {
    if (block.type === 'thinking') seen.reasoning += block.thinking;
    if (block.type === 'text') seen.text += block.text;
    if (block.type === 'tool_use')
      seen.calls.push({ id: block.id, name: block.name, arguments: argumentsIn(block.input) });
  }
  const { input_tokens: input, cache_read_input_tokens: read } = usage;
  const promptTokens = input + (read ?? 0);
  return {
    ...seen,
    ...(reason === null ? {} : { finish: finishes[reason] ?? reason }),
    ...(promptTokens === 0 ? {} : { promptTokens }),
  };
}

/** A call that was cut within its arguments has them as a text. */
function argumentsIn(input: unknown): string {
  if (typeof input === 'string') return input;
  const { arguments_text: text, ...others } = input as Readonly<Record<string, unknown>>;
  const isText = typeof text === 'string' && Object.keys(others).length === 0;
  return isText ? text : JSON.stringify(input);
}

function anthropic({ baseURL }: Where): Anthropic {
  return new Anthropic({ baseURL: baseURL.replace(/\/v1$/, ''), apiKey: 'any', maxRetries: 0 });
}

async function withSdk(make: () => Promise<Message>): Promise<Seen> {
  try {
    return seenIn(await make());
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    const { message, type, status } = error as { message: string; type: string; status?: number };
    return {
      ...nothing,
      error: { message, code: type, ...(status === undefined ? {} : { status }) },
    };
  }
}

/** All of them. */
export const messageClients: readonly ChatClient[] = [
  { name: 'messages, streaming', parsesArguments: true, ask: async (where) => ask(where, true) },
  {
    name: 'messages',
    isWhole: true,
    parsesArguments: true,
    ask: async (where) => ask(where, false),
  },
  {
    name: '@anthropic-ai/sdk, messages.stream',
    parsesArguments: true,
    dropsCutMembers: true,
    ask: async (where) => {
      const helper = anthropic(where).messages.stream({ model: where.model, ...question });
      let last: Message | undefined;
      helper.on('streamEvent', (_event, snapshot) => (last = snapshot));
      const seen = await withSdk(async () => helper.finalMessage());
      if (seen.error === undefined || last === undefined) return seen;
      // A helper that fails has shown what had come by then.
      const { finish: _, promptTokens: __, ...before } = seenIn(last);
      return { ...before, error: seen.error };
    },
  },
  {
    name: '@anthropic-ai/sdk, messages.create',
    isWhole: true,
    parsesArguments: true,
    ask: async (where) =>
      withSdk(async () => anthropic(where).messages.create({ model: where.model, ...question })),
  },
];
