import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import type { Envelope, Message } from './types.ts';

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
    type: z.string('must be a string').optional(),
    function: z
      .looseObject(
        { name: z.string('must be a string'), arguments: z.string('must be a string') },
        'must be an object',
      )
      .nullish(),
    // OpenAI's custom calls have this instead of a function; calls of other kinds have neither.
    custom: z
      .looseObject(
        { name: z.string('must be a string'), input: z.string('must be a string') },
        'must be an object',
      )
      .nullish(),
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

const envelopeSchema = z.looseObject(
  {
    model: z.string('must be a string').min(1, 'must not be empty'),
    stream: flag,
    stream_options: z.looseObject({ include_usage: flag }, 'must be an object').nullish(),
    tools: z.array(tool, 'must be a list').nullish(),
    n: z
      .int('must be a whole number')
      .min(1, 'must be at least 1')
      .max(128, 'must be at most 128')
      .nullish(),
  },
  'must be a JSON object',
);

/**
 * Checks everything of a parsed JSON body but its messages, and hands back the same members:
 * unknown ones, their order and every text stay as they came. Only what this program itself relies
 * on is checked; the rest is the upstream's business.
 * @throws ProxyError `invalid_request`, naming the member at fault
 */
export function parseEnvelope(body: Readonly<Record<string, unknown>>): Envelope {
  const checked = envelopeSchema.safeParse(body);
  if (!checked.success) throw requestFault(checked.error);
  // The client's own value, because zod's copy has its members in another order. Nulls, which some
  // clients write where they mean nothing, are the one difference from the type.
  const { messages: _, ...all } = body as Envelope & { readonly messages?: unknown };
  if (all.tools !== null) return all;
  const { tools: __, ...rest } = all;
  return rest;
}

/**
 * Checks one message, the one at index `at` of the request, and hands it back as it came.
 * @throws ProxyError `invalid_request`, naming the member at fault
 */
export function parseMessage(value: unknown, at: number): Message {
  const checked = message.safeParse(value);
  if (!checked.success) throw requestFault(checked.error, ['messages', at]);
  checkParts(checked.data, at);
  return dropNullCalls(value as Message);
}

/**
 * The same message, but for a `tool_calls: null` that some clients write and some upstreams refuse.
 */
export function dropNullCalls(message: Message): Message {
  const { tool_calls: calls, ...others } = message as Message & { tool_calls?: unknown };
  return calls === null ? others : message;
}

/** Apart from the schema, so that plain texts cost no list of parts. */
function checkParts({ content }: { readonly content?: unknown }, at: number): void {
  if (!Array.isArray(content)) return;
  const checked = z.array(contentPart).safeParse(content);
  if (!checked.success) throw requestFault(checked.error, ['messages', at, 'content']);
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
