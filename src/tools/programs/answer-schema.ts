import { z } from 'zod';
import { readAlmostJson } from '../almost-json.ts';

/** Reads answers by a schema: the value, or what is wrong with the answer. */
export type AnswerCheck = (
  answer: string,
) =>
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: string };

/** The types that a short schema may name. */
const types: ReadonlySet<string> = new Set([
  'string',
  'number',
  'integer',
  'boolean',
  'array',
  'object',
  'null',
]);

/**
 * Makes a check of a JSON schema, or of the short form that models write: `{ name: 'string', year:
 * 'number', tags: ['string'] }`. A text says why the schema cannot be used.
 */
export function answerCheck(schema: unknown): AnswerCheck | string {
  let check: z.ZodType;
  try {
    check = z.fromJSONSchema(fullSchema(schema) as Parameters<typeof z.fromJSONSchema>[0]);
  } catch (error) {
    return `the schema cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  }
  return (answer) => {
    const read = readAlmostJson(withoutFence(answer));
    if (!read.ok) return { ok: false, fault: `no JSON (${read.reason})` };
    const checked = check.safeParse(read.value);
    if (checked.success) return { ok: true, value: checked.data };
    return { ok: false, fault: z.prettifyError(checked.error).replaceAll(/\s+/g, ' ') };
  };
}

/** The schema as it is told to the model that answers. */
export function fullSchema(schema: unknown): unknown {
  if (typeof schema === 'string' && types.has(schema)) return { type: schema };
  if (Array.isArray(schema)) return { type: 'array', items: fullSchema(schema[0] ?? {}) };
  if (schema === null || typeof schema !== 'object') return schema;
  const members = Object.entries(schema);
  const isFull = ['type', 'properties', 'anyOf', 'oneOf', 'allOf', 'enum', 'const', '$ref'].some(
    (name) => name in schema && !(name === 'type' && !types.has(String(Reflect.get(schema, name)))),
  );
  if (isFull || members.length === 0) return schema;
  return {
    type: 'object',
    properties: Object.fromEntries(members.map(([name, one]) => [name, fullSchema(one)])),
    required: members.map(([name]) => name),
  };
}

/** An answer is often put between the marks of a code block. */
function withoutFence(answer: string): string {
  return /^\s*```\w*\n([\s\S]*?)\n?```\s*$/.exec(answer)?.[1] ?? answer;
}
