/** The ways in which clients of the Responses API ask, each telling in the same words what it saw. */
import { APIError, OpenAI } from 'openai';
import type { Response, Tool } from 'openai/resources/responses/responses';
import type { ChatClient, Seen, Where } from './chat-clients.ts';
import { errorSchema } from './openai-schema.ts';
import { readResponseEvents } from './response-events.ts';

const lookup: Tool = {
  type: 'function',
  name: 'lookup',
  description: 'Looks a city up.',
  strict: false,
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
};

/** The question. The tool is never run: what is looked at is the call. */
const question = { input: 'Where?', tools: [lookup] };

const nothing = { text: '', reasoning: '', calls: [] };

async function ask(
  { baseURL, model }: Where,
  stream: boolean,
  headers: Readonly<Record<string, string>> = {},
): Promise<Seen> {
  const response = await fetch(`${baseURL}/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, stream, ...question }),
  });
  if (!response.ok) {
    const { error } = errorSchema.parse(await response.json());
    const { message, code } = error;
    return { ...nothing, error: { message, code: code ?? '', status: response.status } };
  }
  if (!stream) return seenIn((await response.json()) as Response);
  return seenIn(readResponseEvents(await response.text()).response);
}

function seenIn({ output, status, incomplete_details: details, usage, error }: Response): Seen {
  const seen = {
    text: '',
    reasoning: '',
    calls: [] as { id: string; name: string; arguments: string }[],
  };
  for (const item of output) {
    if (item.type === 'reasoning') seen.reasoning += item.summary.map(({ text }) => text).join('');
    if (item.type === 'message')
      for (const part of item.content)
        seen.text += part.type === 'output_text' ? part.text : part.refusal;
    if (item.type === 'function_call')
      seen.calls.push({ id: item.call_id, name: item.name, arguments: item.arguments });
  }
  const reason = details?.reason === 'max_output_tokens' ? 'length' : details?.reason;
  const finish = status === 'completed' ? (seen.calls.length > 0 ? 'tool_calls' : 'stop') : reason;
  return {
    ...seen,
    ...(finish === undefined ? {} : { finish }),
    ...(usage === undefined || usage === null ? {} : { promptTokens: usage.input_tokens }),
    ...(error === null || error === undefined
      ? {}
      : { error: { message: error.message, code: error.code } }),
  };
}

function openAI({ baseURL }: Where): OpenAI {
  return new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0 });
}

async function withSdk(make: () => Promise<Response>): Promise<Seen> {
  try {
    return seenIn(await make());
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    const { message, code, status } = error as { message: string; code?: string; status: number };
    return { ...nothing, error: { message, code: code ?? '', status } };
  }
}

/** Codex wants failures inside the stream. */
const codexHeaders = {
  originator: 'codex_exec',
  'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64)',
};

/** All of them. */
export const responseClients: readonly ChatClient[] = [
  { name: 'responses, streaming', ask: async (where) => ask(where, true) },
  { name: 'responses', isWhole: true, ask: async (where) => ask(where, false) },
  {
    name: 'responses, as Codex',
    failsInStream: true,
    ask: async (where) => ask(where, true, codexHeaders),
  },
  {
    name: 'openai, responses.stream',
    ask: async (where) =>
      withSdk(async () => {
        const helper = openAI(where).responses.stream({ model: where.model, ...question });
        return helper.finalResponse() as Promise<unknown> as Promise<Response>;
      }),
  },
  {
    name: 'openai, responses.create',
    isWhole: true,
    ask: async (where) =>
      withSdk(async () => openAI(where).responses.create({ model: where.model, ...question })),
  },
];
