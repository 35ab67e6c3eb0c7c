/**
 * What upstreams really do, as data: each scenario is a provider's behaviour on one request, and
 * what a client must make of it. The same table is run against the upstream alone and, with several
 * clients, streaming and not, against the whole proxy.
 */
import type { ErrorCode } from '../../src/errors.ts';
import type { FinishReason } from '../../src/wire/types.ts';
import { answerScenarios } from './scenarios-answers.ts';
import { callScenarios } from './scenarios-calls.ts';
import { failureScenarios } from './scenarios-failures.ts';
import type { ScriptedReply } from './scripted-upstream.ts';

/** A call as the client must see it. Without an id, any id will do. */
interface ExpectedCall {
  readonly name: string;
  readonly arguments: string;
  readonly id?: string;
}

/** An answer as the client must see it. What is absent must be empty. */
export interface ExpectedAnswer {
  readonly text?: string;
  readonly reasoning?: string;
  readonly refusal?: string;
  readonly calls?: readonly ExpectedCall[];
  readonly finish: FinishReason;
  /** Prompt tokens that must be reported; absent: nothing was said about usage, so none is. */
  readonly promptTokens?: number;
}

/** A failure as the client must see it. */
interface ExpectedFailure {
  readonly code: ErrorCode;
  readonly status: number;
  /** Words of the provider that must reach the client. */
  readonly words?: string;
  /** Text that came before it: then it is a failure inside the stream. */
  readonly afterText?: string;
}

/** One behaviour. */
export interface Scenario {
  readonly name: string;
  /** The provider's profile; absent: the plain one. */
  readonly profile?: string;
  /** Replies to the attempts; the last one is repeated. */
  readonly replies: readonly ScriptedReply[];
  /** HTTP requests that must have been made, two repetitions being allowed. Default 1. */
  readonly attempts?: number;
  readonly answer?: ExpectedAnswer;
  readonly failure?: ExpectedFailure;
}

/** All of them. */
export const scenarios: readonly Scenario[] = [
  ...answerScenarios,
  ...callScenarios,
  ...failureScenarios,
];
