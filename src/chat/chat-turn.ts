import { ProxyError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { Intake, RequestIntake } from '../capture/intake.ts';
import type { DeliveredAnswer } from '../history/answer-memory.ts';
import type { ChatCall } from '../http/handlers.ts';
import type { Logger } from '../log.ts';
import type { PromptMaker } from '../prompt/build-prompt.ts';
import type { Offer } from '../prompt/activation.ts';
import type { Opened } from '../prompt/dormant-tool.ts';
import type { HandOver } from '../prompt/hidden-calls.ts';
import type { Prompt, PromptTarget, Subject } from '../prompt/prompt-layout.ts';
import type { TokenGauge } from '../prompt/token-gauge.ts';
import type { ToollessModels } from '../prompt/toolless-models.ts';
import type { TurnRoom } from '../prompt/window.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { IndexKeeper } from '../tools/index-keeper.ts';
import type { Budget, TokenPrices } from '../turn/budget.ts';
import type { QuoteChecker } from '../turn/check-quotes.ts';
import { AnswerLimit, type AnswerLimits, meterUpstream } from '../turn/metered-upstream.ts';
import { runTurn } from '../turn/run-turn.ts';
import type { FinishedTurn, ProxyTools, StepLimits, Turn } from '../turn/turn-state.ts';
import {
  openTurnTools,
  type SubTarget,
  type TurnTools,
  type TurnToolsOptions,
} from '../turn/turn-tools.ts';
import type { TurnWatch } from '../turn/turn-watch.ts';
import { failureOf } from '../upstream/retry.ts';
import type { RetryNotice, Upstream } from '../upstream/upstream.ts';
import { callName } from '../wire/calls.ts';
import type { Chunk, ChatRequest, Message, ToolCall } from '../wire/types.ts';
import { sumUsages } from '../wire/usage.ts';
import { withClosingText } from './closing-text.ts';
import { answerOf, shortenResult } from './delivered-answer.ts';
import { learnCount } from './learn-count.ts';
import { answersTo } from './many-answers.ts';
import type { TurnStats } from './turn-stats.ts';

/** A model to answer with, and who serves it. */
export interface ChatTarget extends PromptTarget {
  readonly upstream: Upstream;
  readonly prices?: TokenPrices | undefined;
}

/** What any turn needs. */
export interface ChatTurnOptions {
  readonly intake: Pick<RequestIntake, 'notePrompt'>;
  readonly prompts: PromptMaker;
  readonly toolless: ToollessModels;
  readonly gauge: TokenGauge;
  /** The target of a turn's sub-calls. */
  readonly resolveSub: (target: ChatTarget, signal: AbortSignal) => Promise<SubTarget>;
  /** A fresh budget for one turn. */
  readonly openBudget: () => Budget;
  /** Has what the day's turns have used written down, soon. */
  readonly keepDay: () => void;
  readonly tools: TurnToolsOptions;
  /** Told of sessions that have grown. */
  readonly indexes: IndexKeeper;
  readonly limits: StepLimits;
  readonly answerLimits: AnswerLimits;
  readonly showProgress: boolean;
  /** What masks secrets; absent where they are not masked. */
  readonly secrets?: SecretGuard | undefined;
  /**
   * Longest text from a program that stands in later prompts as it was shown; of a longer one they
   * have a stub. Code units.
   */
  readonly maxClosingChars: number;
  readonly clock: Clock;
  readonly stats: TurnStats;
  readonly nextId: () => string;
  readonly log: Logger;
}

/** What a turn begins with. */
interface TurnStart {
  readonly call: ChatCall;
  readonly intake: Intake;
  readonly target: ChatTarget;
  readonly startedMs: number;
  /** Hears what the turn does; absent where nobody watches. */
  readonly watch: TurnWatch | undefined;
}

/**
 * One request from its prompt to the end of its answer: what the loop ({@link runTurn}) asks for on
 * the way, and what is written down of it.
 */
export class ChatTurn implements Turn {
  /** Of the upstream's answer, for the client. */
  readonly answerHeaders: Record<string, string> = {};
  /**
   * Until when nothing happens but waiting between two attempts, by the clock's elapsed
   * milliseconds.
   */
  quietUntilMs = 0;
  readonly upstream: Upstream;
  readonly budget: Budget;
  readonly watch: TurnWatch | undefined;
  withoutUs: { readonly promptTokens: number } | undefined;
  readonly #options: ChatTurnOptions;
  readonly #call: ChatCall;
  /** The client's request while its prompts are made. */
  readonly #subject: Subject;
  readonly #target: ChatTarget;
  readonly #startedMs: number;
  /** What went upstream; a smaller one after a refusal. */
  #prompt: Prompt;
  /** What its first step sent, where that was something else: a dormant chat's. */
  #firstPrompt: Prompt | undefined;
  /** Times that older material was moved out of its prompts. */
  #demotions = 0;
  /** Whether the upstream has found a prompt of this turn too long. */
  #wasRefused = false;
  /** The window that the prompt was made for after that, tokens. */
  #shrunkTokens: number | undefined;
  /** The window that a refusal of this turn has stated, tokens. */
  #statedWindowTokens: number | undefined;
  /** Set where there are tools that could ask it. */
  #sub: SubTarget | undefined;
  #tools: TurnTools | undefined;

  private constructor(
    options: ChatTurnOptions,
    { call, target, startedMs, watch }: TurnStart,
    subject: Subject,
    prompt: Prompt,
  ) {
    this.#options = options;
    this.#call = call;
    this.#subject = subject;
    this.#target = target;
    this.#startedMs = startedMs;
    this.#prompt = prompt;
    this.watch = watch;
    this.budget = options.openBudget();
    this.upstream = this.#metered();
  }

  /** Makes the prompt. @throws ProxyError what that throws */
  static async open(options: ChatTurnOptions, start: TurnStart): Promise<ChatTurn> {
    const subject: Subject = { intake: start.intake };
    const prompt = await options.prompts.make(subject, start.target);
    if (prompt.own !== undefined) options.indexes.keep(prompt.own.session);
    const turn = new ChatTurn(options, start, subject, prompt);
    turn.#take(prompt);
    await turn.#openTools();
    if (turn.#tools !== undefined) turn.withoutUs = { promptTokens: turn.#tokensWithout() };
    return turn;
  }

  /** The answer, as {@link runTurn} yields it. */
  answer(): AsyncGenerator<readonly Chunk[], void, void> {
    return runTurn(this);
  }

  /** Several answers to one question, in a conversation where nothing is hidden. */
  async *answers(): AsyncGenerator<readonly Chunk[], void, void> {
    const { signal, headers, upstream, watch } = this;
    const call = { signal, headers, onRetry: (attempt: RetryNotice) => this.onRetry(attempt) };
    try {
      await this.remember(yield* answersTo(this.request, upstream, call, watch));
    } catch (error) {
      watch?.fails(error);
      throw error;
    } finally {
      this.onEnd();
    }
  }

  get request(): ChatRequest {
    return this.#prompt.request;
  }

  get tools(): ProxyTools | undefined {
    return this.#tools?.own;
  }

  get handOver(): HandOver | undefined {
    return this.#prompt.handOver;
  }

  get room(): TurnRoom | undefined {
    return this.#prompt.room;
  }

  get limits(): StepLimits {
    return this.#options.limits;
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#subject.intake.affinity;
  }

  get showProgress(): boolean {
    return this.#options.showProgress;
  }

  offer(): Offer['kind'] | undefined {
    return this.#prompt.own?.offer;
  }

  takeAnswers(): readonly string[] {
    return this.#tools?.takeAnswers() ?? [];
  }

  quotes(): QuoteChecker | undefined {
    return this.#tools?.quotes;
  }

  async shorten(message: Message, made: ToolCall | undefined): Promise<Message> {
    return shortenResult(this.#prompt, message, made);
  }

  mask<Value>(value: Value): Value {
    return this.#options.secrets?.value(value) ?? value;
  }

  onRetry(attempt: RetryNotice): void {
    this.quietUntilMs = this.#options.clock.elapsedMs() + attempt.waitMs;
    this.#logRetry(attempt, 'upstream call is repeated');
  }

  /** However a turn ends, its time counts for the day. */
  onEnd(): void {
    this.watch?.leaves();
    this.budget.close();
    this.#options.keepDay();
  }

  /**
   * After the upstream has refused tools that are all ours: the same without, and so from now on
   * with this model.
   */
  async withoutTools(
    error: unknown,
  ): Promise<{ readonly request: ChatRequest; readonly tools: undefined } | undefined> {
    const { toolless, prompts, log } = this.#options;
    const { envelope } = this.#subject.intake;
    const { gaugeKey } = this.#target;
    // With tools of its own the client's request would be refused without us, too.
    if ((envelope.tools ?? []).length > 0) return undefined;
    const news = toolless.note(error, gaugeKey, envelope);
    if (news === undefined) return undefined;
    if (news !== '')
      log.warn(
        { request: this.#call.requestId, model: news, ...failureOf(error as ProxyError) },
        'the model takes no tools; chats with it go on without ours, and large texts stay in the prompt',
      );
    const bare = await prompts.make(this.#subject, this.#target);
    this.#take(bare);
    return { request: bare.request, tools: undefined };
  }

  /**
   * The model of a dormant chat has called one of our tools: from the next step on it has them all,
   * and so has the chat.
   */
  async wake(): Promise<{ readonly request: ChatRequest; readonly opened: Opened } | undefined> {
    const before = this.#prompt;
    if (before.own?.offer !== 'dormant') return undefined;
    const { prompts } = this.#options;
    const woken = await prompts.wake(this.#subject, this.#target, this.#shrunkTokens);
    if (woken === undefined) return undefined;
    this.#firstPrompt = before;
    this.#take(woken.prompt);
    return { request: woken.prompt.request, opened: woken.opened };
  }

  /**
   * After the upstream has found a prompt too long: it knows its window better than we do, and it
   * is smaller than what was sent.
   */
  async shrink(request: ChatRequest): Promise<
    | {
        readonly request: ChatRequest;
        readonly tools: ProxyTools | undefined;
        readonly handOver: HandOver | undefined;
      }
    | undefined
  > {
    const { gauge, prompts } = this.#options;
    const target = this.#target;
    const scales = prompts.scalesOf(target);
    const sizeBytes = scales.weighRequest(request);
    const stated = this.#statedWindowTokens;
    // Where the refusal states the window, it is that of the model which really answers.
    const windowTokens = Math.min(
      target.windowTokens ?? Infinity,
      stated ?? Infinity,
      sizeBytes / scales.bytesPerToken,
    );
    this.#wasRefused = true;
    if (stated !== undefined) gauge.learnWindow(target.gaugeKey, stated);
    this.#shrunkTokens = windowTokens;
    const smaller = await prompts.make(this.#subject, target, windowTokens);
    if (target.windowTokens !== undefined && request === this.#prompt.request)
      gauge.learnRefusal(target.gaugeKey, sizeBytes, target.windowTokens);
    if (scales.weighRequest(smaller.request) >= sizeBytes) return undefined;
    this.#take(smaller);
    await this.#openTools();
    return { request: smaller.request, tools: this.tools, handOver: smaller.handOver };
  }

  /**
   * Before the answer ends: what the client has not seen is written down, what the upstream counted
   * is taken in.
   */
  async remember(turn: FinishedTurn): Promise<void> {
    // As the client's copy of it is going to be read.
    const done = this.mask(turn);
    const prompt = this.#prompt;
    const target = this.#target;
    const { requestId } = this.#call;
    const { intake } = this.#subject;
    const { evictedBefore } = prompt.window;
    this.#options.intake.notePrompt(intake, { evictedBefore, whole: prompt.standing });
    const [first] = done.usages;
    const { promptTokens, cachedTokens, completionTokens } = sumUsages(done.usages);
    if (first !== undefined && !this.#wasRefused)
      learnCount(
        this.#options,
        { target, prompt: this.#firstPrompt ?? prompt, requestId },
        first.prompt_tokens,
      );
    const answer = answerOf(done);
    const remembered = intake.resolved.delivered(answer);
    if (prompt.own !== undefined) await this.#remember(prompt.own, done, answer);
    await remembered;
    this.#options.stats.add({
      done,
      newlyStored: intake.newlyStored,
      parsedMessages: intake.parsedMessages,
      clientTokens: this.#tokensWithout(),
      demotions: this.#demotions,
      ...(intake.storeFault === undefined ? {} : { storeFault: intake.storeFault.code }),
    });
    this.#options.log.info(
      {
        request: requestId,
        client: intake.client,
        directory: intake.resolved.directory,
        session: prompt.own?.session.id ?? intake.resolved.session?.id,
        chat: intake.resolved.chatId,
        model: target.gaugeKey,
        tools: prompt.own?.offer ?? 'none',
        steps: done.steps,
        calls: done.ownCalls,
        searches: searchesIn(done),
        promptTokens,
        largestPromptTokens: Math.max(0, ...done.usages.map((usage) => usage.prompt_tokens)),
        cachedTokens,
        uncachedTokens: promptTokens - cachedTokens,
        completionTokens,
        estimatedPromptTokensWithout: this.#tokensWithout(),
        stored: intake.newlyStored,
        parsedMessages: intake.parsedMessages,
        demotions: prompt.window.steps,
        limit: done.limit,
        ms: Math.round(this.#options.clock.elapsedMs() - this.#startedMs),
      },
      'turn',
    );
    this.watch?.ends();
  }

  /** From now on this is the turn's prompt. */
  #take(prompt: Prompt): void {
    this.#prompt = prompt;
    if (prompt.window.demoted) this.#demotions += 1;
    this.watch?.know({
      session: prompt.own?.session.id ?? this.#subject.intake.resolved.session?.id,
      tools: prompt.own?.offer ?? 'none',
      demotions: this.#demotions,
      estimatedPromptTokensWithout: this.#tokensWithout(),
    });
  }

  /** Our tools, where the prompt offers some and there are none yet. */
  async #openTools(): Promise<void> {
    const { own, request } = this.#prompt;
    if (own === undefined) return;
    this.#sub ??= await this.#options.resolveSub(this.#target, this.signal);
    this.#tools ??= openTurnTools(this.#options.tools, {
      own,
      offered: new Set((request.tools ?? []).map((tool) => tool.function?.name ?? '')),
      sub: this.#sub,
      budget: this.budget,
      signal: this.signal,
      onSubRetry: (attempt) => this.#logRetry(attempt, 'upstream call of a sub-model is repeated'),
    });
  }

  /** The target's upstream: paid from the budget, and what its answers say of themselves noted. */
  #metered(): Upstream {
    return meterUpstream(this.#target.upstream, this.budget, {
      prices: this.#target.prices,
      isLoop: true,
      limit: new AnswerLimit(this.#options.answerLimits),
      onAnswer: ({ headers }) => {
        this.quietUntilMs = 0;
        Object.assign(this.answerHeaders, headers);
      },
      onFault: (error) => {
        if (error instanceof ProxyError) this.#statedWindowTokens ??= error.parts.windowTokens;
      },
    });
  }

  #logRetry({ number, ...attempt }: RetryNotice, words: string): void {
    this.#options.stats.work.noteRetry(attempt.code);
    this.#options.log.info({ request: this.#call.requestId, attempt: number, ...attempt }, words);
  }

  /** Prompt tokens of the client's own history, had it gone upstream as it came. An estimate. */
  #tokensWithout(): number {
    const { gauge } = this.#options;
    return Math.round(this.#prompt.clientBytes / gauge.bytesPerToken(this.#target.gaugeKey));
  }

  /** Losing this memory costs a cache miss and never an answer, so a full disk ends no turn. */
  async #remember(
    own: NonNullable<Prompt['own']>,
    done: FinishedTurn,
    answer: DeliveredAnswer,
  ): Promise<void> {
    try {
      const record = {
        before: done.before,
        message: await withClosingText(own, done, this.#options.maxClosingChars),
        results: done.results,
        shownTextHash: answer.textHash,
      };
      await own.memory.remember(own.place, answer, record, this.#options.nextId());
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#options.log.warn(
        { request: this.#call.requestId, code: error.code },
        'the hidden steps of this turn could not be written down; the next one costs a cache miss',
      );
    }
  }
}

/** Calls of a turn that searched. */
function searchesIn({ before, message }: FinishedTurn): number {
  const calls = [...before, message].flatMap((said) => said.tool_calls ?? []);
  return calls.filter((call) => /rlm_(?:search|find)$/.test(callName(call))).length;
}
