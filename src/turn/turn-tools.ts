import type { Clock } from '../clock.ts';
import type { NameRecord } from '../sandbox/types.ts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import { sandboxName } from '../tools/programs/forgotten-variables.ts';
import type { SearchEngine } from '../search/types.ts';
import type { Session } from '../store/types.ts';
import type { LinkedStores } from '../tools/linked/linked-stores.ts';
import type { ToolContext } from '../tools/tool.ts';
import type { RetryNotice, Upstream } from '../upstream/upstream.ts';
import type { Budget, TokenPrices } from './budget.ts';
import type { Prompt } from '../prompt/prompt-layout.ts';
import { Semaphore } from '../base/semaphore.ts';
import { QuoteChecker } from './check-quotes.ts';
import { createSubModel } from './sub-model.ts';
import type { ProxyTools, StepLimits } from './turn-state.ts';
import type { CallEars } from './turn-watch.ts';

/** A model that sub-calls go to. */
export interface SubTarget {
  readonly upstream: Upstream;
  readonly model: string;
  readonly prices?: TokenPrices | undefined;
  /** Longest text of one question, characters. */
  readonly maxTextChars: number;
}

/** What our tools need in any turn. */
export interface TurnToolsOptions {
  readonly search: SearchEngine;
  /** The stores that a session is linked to at the moment. */
  readonly linkedTo: (session: Session) => LinkedStores | undefined;
  readonly sandboxes: Sandboxes;
  readonly clock: Clock;
  readonly searchDeadlineMs: number;
  readonly maxResultChars: number;
  /** Sub-calls of one turn at the same time. */
  readonly concurrency: number;
  /** Bounds of one sub-call that has tools. */
  readonly limits: StepLimits;
  /** Whether what the answer quotes is looked up. */
  readonly checksQuotes: boolean;
}

/** Our tools as one turn has them. */
export interface TurnTools {
  readonly own: ProxyTools;
  /** Texts that programs gave to the user; each is handed out once. */
  readonly takeAnswers: () => readonly string[];
  /** Absent where quotes are not to be looked up. */
  readonly quotes: QuoteChecker | undefined;
}

/**
 * Sets up our tools for one turn: everything they use draws on the turn's budget and ends with its
 * signal.
 */
export function openTurnTools(
  options: TurnToolsOptions,
  turn: {
    readonly own: NonNullable<Prompt['own']>;
    /**
     * Names of the tools in the request: a stray `rlm_` name among a model's calls is answered
     * here, where a client could make nothing of it.
     */
    readonly offered: ReadonlySet<string>;
    readonly sub: SubTarget;
    readonly budget: Budget;
    readonly signal: AbortSignal;
    /** Told of a sub-model's call that is repeated. */
    readonly onSubRetry: (attempt: RetryNotice) => void;
  },
): TurnTools {
  const { session, registry, place } = turn.own;
  const answers: string[] = [];
  const base = {
    session,
    search: options.search,
    clock: options.clock,
    searchDeadlineMs: options.searchDeadlineMs,
    maxResultChars: options.maxResultChars,
    programs: {
      sandboxes: options.sandboxes,
      chatId: sandboxName(session.id, place.chatId),
      names: programNames(session, place.chatId),
      onAnswer: (text: string) => void answers.push(text),
    },
  };
  const slots = new Semaphore(options.concurrency);
  const contextFor = (signal: AbortSignal, { report, asks }: CallEars): ToolContext => ({
    ...base,
    // Anew for each call: people link and unlink at any time.
    linked: options.linkedTo(session),
    signal,
    report,
    subModel: createSubModel({
      ...turn.sub,
      prices: turn.sub.prices,
      budget: turn.budget,
      slots,
      concurrency: options.concurrency,
      tools: registry.unlinked,
      context: base,
      limits: options.limits,
      report,
      asks,
      onRetry: turn.onSubRetry,
    }),
  });
  const described = contextFor(turn.signal, deaf);
  return {
    own: {
      isOwn: (name) => registry.isOwn(name, turn.offered),
      expect: (name) => registry.expect(name, described),
      describe: (call) => registry.describe(call, described),
      run: async (call, signal, ears) => registry.run(call, contextFor(signal, ears)),
    },
    takeAnswers: () => answers.splice(0),
    quotes: options.checksQuotes
      ? new QuoteChecker({
          store: session.store,
          linked: () => options.linkedTo(session),
          search: options.search,
          clock: options.clock,
          signal: turn.signal,
        })
      : undefined,
  };
}

/** For a context in which nothing is run. */
const deaf: CallEars = { report: () => undefined, asks: () => undefined };

/** Remembers a chat's variables by name, so that lost ones can be named after a restart. */
function programNames(session: Session, chatId: string): NameRecord {
  const key = `names:${chatId}`;
  return {
    load: async () => ((await session.memory.get(key)) as readonly string[] | undefined) ?? [],
    save: async (names) => session.memory.put([{ key, value: names }]),
  };
}
