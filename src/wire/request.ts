import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import type { ChatRequest } from './types.ts';

const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function'] as const;

const contentPart = z.looseObject(
  {
    type: z.string('must be a string'),
    text: z.string('must be a string').optional(),
  },
  'must be an object',
);

const toolCall = z.looseObject(
  {
    id: z.string('must be a string'),
    // OpenAI's `custom` calls have no function.
    function: z
      .looseObject(
        { name: z.string('must be a string'), arguments: z.string('must be a string') },
        'must be an object',
      )
      .optional(),
  },
  'must be an object',
);

const message = z
  .looseObject(
    {
      role: z.enum(roles, `must be one of ${roles.join(', ')}`),
      content: z
        .union(
          [z.string(), z.array(z.unknown()), z.null()],
          'must be a string, a list of content parts, or null',
        )
        .optional(),
      tool_calls: z.array(toolCall, 'must be a list').nullish(),
      tool_call_id: z.string('must be a string').nullish(),
      name: z.string('must be a string').nullish(),
    },
    'must be an object',
  )
  .refine((value) => value.role !== 'tool' || typeof value.tool_call_id === 'string', {
    path: ['tool_call_id'],
    error: 'must be a string: a message of the role tool answers a call',
  });

const tool = z.looseObject(
  {
    type: z.string('must be a string'),
    function: z
      .looseObject(
        {
          name: z.string('must be a string').min(1, 'must not be empty'),
          description: z.string('must be a string').nullish(),
        },
        'must be an object',
      )
      .optional(),
  },
  'must be an object',
);

const flag = z.boolean('must be true or false').nullish();

const requestSchema = z.looseObject(
  {
    model: z.string('must be a string').min(1, 'must not be empty'),
    messages: z.array(message, 'must be a list').min(1, 'must hold at least one message'),
    stream: flag,
    stream_options: z.looseObject({ include_usage: flag }, 'must be an object').nullish(),
    tools: z.array(tool, 'must be a list').nullish(),
    n: z.literal(1, 'must be 1: one answer is made at a time').nullish(),
  },
  'must be a JSON object',
);

/**
 * Checks a parsed JSON body and hands back the same object: unknown members, their order and every text stay as they
 * came, and nothing is copied. Only what this program itself relies on is checked; the rest is the upstream's business.
 * @throws ProxyError `invalid_request`, naming the member at fault
 */
export function parseChatRequest(body: unknown): ChatRequest {
  const checked = requestSchema.safeParse(body);
  if (!checked.success) throw requestFault(checked.error);
  checkParts(checked.data.messages);
  // The client's own value, because zod's copy has its members in another order. The schema is that of ChatRequest but
  // for the nulls, which some clients write where they mean nothing.
  return withoutNulls(body as ChatRequest);
}

function withoutNulls(request: ChatRequest): ChatRequest {
  const { tools, ...rest } = request;
  const plain: ChatRequest = tools === null ? rest : request;
  if (!plain.messages.some((message) => message.tool_calls === null)) return plain;
  const messages = plain.messages.map((message) => {
    const { tool_calls: calls, ...others } = message;
    return calls === null ? others : message;
  });
  return { ...plain, messages };
}

/** Apart from the schema, so that long histories of plain texts cost no list of parts. */
function checkParts(messages: readonly { readonly content?: unknown }[]): void {
  for (const [at, { content }] of messages.entries()) {
    if (!Array.isArray(content)) continue;
    const checked = z.array(contentPart).safeParse(content);
    if (!checked.success) throw requestFault(checked.error, ['messages', at, 'content']);
  }
}

function requestFault(error: z.ZodError, prefix: readonly PropertyKey[] = []): ProxyError {
  const [issue] = error.issues;
  const param = pathText([...prefix, ...(issue?.path ?? [])]);
  const problem = issue?.message ?? 'is not valid';
  const subject = param === '' ? 'The body' : param;
  const parts = param === '' ? {} : { param };
  return new ProxyError('invalid_request', `${subject} ${problem}.`, parts);
}

function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}
