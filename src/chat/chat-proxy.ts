import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { chatIdHeaders, headerOf, parentChatIdHeader } from '../opencode/environment.ts';
import type { IndexKeeper } from '../tools/index-keeper.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { encodeCompletion, StreamEncoder, type CompletionHead } from '../wire/encode.ts';
import { callText } from '../wire/calls.ts';
import { TurnFold } from '../wire/fold.ts';
import type { Chunk, ChatRequest, Message, ToolCall } from '../wire/types.ts';
import type { DeliveredAnswer } from './answer-memory.ts';
import type { Budget, TokenPrices } from './budget.ts';
import { hashCall, hashText } from './identity.ts';
import type { Intake, RequestIntake } from './intake.ts';
import { withClosingText } from './closing-text.ts';
import { meterUpstream } from './metered-upstream.ts';
import type { Prompt, PromptMaker, PromptTarget } from './prompt.ts';
import { runTurn } from './turn.ts';
import type { TurnStats } from './turn-stats.ts';
import {
  openTurnTools,
  type SubTarget,
  type TurnTools,
  type TurnToolsOptions,
} from './turn-tools.ts';
import type { FinishedTurn, TurnLimits } from './turn-types.ts';
import { sumUsages } from './usage-sums.ts';
import { requestBytes } from '../wire/message-json.ts';
import type { TokenGauge } from './window.ts';

/** A client's request as it comes from the HTTP side. */
export interface ChatCall {
  readonly body: AsyncIterable<Uint8Array>;
  readonly headers: IncomingHttpHeaders;
  readonly signal: AbortSignal;
  readonly requestId: string;
}

/** A whole answer, or one in frames. */
export type ChatReply =
  | { readonly kind: 'json'; readonly status: number; readonly body: string }
  | { readonly kind: 'stream'; readonly frames: AsyncIterable<string> };

/** A model to answer with, and who serves it. */
export interface ChatTarget extends PromptTarget {
  readonly upstream: Upstream;
  readonly prices?: TokenPrices;
}

/** What answering needs. */
export interface ChatProxyOptions {
  readonly intake: RequestIntake;
  readonly prompts: PromptMaker;
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
  readonly limits: TurnLimits;
  readonly showProgress: boolean;
  /** Longest text from a program that stands in later prompts as it was shown; of a longer one they have a stub. Code units. */
  readonly maxClosingChars: number;
  readonly clock: Clock;
  readonly stats: TurnStats;
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
  async handle(call: ChatCall): Promise<ChatReply> {
    const { clock } = this.#options;
    const startedMs = clock.elapsedMs();
    const intake = await this.#options.intake.take(call.body, call.headers);
    const target = await this.#options.resolve(intake.envelope.model, call.signal);
    const prompt = await this.#options.prompts.make(intake, target);
    if (prompt.own !== undefined) this.#options.indexes.keep(prompt.own.session);
    const run: Run = {
      call,
      intake,
      target,
      prompt,
      wasRefused: false,
      startedMs,
    };
    if (prompt.own !== undefined) await this.#resolveSub(run);
    const chunks = this.#turn(run);
    const head: CompletionHead = {
      id: `chatcmpl-${call.requestId}`,
      created: Math.floor(clock.now() / 1000),
      model: intake.envelope.model,
    };
    if (intake.envelope.stream === true)
      return { kind: 'stream', frames: this.#frames(chunks, run, head) };
    const fold = new TurnFold();
    for await (const batch of chunks) for (const chunk of batch) fold.add(chunk);
    return { kind: 'json', status: 200, body: encodeCompletion(head, fold.turn()) };
  }

  async *#frames(
    chunks: AsyncIterable<readonly Chunk[]>,
    { intake }: Run,
    head: CompletionHead,
  ): AsyncGenerator<string, void, void> {
    const encoder = new StreamEncoder(head, {
      includeUsage: intake.envelope.stream_options?.include_usage === true,
    });
    for await (const batch of chunks) {
      const frames = encoder.encode(batch);
      if (frames !== '') yield frames;
    }
    yield encoder.done();
  }

  #turn(run: Run): AsyncGenerator<readonly Chunk[], void, void> {
    const { call, target, prompt } = run;
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
          });
    let tools = toolsOf(prompt);
    const turn = runTurn({
      upstream: meterUpstream(target.upstream, budget, { prices: target.prices, isLoop: true }),
      request: prompt.request,
      ...(prompt.room === undefined ? {} : { room: prompt.room }),
      ...(tools === undefined
        ? {}
        : { tools: tools.own, withoutUs: { promptTokens: this.#tokensWithout(run) } }),
      takeAnswers: () => tools?.takeAnswers() ?? [],
      limits: this.#options.limits,
      budget,
      signal: call.signal,
      headers: affinityHeaders(call.headers),
      showProgress: this.#options.showProgress,
      remember: async (done) => this.#finish(run, done),
      shorten: async (message, made) => shortenResult(run.prompt, message, made),
      shrink: async (request) => {
        const smaller = await this.#shrink(run, request);
        if (smaller === undefined) return undefined;
        run.prompt = smaller;
        if (smaller.own !== undefined) await this.#resolveSub(run);
        tools ??= toolsOf(smaller);
        return { request: smaller.request, tools: tools?.own };
      },
      onRetry: ({ number, waitMs, reason }) =>
        this.#options.log.info(
          { request: call.requestId, attempt: number, waitMs, reason },
          'upstream call is repeated',
        ),
    });
    return this.#counted(turn, budget);
  }

  async #resolveSub(run: Run): Promise<void> {
    run.sub ??= await this.#options.resolveSub(run.target, run.call.signal);
  }

  /** However a turn ends, its time counts for the day. */
  async *#counted(
    turn: AsyncGenerator<readonly Chunk[], void, void>,
    budget: Budget,
  ): AsyncGenerator<readonly Chunk[], void, void> {
    try {
      yield* turn;
    } finally {
      budget.close();
      this.#options.keepDay();
    }
  }

  /** After the upstream has found a prompt too long: it knows its window better than we do, and it is smaller than what was sent. */
  async #shrink(run: Run, request: ChatRequest): Promise<Prompt | undefined> {
    const { gauge, prompts } = this.#options;
    const { intake, target } = run;
    const sizeBytes = requestBytes(request);
    const estimate = sizeBytes / gauge.bytesPerToken(target.gaugeKey);
    const windowTokens = Math.min(target.windowTokens ?? Infinity, estimate);
    run.wasRefused = true;
    const smaller = await prompts.make(intake, target, windowTokens);
    if (target.windowTokens !== undefined && request === run.prompt.request)
      gauge.learnRefusal(target.gaugeKey, sizeBytes, target.windowTokens);
    return requestBytes(smaller.request) < sizeBytes ? smaller : undefined;
  }

  /** Before the answer ends: what the client has not seen is written down, what the upstream counted is taken in. */
  async #finish(run: Run, done: FinishedTurn): Promise<void> {
    const { prompt, target, intake } = run;
    const [first] = done.usages;
    const { promptTokens, cachedTokens, completionTokens } = sumUsages(done.usages);
    if (first !== undefined && !run.wasRefused)
      this.#options.gauge.learn(target.gaugeKey, requestBytes(prompt.request), first.prompt_tokens);
    const answer = answerOf(done);
    const remembered = intake.whose.delivered(answer);
    if (prompt.own !== undefined)
      await this.#remember(prompt.own, done, { answer, requestId: run.call.requestId });
    await remembered;
    this.#options.stats.add({
      done,
      newlyStored: intake.newlyStored,
      clientTokens: this.#tokensWithout(run),
      demoted: prompt.window.demoted,
      ...(intake.storeFault === undefined ? {} : { storeFault: intake.storeFault.code }),
    });
    this.#options.log.info(
      {
        request: run.call.requestId,
        session: prompt.own?.session.id ?? intake.whose.session?.id,
        chat: intake.whose.chatId,
        model: target.gaugeKey,
        steps: done.steps,
        calls: done.ownCalls,
        promptTokens,
        cachedTokens,
        uncachedTokens: promptTokens - cachedTokens,
        completionTokens,
        estimatedPromptTokensWithout: this.#tokensWithout(run),
        stored: intake.newlyStored,
        demotions: prompt.window.steps,
        limit: done.limit,
        ms: Math.round(this.#options.clock.elapsedMs() - run.startedMs),
      },
      'turn',
    );
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

/** The answer as the client has it: the text it was shown, and the calls that are its own. */
function answerOf({ message, results, shownText }: FinishedTurn): DeliveredAnswer {
  const calls = (message.tool_calls ?? []).filter((call) => !Object.hasOwn(results, call.id));
  return {
    callIds: calls.map((call) => call.id),
    callHashes: calls.map(hashCall),
    argsLength: calls.reduce((total, call) => total + callText(call).length, 0),
    textHash: hashText(shownText),
    textLength: shownText.length,
  };
}

/** One request on its way. */
interface Run {
  readonly call: ChatCall;
  readonly intake: Intake;
  readonly target: ChatTarget;
  /** What went upstream; a smaller one after a refusal. */
  prompt: Prompt;
  /** Whether the upstream has found a prompt of this turn too long. */
  wasRefused: boolean;
  /** Set where there are tools that could ask it. */
  sub?: SubTarget;
  readonly startedMs: number;
}

async function shortenResult(
  { own }: Prompt,
  message: Message,
  call: ToolCall | undefined,
): Promise<Message> {
  if (own === undefined) return message;
  return own.ownResults.shorten(message, { call, chatId: own.place.chatId });
}

/** Names of the conversation that providers use to find their cache; everything else about the client stays here. */
function affinityHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const name of [...chatIdHeaders, parentChatIdHeader]) {
    const value = headerOf(headers, name);
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}
