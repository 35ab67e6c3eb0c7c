import type { IncomingHttpHeaders } from 'node:http';
import { codex } from '../../clients/codex.ts';
import { originOf } from '../../clients/origin.ts';
import type { ProxyError } from '../../errors.ts';

/** Whether a request is Codex's, by its headers. */
export function isCodex(headers: IncomingHttpHeaders): boolean {
  return originOf(headers).client === codex;
}

/**
 * Whether Codex does better with a failure as an event than with its status. A status other than
 * 400 and 429 makes it ask 6 to 30 times, and of a 400 its user gets to see the JSON; only with 429
 * does it wait as long as it is told to.
 */
export function wantsEvent({ status }: ProxyError): boolean {
  return status !== 429;
}
