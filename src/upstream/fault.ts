import { type ErrorCode, type ErrorParts, ProxyError } from '../errors.ts';
import type { UpstreamFault } from '../wire/error-body.ts';
import { readOverflow } from './overflow.ts';
import type { FaultMeaning, Profile } from './profile.ts';
import { withoutSecrets } from './secrets.ts';
import { relayedCodes } from './profiles.ts';

/** Where a failure came from. */
export interface FaultSource {
  readonly profile: Profile;
  /** The provider's name in the configuration, for the hint. */
  readonly upstreamId: string;
  /** Taken out of every text. */
  readonly secrets?: readonly string[];
  /** What to say of the provider's address where this status makes it doubtful. */
  readonly addressAdvice?: string | undefined;
  /** The HTTP status; absent for a failure inside a stream. */
  readonly status?: number;
  readonly retryAfterMs?: number | undefined;
  /** Those of the refusal that pass to the client. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const meaningByStatus: Readonly<Record<number, FaultMeaning>> = {
  401: 'unauthorized',
  402: 'quota',
  403: 'forbidden',
  408: 'failed',
  409: 'failed',
  425: 'busy',
  429: 'busy',
  529: 'busy',
};

/** Words for codes and types that several providers use. */
const meaningByWord: Readonly<Record<string, FaultMeaning>> = {
  context_length_exceeded: 'overflow',
  context_window_exceeded: 'overflow',
  exceed_context_size_error: 'overflow',
  request_too_large: 'overflow',
  insufficient_quota: 'quota',
  billing_hard_limit_reached: 'quota',
  billing_not_active: 'quota',
  insufficient_balance: 'quota',
  rate_limit_exceeded: 'busy',
  rate_limit_error: 'busy',
  rate_limit_reached_error: 'busy',
  overloaded_error: 'busy',
  server_error: 'failed',
  internal_error: 'failed',
  internal_server_error: 'failed',
  api_error: 'failed',
  authentication_error: 'unauthorized',
  invalid_api_key: 'unauthorized',
  permission_error: 'forbidden',
  model_not_found: 'unknown-model',
  content_filter: 'content-filter',
  content_policy_violation: 'content-filter',
  invalid_request_error: 'rejected',
  badrequesterror: 'rejected',
};

/**
 * Statuses with which an overflow has been seen. A 429 that speaks of too many tokens is about a
 * minute's allowance.
 */
const overflowStatuses: ReadonlySet<number | undefined> = new Set([undefined, 400, 413, 422, 500]);

const errorCodes: Readonly<Record<FaultMeaning, ErrorCode>> = {
  overflow: 'context_length_exceeded',
  quota: 'quota_exhausted',
  busy: 'too_busy',
  failed: 'upstream_failed',
  unauthorized: 'unauthorized',
  forbidden: 'forbidden',
  'unknown-model': 'unknown_model',
  'content-filter': 'upstream_rejected',
  rejected: 'upstream_rejected',
};

/** Gives a provider's failure its name, keeping the provider's words, status and code. */
export function faultToError(fault: UpstreamFault, source: FaultSource): ProxyError {
  const status = source.status ?? statusInCode(fault.code);
  const meaning = meaningOf(fault, status, source.profile);
  const code = errorCodes[meaning];
  const parts: ErrorParts = {
    ...statusPart(meaning, status),
    ...wireParts(meaning, fault),
    param: fault.param,
    retryAfterMs: source.retryAfterMs,
    headers: source.headers,
    ...hintPart(meaning, source),
    ...(meaning === 'overflow' ? readOverflow(fault.message) : {}),
  };
  return new ProxyError(
    code,
    withoutSecrets(messageOf(fault, status), source.secrets ?? []),
    parts,
  );
}

/** OpenRouter and vLLM write the HTTP status into the code of an error inside a stream. */
function statusInCode(code: string | undefined): number | undefined {
  return code !== undefined && /^[45]\d\d$/.test(code) ? Number(code) : undefined;
}

function meaningOf(
  fault: UpstreamFault,
  status: number | undefined,
  profile: Profile,
): FaultMeaning {
  const own = codeMeaning(profile.codes, fault);
  if (own !== undefined && own !== 'rejected') return own;
  if (overflowStatuses.has(status) && readOverflow(fault.message) !== undefined) return 'overflow';
  if (status === 413) return 'overflow';
  if (own !== undefined) return own;
  const relayed = profile.codes === undefined ? codeMeaning(relayedCodes, fault) : undefined;
  if (relayed !== undefined) return relayed;
  const named =
    meaningByWord[(fault.code ?? '').toLowerCase()] ??
    meaningByWord[(fault.type ?? '').toLowerCase()];
  const byStatus = status === undefined ? undefined : meaningByStatus[status];
  // A word says more than a status, except that `invalid_request_error` is said of everything, and
  // that no word makes a refusal one that will pass: Ollama says `api_error` of a model that cannot
  // do what it was asked.
  const mayBeWord = isRefusal(status) ? named !== 'busy' && named !== 'failed' : true;
  if (named !== undefined && named !== 'rejected' && mayBeWord) return named;
  if (byStatus !== undefined) return byStatus;
  if (status === undefined) return named ?? 'failed';
  return status >= 500 ? 'failed' : 'rejected';
}

/** Whether a status says that the same request will be refused again. */
function isRefusal(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && !passingRefusals.has(status);
}

/** Refusals of the moment: too slow, in conflict, too early, too often. */
const passingRefusals: ReadonlySet<number> = new Set([408, 409, 425, 429]);

function codeMeaning(
  codes: Readonly<Record<string, FaultMeaning>> | undefined,
  { code, type }: UpstreamFault,
): FaultMeaning | undefined {
  return codes?.[code ?? ''] ?? codes?.[type ?? ''];
}

function messageOf(fault: UpstreamFault, status: number | undefined): string {
  if (fault.message !== '') return fault.message;
  return status === undefined
    ? 'The upstream reported a failure without saying which.'
    : `The upstream answered HTTP ${status}.`;
}

/**
 * The upstream's own status, except where ours tells a client more: 402 stops what 429 would have
 * it repeat.
 */
function statusPart(meaning: FaultMeaning, status: number | undefined): { status?: number } {
  const isOurs = meaning === 'quota' || meaning === 'overflow';
  if (isOurs || status === undefined || status < 400) return {};
  // A client repeats after 429 and 5xx; what we know to be passing must not look final, nor the
  // other way round.
  const isPassing = meaning === 'busy' || meaning === 'failed';
  const looksPassing = status === 408 || status === 409 || status === 429 || status >= 500;
  return isPassing === looksPassing ? { status } : {};
}

function wireParts(meaning: FaultMeaning, fault: UpstreamFault): ErrorParts {
  if (meaning === 'overflow') return {};
  if (meaning === 'content-filter') return { wireCode: 'content_filter' };
  return { wireCode: fault.code, ...typePart(meaning, fault) };
}

/** What is refused without a type (FastAPI's 422) is the request's fault, not the upstream's. */
function typePart(meaning: FaultMeaning, { type }: UpstreamFault): ErrorParts {
  if (type !== undefined) return { wireType: type };
  return meaning === 'rejected' ? { wireType: 'invalid_request_error' } : {};
}

/** What can be done about a refusal; `whose` names the provider. */
const adviceFor: Partial<Record<FaultMeaning, (whose: string) => string>> = {
  unauthorized: (whose) => `Check the key of ${whose}: rlm-opencode doctor`,
  quota: (whose) => `See your account with ${whose}.`,
  'unknown-model': (whose) => `GET /v1/models lists what ${whose} has.`,
};

function hintPart(meaning: FaultMeaning, source: FaultSource): { hint?: string } {
  if (source.addressAdvice !== undefined && meaning !== 'unknown-model') {
    return { hint: source.addressAdvice };
  }
  const advice = adviceFor[meaning];
  return advice === undefined ? {} : { hint: advice(`the provider \`${source.upstreamId}\``) };
}
