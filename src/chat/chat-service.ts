import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { IndexKeeper } from '../tools/index-keeper.ts';
import { failureOf } from '../upstream/retry.ts';
import type { RetryNotice, Upstream } from '../upstream/upstream.ts';
import { callName } from '../wire/calls.ts';
import type { CompletionHead } from '../wire/encode.ts';
import type { Chunk, ChatRequest } from '../wire/types.ts';
import type { DeliveredAnswer } from '../history/answer-memory.ts';
import type { Budget, TokenPrices } from '../turn/budget.ts';
import type { ChatCall, JsonReply, StreamReply } from '../http/handlers.ts';
import { framesOf, wholeOf } from './chat-reply.ts';
import { answerOf, shortenResult } from './delivered-answer.ts';
import type { Intake, RequestIntake } from '../capture/intake.ts';
import { withClosingText } from './closing-text.ts';
import { answersTo, manyAnswers } from './many-answers.ts';
import { AnswerLimit, type AnswerLimits, meterUpstream } from '../turn/metered-upstream.ts';
import type { PromptMaker } from '../prompt/build-prompt.ts';
import type { Opened } from '../prompt/dormant-tool.ts';
import { learnCount } from './learn-count.ts';
import type { Prompt, PromptTarget, Subject } from '../prompt/prompt-layout.ts';
import type { ToollessModels } from '../prompt/toolless-models.ts';
import { runTurn } from '../turn/run-turn.ts';
import type { TurnStats } from './turn-stats.ts';
import {
  openTurnTools,
  type SubTarget,
  type TurnTools,
  type TurnToolsOptions,
} from '../turn/turn-tools.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { FinishedTurn, StepLimits } from '../turn/turn-state.ts';
import type { TurnFacts, TurnWatch, TurnWatcher } from '../turn/turn-watch.ts';
import { sumUsages } from '../wire/usage.ts';
import type { TokenGauge } from '../prompt/token-gauge.ts';

/** A model to answer with, and who serves it. */
export interface ChatTarget extends PromptTarget {
  readonly upstream: Upstream;
  readonly prices?: TokenPrices | undefined;
}

/** What answering needs. */
export interface ChatProxyOptions {
  readonly intake: RequestIntake;
  readonly prompts: PromptMaker;
  readonly toolless: ToollessModels;
  readonly gauge: TokenGauge;
  /** The target of a client's model name. @throws ProxyError `unknown_model` */
  readonly resolve: (model: string, signal: AbortSignal) => Promise<ChatTarget>;
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
  /** Hears what turns do; absent where nobody watches. */
  readonly watcher?: TurnWatcher | undefined;
  readonly nextId: () => string;
  readonly log: Logger;
}

/** Answers chat requests: takes them in, makes the prompt, runs the turn, encodes what comes. */
export class ChatProxy {
  readonly #options: ChatProxyOptions;

  constructor(options: ChatProxyOptions) {
    this.#options = options;
  }

  /** @throws ProxyError whatever is wrong before the answer begins */
  async handle(call: ChatCall): Promise<JsonReply | StreamReply> {
    const watch = this.#options.watcher?.begin(call);
    try {
      return await this.#answer(call, watch);
    } catch (error) {
      watch?.fails(error);
      throw error;
    }
  }

  async #answer(call: ChatCall, watch: TurnWatch | undefined): Promise<JsonReply | StreamReply> {
    const { clock } = this.#options;
    const startedMs = clock.elapsedMs();
    if (this.#options.secrets !== undefined) await this.#options.secrets.load();
    const intake = await this.#options.intake.take(call.body, call);
    call.noteWhose?.({
      client: intake.client,
      directory: intake.resolved.directory,
      model: intake.envelope.model,
    });
    watch?.know(factsOfIntake(intake));
    const target = await this.#options.resolve(intake.envelope.model, call.signal);
    watch?.know({ model: target.gaugeKey });
    const subject: Subject = { intake };
    const prompt = await this.#options.prompts.make(subject, target);
    if (prompt.own !== undefined) this.#options.indexes.keep(prompt.own.session);
    const run: Run = {
      call,
      subject,
      target,
      prompt,
      wasRefused: false,
      headers: {},
      quietUntilMs: 0,
      startedMs,
      watch,
      demotions: 0,
    };
    this.#take(run, prompt);
    if (prompt.own !== undefined) await this.#resolveSub(run);
    const count = intake.envelope['n'] ?? 1;
    if (count !== 1 && prompt.own !== undefined) throw manyAnswers();
    const chunks = count === 1 ? this.#turn(run) : this.#answers(run);
    const head: CompletionHead = {
      id: `chatcmpl-${call.requestId}`,
      created: Math.floor(clock.now() / 1000),
      model: intake.envelope.model,
    };
    if (intake.envelope.stream === true)
      return {
        kind: 'stream',
        frames: call.form?.frames(chunks, head) ?? framesOf(chunks, head, intake.envelope),
        headers: run.headers,
        quietUntilMs: () => run.quietUntilMs,
      };
    const body = await (call.form?.whole(chunks, head) ?? wholeOf(chunks, head, Number(count)));
    return { kind: 'json', status: 200, body, headers: run.headers };
  }

  /** Several answers to one question, in a conversation where nothing is hidden. */
  async *#answers(run: Run): AsyncGenerator<readonly Chunk[], void, void> {
    const { request } = run.prompt;
    const budget = this.#options.openBudget();
    const call = {
      signal: run.call.signal,
      headers: run.subject.intake.affinity,
      onRetry: (attempt: RetryNotice) => this.#noteRetry(run, attempt),
    };
    const answers = answersTo(request, this.#metered(run, budget), call, run.watch);
    try {
      await this.#finish(run, yield* answers);
    } catch (error) {
      run.watch?.fails(error);
      throw error;
    } finally {
      this.#end(run, budget);
    }
  }

  /**
   * The target's upstream as a run uses it: paid from the budget, and what its answers say of
   * themselves noted.
   */
  #metered(run: Run, budget: Budget): Upstream {
    return meterUpstream(run.target.upstream, budget, {
      prices: run.target.prices,
      isLoop: true,
      limit: new AnswerLimit(this.#options.answerLimits),
      onAnswer: ({ headers }) => {
        run.quietUntilMs = 0;
        Object.assign(run.headers, headers);
      },
      onFault: (error) => {
        if (error instanceof ProxyError) run.statedWindowTokens ??= error.parts.windowTokens;
      },
    });
  }

  #noteRetry(run: Run, attempt: RetryNotice): void {
    run.quietUntilMs = this.#options.clock.elapsedMs() + attempt.waitMs;
    this.#logRetry(run, attempt, 'upstream call is repeated');
  }

  #logRetry(run: Run, { number, ...attempt }: RetryNotice, words: string): void {
    this.#options.stats.work.noteRetry(attempt.code);
    this.#options.log.info({ request: run.call.requestId, attempt: number, ...attempt }, words);
  }

  #turn(run: Run): AsyncGenerator<readonly Chunk[], void, void> {
    const { call, prompt } = run;
    const budget = this.#options.openBudget();
    const toolsOf = ({ own, request }: Prompt): TurnTools | undefined =>
      own === undefined || run.sub === undefined
        ? undefined
        : openTurnTools(this.#options.tools, {
            own,
            offered: new Set((request.tools ?? []).map((tool) => tool.function?.name ?? '')),
            sub: run.sub,
            budget,
            signal: call.signal,
            onSubRetry: (attempt) =>
              this.#logRetry(run, attempt, 'upstream call of a sub-model is repeated'),
          });
    let tools = toolsOf(prompt);
    return runTurn({
      upstream: this.#metered(run, budget),
      request: prompt.request,
      ...(prompt.handOver === undefined ? {} : { handOver: prompt.handOver }),
      ...(prompt.room === undefined ? {} : { room: prompt.room }),
      ...(tools === undefined
        ? {}
        : { tools: tools.own, withoutUs: { promptTokens: this.#tokensWithout(run) } }),
      offer: () => run.prompt.own?.offer,
      takeAnswers: () => tools?.takeAnswers() ?? [],
      quotes: () => tools?.quotes,
      limits: this.#options.limits,
      budget,
      signal: call.signal,
      headers: run.subject.intake.affinity,
      showProgress: this.#options.showProgress,
      remember: async (done) => this.#finish(run, done),
      ...(this.#options.secrets === undefined
        ? {}
        : { mask: (value) => this.#options.secrets!.value(value) }),
      shorten: async (message, made) => shortenResult(run.prompt, message, made),
      withoutTools: async (error) => {
        const bare = await this.#withoutTools(run, error);
        if (bare === undefined) return undefined;
        this.#take(run, bare);
        return { request: bare.request, tools: undefined };
      },
      wake: async () => this.#wake(run),
      shrink: async (request) => {
        const smaller = await this.#shrink(run, request);
        if (smaller === undefined) return undefined;
        this.#take(run, smaller);
        if (smaller.own !== undefined) await this.#resolveSub(run);
        tools ??= toolsOf(smaller);
        return { request: smaller.request, tools: tools?.own, handOver: smaller.handOver };
      },
      onRetry: (attempt) => this.#noteRetry(run, attempt),
      onEnd: () => this.#end(run, budget),
      watch: run.watch,
    });
  }

  /** From now on this is the turn's prompt. */
  #take(run: Run, prompt: Prompt): void {
    run.prompt = prompt;
    if (prompt.window.demoted) run.demotions += 1;
    run.watch?.know({
      session: prompt.own?.session.id ?? run.subject.intake.resolved.session?.id,
      tools: prompt.own?.offer ?? 'none',
      demotions: run.demotions,
      estimatedPromptTokensWithout: this.#tokensWithout(run),
    });
  }

  async #resolveSub(run: Run): Promise<void> {
    run.sub ??= await this.#options.resolveSub(run.target, run.call.signal);
  }

  /** However a turn ends, its time counts for the day. */
  #end({ watch }: Run, budget: Budget): void {
    watch?.leaves();
    budget.close();
    this.#options.keepDay();
  }

  /**
   * After the upstream has refused tools that are all ours: the same without, and so from now on
   * with this model.
   */
  async #withoutTools({ subject, target, call }: Run, error: unknown): Promise<Prompt | undefined> {
    const { toolless, prompts, log } = this.#options;
    const { envelope } = subject.intake;
    // With tools of its own the client's request would be refused without us, too.
    if ((envelope.tools ?? []).length > 0) return undefined;
    const news = toolless.note(error, target.gaugeKey, envelope);
    if (news === undefined) return undefined;
    if (news !== '')
      log.warn(
        { request: call.requestId, model: news, ...failureOf(error as ProxyError) },
        'the model takes no tools; chats with it go on without ours, and large texts stay in the prompt',
      );
    return prompts.make(subject, target);
  }

  /**
   * The model of a dormant chat has called one of our tools: from the next step on it has them all,
   * and so has the chat.
   */
  async #wake(
    run: Run,
  ): Promise<{ readonly request: ChatRequest; readonly opened: Opened } | undefined> {
    const { subject, target, prompt } = run;
    if (prompt.own?.offer !== 'dormant') return undefined;
    const woken = await this.#options.prompts.wake(subject, target, run.shrunkTokens);
    if (woken === undefined) return undefined;
    run.firstPrompt = prompt;
    this.#take(run, woken.prompt);
    return { request: woken.prompt.request, opened: woken.opened };
  }

  /**
   * After the upstream has found a prompt too long: it knows its window better than we do, and it
   * is smaller than what was sent.
   */
  async #shrink(run: Run, request: ChatRequest): Promise<Prompt | undefined> {
    const { gauge, prompts } = this.#options;
    const { subject, target } = run;
    const scales = prompts.scalesOf(target);
    const sizeBytes = scales.weighRequest(request);
    const estimate = sizeBytes / scales.bytesPerToken;
    // Where the refusal states the window, it is that of the model which really answers.
    const windowTokens = Math.min(
      target.windowTokens ?? Infinity,
      run.statedWindowTokens ?? Infinity,
      estimate,
    );
    run.wasRefused = true;
    if (run.statedWindowTokens !== undefined)
      gauge.learnWindow(target.gaugeKey, run.statedWindowTokens);
    run.shrunkTokens = windowTokens;
    const smaller = await prompts.make(subject, target, windowTokens);
    if (target.windowTokens !== undefined && request === run.prompt.request)
      gauge.learnRefusal(target.gaugeKey, sizeBytes, target.windowTokens);
    return scales.weighRequest(smaller.request) < sizeBytes ? smaller : undefined;
  }

  /**
   * Before the answer ends: what the client has not seen is written down, what the upstream counted
   * is taken in.
   */
  async #finish(run: Run, turn: FinishedTurn): Promise<void> {
    // As the client's copy of it is going to be read.
    const done = this.#options.secrets?.value(turn) ?? turn;
    const { prompt, target } = run;
    const { intake } = run.subject;
    const { evictedBefore } = prompt.window;
    this.#options.intake.notePrompt(intake, { evictedBefore, whole: prompt.standing });
    const [first] = done.usages;
    const { promptTokens, cachedTokens, completionTokens } = sumUsages(done.usages);
    if (first !== undefined && !run.wasRefused)
      learnCount(
        this.#options,
        { target, prompt: run.firstPrompt ?? prompt, requestId: run.call.requestId },
        first.prompt_tokens,
      );
    const answer = answerOf(done);
    const remembered = intake.resolved.delivered(answer);
    if (prompt.own !== undefined)
      await this.#remember(prompt.own, done, { answer, requestId: run.call.requestId });
    await remembered;
    this.#options.stats.add({
      done,
      newlyStored: intake.newlyStored,
      parsedMessages: intake.parsedMessages,
      clientTokens: this.#tokensWithout(run),
      demotions: run.demotions,
      ...(intake.storeFault === undefined ? {} : { storeFault: intake.storeFault.code }),
    });
    this.#options.log.info(
      {
        request: run.call.requestId,
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
        estimatedPromptTokensWithout: this.#tokensWithout(run),
        stored: intake.newlyStored,
        parsedMessages: intake.parsedMessages,
        demotions: prompt.window.steps,
        limit: done.limit,
        ms: Math.round(this.#options.clock.elapsedMs() - run.startedMs),
      },
      'turn',
    );
    run.watch?.ends();
  }

  /** Prompt tokens of the client's own history, had it gone upstream as it came. An estimate. */
  #tokensWithout({ prompt, target }: Run): number {
    return Math.round(prompt.clientBytes / this.#options.gauge.bytesPerToken(target.gaugeKey));
  }

  /** Losing this memory costs a cache miss and never an answer, so a full disk ends no turn. */
  async #remember(
    own: NonNullable<Prompt['own']>,
    done: FinishedTurn,
    { answer, requestId }: { readonly answer: DeliveredAnswer; readonly requestId: string },
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
        { request: requestId, code: error.code },
        'the hidden steps of this turn could not be written down; the next one costs a cache miss',
      );
    }
  }
}

/** What a request says of itself, and what came of storing it. */
function factsOfIntake({ client, resolved, envelope, newlyStored }: Intake): TurnFacts {
  return {
    client,
    directory: resolved.directory,
    session: resolved.session?.id,
    chat: resolved.chatId,
    model: envelope.model,
    storedTexts: newlyStored,
  };
}

/** Calls of a turn that searched. */
function searchesIn({ before, message }: FinishedTurn): number {
  const calls = [...before, message].flatMap((said) => said.tool_calls ?? []);
  return calls.filter((call) => /rlm_(?:search|find)$/.test(callName(call))).length;
}

/** One request on its way. */
interface Run {
  readonly call: ChatCall;
  /** The client's request while its prompts are made. */
  readonly subject: Subject;
  readonly target: ChatTarget;
  /** What went upstream; a smaller one after a refusal. */
  prompt: Prompt;
  /** What its first step sent, where that was something else: a dormant chat's. */
  firstPrompt?: Prompt;
  /** Whether the upstream has found a prompt of this turn too long. */
  wasRefused: boolean;
  /** Of the upstream's answer, for the client. */
  readonly headers: Record<string, string>;
  /**
   * Until when nothing happens but waiting between two attempts, by the clock's elapsed
   * milliseconds.
   */
  quietUntilMs: number;
  /** The window that the prompt was made for after that, tokens. */
  shrunkTokens?: number;
  /** The window that a refusal of this turn has stated, tokens. */
  statedWindowTokens?: number | undefined;
  /** Set where there are tools that could ask it. */
  sub?: SubTarget;
  readonly startedMs: number;
  readonly watch: TurnWatch | undefined;
  /** Times that older material was moved out of its prompts. */
  demotions: number;
}
