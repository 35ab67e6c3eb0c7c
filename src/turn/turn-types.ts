import type { RetryNotice, Upstream } from '../upstream/upstream.ts';
import type { ChatRequest, FunctionCall, Message, Usage } from '../wire/types.ts';
import type { Budget } from './budget.ts';
import type { QuoteChecker } from './check-quotes.ts';
import type { HandOver } from '../prompt/hidden-calls.ts';
import type { Shorten, TurnRoom } from '../prompt/turn-room.ts';

/** Our side of the tool loop: which calls are ours, and how one is run. */
export interface ProxyTools {
  isOwn(name: string): boolean;
  /** A call of this name has begun to arrive. */
  expect(name: string): void;
  /** Short text for progress. */
  describe(call: FunctionCall): string;
  /**
   * Text for the model; throws only when we fail ourselves. `report` takes short texts about what
   * is under way.
   */
  run(call: FunctionCall, signal: AbortSignal, report: (text: string) => void): Promise<string>;
}

/** Bounds of one turn. */
export interface StepLimits {
  /** Upstream completions. */
  readonly steps: number;
  /** Calls of our tools run in one step; what is over gets a sentence instead. */
  readonly callsPerStep: number;
}

/** What a turn needs. */
export interface Turn {
  readonly upstream: Upstream;
  readonly request: ChatRequest;
  /** Absent: nothing is ours, the answer is passed on. */
  readonly tools?: ProxyTools;
  /** Present: steps of ours come first, and the last step has the client's own choice of tools. */
  readonly handOver?: HandOver;
  readonly limits: StepLimits;
  /** Tokens, money and time that may still be used; the upstream is metered by its owner. */
  readonly budget: Budget;
  readonly signal: AbortSignal;
  /** Headers that go on to the upstream. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether hidden steps are shown as marked reasoning. */
  readonly showProgress: boolean;
  /**
   * Texts that programs have handed to the user as they are, once each; they go behind the model's
   * own words.
   */
  readonly takeAnswers: () => readonly string[];
  /** Looks up what the answer quotes; nothing where there is no store of ours, or nobody asks. */
  readonly quotes: () => QuoteChecker | undefined;
  /**
   * What the turn would have sent without us, estimated; present where our tools are, and then
   * reported in the usage.
   */
  readonly withoutUs?: { readonly promptTokens: number };
  /** Called once, before the answer ends. */
  readonly remember: (done: FinishedTurn) => Promise<void>;
  /** Room for the turn's own results; absent where the window is not known. */
  readonly room?: TurnRoom;
  readonly shorten: Shorten;
  /**
   * A request without our tools after the upstream has refused this one because of them; nothing
   * where that was not it.
   */
  readonly withoutTools?: (
    error: unknown,
  ) => Promise<
    { readonly request: ChatRequest; readonly tools: ProxyTools | undefined } | undefined
  >;
  /**
   * A smaller request, and the tools that are ours in it, after the upstream found this one too
   * long; nothing when no more can be done. Asked once a turn.
   */
  readonly shrink: (request: ChatRequest) => Promise<
    | {
        readonly request: ChatRequest;
        readonly tools: ProxyTools | undefined;
        readonly handOver?: HandOver | undefined;
      }
    | undefined
  >;
  readonly onRetry: (attempt: RetryNotice) => void;
}

/** How a turn ended. */
export interface FinishedTurn {
  /** Hidden turns and results, in order. */
  readonly before: readonly Message[];
  readonly message: Message;
  /** Results of our calls in `message`, by call id. */
  readonly results: Readonly<Record<string, string>>;
  /** All text the client was shown. */
  readonly shownText: string;
  /**
   * The end of it that the model has not written: what programs handed to the user, and the
   * sentence of a limit.
   */
  readonly closingText: string;
  readonly steps: number;
  readonly ownCalls: number;
  /** JSON of all requests of the turn, bytes. */
  readonly sentBytes: number;
  /** What the upstream said of each step that it said something of. */
  readonly usages: readonly Usage[];
  /** The limit that ended the turn, in words. */
  readonly limit?: string;
}
