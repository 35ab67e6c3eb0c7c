import { readsErrorWords } from '../clients/known-clients.ts';
import { errorTable, type ProxyError } from '../errors.ts';
import { calmText } from './calm-text.ts';
import { isTooDeep } from './json-depth.ts';
import { isObject, nonEmptyText, parseJson, type JsonObject } from './json.ts';

/** OpenAI's error answer. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** What an upstream said about a failure, in whatever form it said it. */
export interface UpstreamFault {
  readonly message: string;
  /** Numbers are turned into text. */
  readonly code?: string;
  readonly type?: string;
  readonly param?: string;
}

/**
 * How the failure reads for this client. OpenCode repeats a request whose error sounds temporary: a
 * final one must not.
 */
function shownMessage(error: ProxyError, userAgent: string | undefined): string {
  const isBug = error.code === 'internal';
  const plain = isBug
    ? 'Something went wrong inside rlm-opencode: `rlm-opencode logs` says what.'
    : error.message;
  const { hint } = error.parts;
  // A provider's words need not end as a sentence does.
  const end = /[.!?:;…)\]"'`]\s*$/.test(plain) ? '' : '.';
  const whole = hint === undefined ? plain : `${plain}${end} ${hint}`;
  return isFinal(error) && readsErrorWords(userAgent) ? calmText(whole) : whole;
}

/** An error that trying again does not cure, and that gives no reason to compact. */
function isFinal(error: ProxyError): boolean {
  return !error.retryable && error.code !== 'context_length_exceeded';
}

/**
 * The answer's body for a failure. The message ends with the hint; an unexpected failure shows
 * nothing of itself.
 */
export function errorBody(error: ProxyError, userAgent?: string): ErrorBody {
  const calm = isFinal(error) && readsErrorWords(userAgent) ? calmText : (text: string) => text;
  return {
    error: {
      message: shownMessage(error, userAgent),
      type: calm(error.parts.wireType ?? errorTable[error.code].type),
      param: error.parts.param ?? null,
      code: calm(error.parts.wireCode ?? error.code),
    },
  };
}

/**
 * The headers that go with {@link errorBody}: the upstream's that may pass, `retry-after` where the
 * upstream gave one, and for a failure that no repetition cures `x-should-retry: false`, which
 * OpenAI's libraries obey.
 */
export function errorHeaders(error: ProxyError): Record<string, string> {
  const headers: Record<string, string> = { ...error.parts.headers };
  if (!error.retryable) headers['x-should-retry'] = 'false';
  if (error.parts.retryAfterMs !== undefined) {
    headers['retry-after-ms'] = String(Math.ceil(error.parts.retryAfterMs));
    headers['retry-after'] = String(Math.ceil(error.parts.retryAfterMs / 1000));
  }
  return headers;
}

/**
 * The body of an error event inside a stream. OpenCode 1.18 decides by a code in a JSON text
 * *inside* the message: `invalid_prompt` stops, `server_error` repeats, `context_length_exceeded`
 * compacts. All others get the plain form.
 */
export function streamErrorBody(error: ProxyError, userAgent?: string): ErrorBody {
  const body = errorBody(error, userAgent);
  if (!readsErrorWords(userAgent)) return body;
  const code = openCodeStreamCode(error);
  const inner = { type: 'error', error: { code, message: body.error.message } };
  return { error: { ...body.error, message: JSON.stringify(inner) } };
}

function openCodeStreamCode(error: ProxyError): string {
  if (error.code === 'context_length_exceeded') return 'context_length_exceeded';
  return error.retryable ? 'server_error' : 'invalid_prompt';
}

/**
 * Finds the failure in a JSON value that came where a completion was expected. Undefined when there
 * is none. Known forms: `{error: {...}}`, `{error: "text"}`, `[{error: ...}]` (Gemini), `{object:
 * "error", message}` (vLLM, Mistral), `{type: "error", ...}`, `{base_resp: {status_code,
 * status_msg}}` at 200 (MiniMax), bare `{code, message}` (GLM), `{detail}` (FastAPI), `{errors:
 * [...]}`, `choices[0].error` (OpenRouter).
 */
export function findFault(value: unknown): UpstreamFault | undefined {
  if (Array.isArray(value)) return value.length === 0 ? undefined : findFault(value[0]);
  if (!isObject(value)) return undefined;
  const { error } = value;
  if (isObject(error) || nonEmptyText(error) !== undefined) return describeFault(error, value);
  const reply = value['base_resp'];
  if (isObject(reply) && reply['status_code'] !== 0 && reply['status_code'] !== undefined) {
    return { message: text(reply['status_msg']) ?? 'unknown', ...codeOf(reply['status_code']) };
  }
  if (Array.isArray(value['choices'])) {
    const [choice]: readonly unknown[] = value['choices'];
    const inChoice = isObject(choice) ? choice['error'] : undefined;
    return isObject(inChoice) ? describeFault(inChoice, {}) : undefined;
  }
  const named = value['object'] === 'error' || value['type'] === 'error';
  const said = value['message'] ?? value['msg'] ?? value['detail'];
  const coded = value['code'] !== undefined && value['code'] !== 0 && said !== undefined;
  if (named || coded || value['detail'] !== undefined) return describeFault(value, {});
  return Array.isArray(value['errors']) ? findFault({ error: value['errors'][0] }) : undefined;
}

/**
 * What the body of a failed HTTP answer says, be it JSON in any form, plain text or a page of HTML.
 */
export function readFault(body: string): UpstreamFault {
  const parsed = parseJson(body);
  const json = isTooDeep(parsed) ? undefined : parsed;
  const fault = findFault(json);
  if (fault !== undefined) return fault;
  if (isObject(json)) return describeFault(json, {});
  if (typeof json === 'string') return { message: shorten(json) };
  if (/^\s*</.test(body)) {
    const title = /<title[^>]*>([^<]*)<\/title>/i.exec(body)?.[1]?.trim();
    return { message: title === undefined || title === '' ? '' : shorten(title) };
  }
  return { message: shorten(body.trim()) };
}

/** @param around The object that the error lies in: some providers put the code beside it. */
function describeFault(error: unknown, around: JsonObject): UpstreamFault {
  if (!isObject(error)) return { message: shorten(String(error)), ...codeOf(around['code']) };
  // OpenRouter says "Provider returned error" and keeps the provider's own words in the metadata.
  const own = isObject(error['metadata']) ? text(error['metadata']['raw']) : undefined;
  const details = describeDetails(error['detail']);
  const said =
    text(error['message']) ?? text(error['msg']) ?? details?.message ?? text(error['detail']);
  const message = own === undefined ? said : `${said ?? ''} ${own}`.trim();
  const type = nonEmptyText(error['type']);
  const param = nonEmptyText(error['param']) ?? details?.param;
  return {
    message: shorten(message ?? JSON.stringify(error)),
    ...codeOf(error['code'] ?? error['status_code'] ?? around['code']),
    ...(type === undefined || type === 'error' ? {} : { type }),
    ...(param === undefined ? {} : { param }),
  };
}

/**
 * FastAPI's list of what is wrong, `{loc: ["body", "messages", 0], msg}` each: as sentences that
 * name the members.
 */
function describeDetails(
  detail: unknown,
): { readonly message: string; readonly param?: string } | undefined {
  if (!Array.isArray(detail) || !detail.every(isObject)) return undefined;
  const [param] = detail.map((one) => placeOf(one['loc']));
  const sentences = detail.map((one) => {
    const place = placeOf(one['loc']);
    const said = text(one['msg']) ?? JSON.stringify(one);
    return place === undefined ? said : `${place}: ${said}`;
  });
  if (sentences.length === 0) return undefined;
  return { message: sentences.join('; '), ...(param === undefined ? {} : { param }) };
}

/** The member at fault; `body` in front of it is FastAPI's word for where it looked. */
function placeOf(loc: unknown): string | undefined {
  if (!Array.isArray(loc)) return undefined;
  const path = (loc[0] === 'body' ? loc.slice(1) : loc).map(String);
  return path.length === 0 ? undefined : path.join('.');
}

function codeOf(code: unknown): { code?: string } {
  if (typeof code === 'number') return { code: String(code) };
  const own = nonEmptyText(code);
  return own === undefined ? {} : { code: own };
}

function text(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Enough of an error for any reader; some servers answer with the whole request in it. */
const maxMessageChars = 2000;

function shorten(message: string): string {
  return message.length <= maxMessageChars ? message : `${message.slice(0, maxMessageChars)}…`;
}
