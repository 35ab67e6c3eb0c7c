import type { ProxyError } from '../../errors.ts';
import type { ErrorWriter } from '../../http/handlers.ts';
import { errorBody } from '../../wire/error-body.ts';

/** A failure as this protocol's clients read it. */
export const messagesError: ErrorWriter = (error, { userAgent, requestId }) => ({
  type: 'error',
  error: { type: typeOf(error), message: messageOf(error, userAgent) },
  request_id: requestId,
});

/** The protocol's types, by HTTP status. */
const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

function typeOf({ status }: ProxyError): string {
  return types[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}

/**
 * Claude Code knows a prompt that was too long by these words and no others: to any other refusal
 * it answers with the same request again, up to six times, leaving out one feature after the other.
 */
function messageOf(error: ProxyError, userAgent: string | undefined): string {
  const { message } = errorBody(error, userAgent).error;
  if (error.code !== 'context_length_exceeded') return message;
  const most = error.parts.windowTokens;
  const asked = [...error.message.matchAll(/\d[\d,]*/g)]
    .map(([digits]) => Number(digits.replaceAll(',', '')))
    .find((tokens) => most !== undefined && tokens > most);
  return asked === undefined
    ? `prompt is too long: ${message}`
    : `prompt is too long: ${asked} tokens > ${most} maximum`;
}
