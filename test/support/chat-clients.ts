/**
 * Real clients, each asked the same question and each telling in the same words what it saw. What
 * they disagree on is theirs; what they must agree on is the proxy's.
 */
import { APIError, OpenAI } from 'openai';
import type { ChatCompletion } from 'openai/resources/chat/completions';
import { type AiCall, generateWithAiSdk, streamWithAiSdk } from './ai-sdk.js';
import { completionSchema, errorSchema, readStrictly } from './openai-schema.ts';

const lookup = {
  name: 'lookup',
  description: 'Looks a city up.',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
};

/** The question. The tool is never run: what is looked at is the call. */
const question = {
  messages: [{ role: 'user' as const, content: 'Where?' }],
  tools: [{ type: 'function' as const, function: lookup }],
};

/** A call as a client puts it together. */
interface Call {
  id: string;
  name: string;
  arguments: string;
}

/** What a client saw. */
export interface Seen {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly Call[];
  readonly finish?: string;
  readonly promptTokens?: number;
  readonly error?: {
    readonly message: string;
    /** The HTTP status; absent when the failure came inside the stream. */
    readonly status?: number;
    readonly code?: string;
  };
}

/** The proxy, and the name of the model to ask for. */
export interface Where {
  readonly baseURL: string;
  readonly model: string;
}

/** One way of asking. */
export interface ChatClient {
  readonly name: string;
  /** The answer's arguments come parsed and written anew. */
  readonly parsesArguments?: boolean;
  /** Of arguments that were cut off it shows the members that are whole. */
  readonly dropsCutMembers?: boolean;
  /** A failure after the beginning of the answer reaches this client as an HTTP status. */
  readonly isWhole?: boolean;
  /** Every failure that asking again at once may or may not mend comes inside the stream. */
  readonly failsInStream?: boolean;
  ask(where: Where): Promise<Seen>;
}

const nothing = { text: '', reasoning: '', calls: [] };

async function post({ baseURL, model }: Where, more: object): Promise<Response> {
  return fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, ...question, ...more }),
  });
}

async function httpError(response: Response): Promise<Seen> {
  const { error } = errorSchema.parse(await response.json());
  return {
    ...nothing,
    error: { message: error.message, code: error.code ?? '', status: response.status },
  };
}

async function askRawStream(where: Where): Promise<Seen> {
  const response = await post(where, { stream: true, stream_options: { include_usage: true } });
  if (!response.ok) return httpError(response);
  const { chunks, error } = readStrictly(await response.text());
  const seen = {
    text: '',
    reasoning: '',
    calls: [] as Call[],
  };
  let finish: string | undefined;
  for (const { choices } of chunks) {
    const [choice] = choices;
    if (choice === undefined) continue;
    const { delta } = choice;
    seen.text += (delta.content ?? '') + (delta.refusal ?? '');
    seen.reasoning += String(delta['reasoning_content'] ?? delta['reasoning'] ?? '');
    for (const { index, id, function: piece } of delta.tool_calls ?? []) {
      const call = (seen.calls[index] ??= { id: id ?? '', name: piece.name ?? '', arguments: '' });
      call.arguments += piece.arguments ?? '';
    }
    finish = choice.finish_reason ?? finish;
  }
  const usage = chunks.at(-1)?.usage;
  return {
    ...seen,
    ...(finish === undefined ? {} : { finish }),
    ...(usage === undefined || usage === null ? {} : { promptTokens: usage.prompt_tokens }),
    ...(error === undefined ? {} : { error: { message: error.message, code: error.code ?? '' } }),
  };
}

async function askRawJson(where: Where): Promise<Seen> {
  const response = await post(where, {});
  if (!response.ok) return httpError(response);
  return fromCompletion(completionSchema.parse(await response.json()) as unknown as ChatCompletion);
}

function fromCompletion({ choices, usage }: ChatCompletion): Seen {
  const { message, finish_reason: finish } = choices[0]!;
  const more = message as unknown as Readonly<Record<string, unknown>>;
  return {
    text: (message.content ?? '') + (message.refusal ?? ''),
    reasoning: String(more['reasoning_content'] ?? more['reasoning'] ?? ''),
    calls: (message.tool_calls ?? []).map((call) => {
      if (call.type !== 'function') throw new Error(`A call of the type ${call.type}.`);
      return { id: call.id, name: call.function.name, arguments: call.function.arguments };
    }),
    finish,
    ...(usage === undefined ? {} : { promptTokens: usage.prompt_tokens }),
  };
}

function openAI({ baseURL }: Where): OpenAI {
  return new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0 });
}

function openAIError(error: unknown): Seen {
  if (!(error instanceof APIError)) throw error;
  const status = error.status as number | undefined;
  return {
    ...nothing,
    error: {
      message: error.message,
      code: error.code ?? '',
      ...(status === undefined ? {} : { status }),
    },
  };
}

async function askOpenAIStream(where: Where): Promise<Seen> {
  const seen = {
    text: '',
    reasoning: '',
    calls: [] as Call[],
  };
  let finish: string | undefined;
  let promptTokens: number | undefined;
  try {
    const stream = await openAI(where).chat.completions.create({
      ...question,
      model: where.model,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const { choices, usage } of stream) {
      promptTokens = usage?.prompt_tokens ?? promptTokens;
      const [choice] = choices;
      if (choice === undefined) continue;
      const more = choice.delta as Readonly<Record<string, unknown>>;
      seen.text += (choice.delta.content ?? '') + (choice.delta.refusal ?? '');
      seen.reasoning += String(more['reasoning_content'] ?? more['reasoning'] ?? '');
      for (const { index, id, function: piece } of choice.delta.tool_calls ?? []) {
        const call = (seen.calls[index] ??= {
          id: id ?? '',
          name: piece?.name ?? '',
          arguments: '',
        });
        call.arguments += piece?.arguments ?? '';
      }
      finish = choice.finish_reason ?? finish;
    }
  } catch (error) {
    return { ...openAIError(error), ...seen };
  }
  return {
    ...seen,
    ...(finish === undefined ? {} : { finish }),
    ...(promptTokens === undefined ? {} : { promptTokens }),
  };
}

async function askOpenAIHelper(where: Where): Promise<Seen> {
  const helper = openAI(where).chat.completions.stream({
    ...question,
    model: where.model,
    stream_options: { include_usage: true },
  });
  const seen = { ...nothing };
  helper.on('content', (piece) => {
    seen.text += piece;
  });
  try {
    const { reasoning: _, ...whole } = fromCompletion(await helper.finalChatCompletion());
    // The helper keeps only the last piece of the reasoning.
    return { ...whole, reasoning: '' };
  } catch (error) {
    return { ...openAIError(error), text: seen.text };
  }
}

async function askOpenAIJson(where: Where): Promise<Seen> {
  try {
    return fromCompletion(
      await openAI(where).chat.completions.create({ ...question, model: where.model }),
    );
  } catch (error) {
    return openAIError(error);
  }
}

const aiQuestion = { prompt: 'Where?', tools: { lookup } };

function aiError(error: unknown): NonNullable<Seen['error']> {
  const { message, statusCode, responseBody, data } = error as {
    message: string;
    statusCode?: number;
    responseBody?: string;
    data?: { error?: { code?: unknown } };
  };
  // A failure inside the stream is the error frame's own message.
  if (typeof error === 'string') return { message: error };
  const body = responseBody === undefined ? data : (JSON.parse(responseBody) as typeof data);
  const code = body?.error?.code;
  return {
    message,
    ...(statusCode === undefined ? {} : { status: statusCode }),
    ...(typeof code === 'string' ? { code } : {}),
  };
}

async function askAiStream(where: Where): Promise<Seen> {
  const seen = { text: '', reasoning: '', calls: [] as Call[] };
  let error: Seen['error'];
  let ending: { finish?: string; promptTokens?: number } = {};
  for await (const part of streamWithAiSdk({ ...aiQuestion, ...where })) {
    if (part.type === 'text-delta') seen.text += part.text;
    if (part.type === 'reasoning-delta') seen.reasoning += part.text;
    if (part.type === 'tool-call') seen.calls.push(aiCall(part));
    if (part.type === 'error') error ??= aiError(part.error);
    if (part.type === 'finish') {
      const { finishReason, totalUsage } = part;
      ending = { finish: aiFinish(finishReason), ...tokensOf(totalUsage) };
    }
  }
  return error === undefined ? { ...seen, ...ending } : { ...seen, error };
}

async function askAiText(where: Where): Promise<Seen> {
  try {
    const answer = await generateWithAiSdk({ ...aiQuestion, ...where });
    return {
      text: answer.text,
      reasoning: answer.reasoningText ?? '',
      calls: answer.toolCalls.map((call) => aiCall(call)),
      finish: aiFinish(answer.finishReason),
      ...tokensOf(answer.usage),
    };
  } catch (caught) {
    return { ...nothing, error: aiError(caught) };
  }
}

function aiCall({ toolCallId, toolName, input }: AiCall): Call {
  const json = typeof input === 'string' ? input : JSON.stringify(input);
  return { id: toolCallId, name: toolName, arguments: json };
}

function tokensOf({ inputTokens }: { readonly inputTokens?: number }): { promptTokens?: number } {
  return inputTokens === undefined ? {} : { promptTokens: inputTokens };
}

/** The AI SDK's words for OpenAI's. */
function aiFinish(reason: string): string {
  return reason.replace('-', '_');
}

/** All of them, streaming and not. */
export const chatClients: readonly ChatClient[] = [
  { name: 'fetch, streaming', ask: askRawStream },
  { name: 'fetch', isWhole: true, ask: askRawJson },
  { name: 'openai, streaming', ask: askOpenAIStream },
  { name: 'openai, stream helper', ask: askOpenAIHelper },
  { name: 'openai', isWhole: true, ask: askOpenAIJson },
  { name: 'ai, streamText', parsesArguments: true, ask: askAiStream },
  { name: 'ai, generateText', parsesArguments: true, isWhole: true, ask: askAiText },
];
