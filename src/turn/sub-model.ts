import { ProxyError } from '../errors.ts';
import type { Programs } from '../tools/programs/program-host.ts';
import type { ToolRegistry } from '../tools/registry.ts';
import type { Slice, SubModel, SubQuestion } from '../tools/sub-model.ts';
import type { ToolContext } from '../tools/tool.ts';
import type { RetryNotice, Upstream } from '../upstream/upstream.ts';
import { TurnFold } from '../wire/fold.ts';
import type { ChatRequest, Chunk, FoldedTurn } from '../wire/types.ts';
import type { Budget, TokenPrices } from './budget.ts';
import { AnswerLimit, meterUpstream } from './metered-upstream.ts';
import type { Semaphore } from '../base/semaphore.ts';
import { droppedMessage } from '../prompt/shorten-results.ts';
import { runTurn } from './run-turn.ts';
import type { ProxyTools, StepLimits } from './turn-state.ts';

/** What {@link createSubModel} needs. */
export interface SubModelOptions {
  readonly upstream: Upstream;
  /** The sub-model's id at that upstream. */
  readonly model: string;
  readonly prices?: TokenPrices | undefined;
  /** Of the turn or the sub-call that asks. */
  readonly budget: Budget;
  /** Shared by all sub-calls of a turn: completions under way at once. */
  readonly slots: Semaphore;
  readonly concurrency: number;
  readonly maxTextChars: number;
  /** What a sub-call with tools gets: the tools, and the asker's context to run them in. */
  readonly tools: ToolRegistry;
  readonly context: Omit<ToolContext, 'subModel' | 'slice' | 'signal'>;
  /** Bounds of one sub-call with tools. */
  readonly limits: StepLimits;
  /**
   * Takes a line of progress for each sub-call and each step inside one; `↳` once for each level.
   */
  readonly report: (text: string) => void;
  /** Told of each question, at whatever level it is put. */
  readonly asks: () => void;
  /** Told of each call that is repeated. */
  readonly onRetry: (attempt: RetryNotice) => void;
}

/** Stands once for each level before a line of progress. */
const levelMark = '↳';

/**
 * What a sub-model may say in one completion, which is held until it has ended: more than any model
 * says at once (128,000 tokens), and few megabytes.
 */
const answerLimits = { maxChars: 1_000_000, maxCalls: 1_000 };

const readerRole =
  'You answer a question about a text, or about one part of a longer text: then the question says which. You see only that. Answer from it alone, briefly and completely; if it does not hold the answer, say so in one short sentence.';

const mergerRole =
  'You make one answer of several. A question was asked about each part of a longer text; you get the answers, not the text. Do with them what the instruction says, and nothing else. Keep names, numbers and places as they stand; a part that found nothing adds nothing; where answers contradict each other, say which parts say what.';

const explorerRole =
  'You answer a question about a part of a longer text that is not in this conversation. Reach it with the tools: search first, read only what you need, let rlm_exec count. Offsets are those of the whole text. Answer briefly and completely, from what you read.';

/**
 * The sub-models of one turn, or of one sub-call inside it: questions become completions, paid from
 * the one budget.
 */
export function createSubModel(options: SubModelOptions): SubModel {
  const { budget, maxTextChars, concurrency } = options;
  return {
    maxTextChars,
    concurrency,
    mayExplore: budget.mayRecurse,
    get left() {
      return budget.left;
    },
    ask: async (question, signal) => {
      if (budget.takeSubCalls(1) === 0)
        throw new ProxyError('limit_reached', budget.subCallRefusal.sentence);
      options.report(`${levelMark.repeat(budget.depth + 1)} ${question.label}`);
      options.asks();
      return question.slice === undefined
        ? read(question, queued(options, false), { ...options, signal })
        : explore(question, question.slice, { options, signal });
    },
  };
}

/**
 * The upstream as sub-calls use it: a completion waits for a slot, holds it until it has ended, and
 * is paid.
 */
function queued({ upstream, budget, prices, slots }: SubModelOptions, isLoop: boolean): Upstream {
  const metered = meterUpstream(upstream, budget, { prices, isLoop });
  return {
    ...metered,
    complete: async (request, call) =>
      slots.run(call.signal, async () => {
        const ended = budget.check();
        if (ended !== undefined) throw new ProxyError('limit_reached', ended.sentence);
        const { model, batches } = await metered.complete(request, call);
        return { model, batches: replay(await collected(batches)) };
      }),
  };
}

/** All that a sub-model says, up to the limits of one answer; there the upstream is left. */
async function collected(
  batches: AsyncIterable<readonly Chunk[]>,
): Promise<readonly (readonly Chunk[])[]> {
  const limit = new AnswerLimit(answerLimits);
  const items: (readonly Chunk[])[] = [];
  for await (const batch of batches) {
    const { kept, sentence } = limit.take(batch);
    items.push(kept);
    if (sentence === undefined) continue;
    items.push([{ finishReason: 'length' }]);
    break;
  }
  return items;
}

async function* replay<Item>(items: readonly Item[]): AsyncGenerator<Item, void, void> {
  yield* items;
}

/** One completion over a text. */
async function read(
  { question, text, textName, task = 'read', maxAnswerTokens }: SubQuestion,
  upstream: Upstream,
  {
    model,
    signal,
    onRetry,
  }: Pick<SubModelOptions, 'model' | 'onRetry'> & { readonly signal: AbortSignal },
): Promise<string> {
  const tag = task === 'merge' ? 'answers' : 'text';
  const named = textName === undefined ? '' : `${textName}\n`;
  const content =
    text === undefined ? question : `${question}\n\n${named}<${tag}>\n${text}\n</${tag}>`;
  const request: ChatRequest = {
    model,
    messages: [
      { role: 'system', content: task === 'merge' ? mergerRole : readerRole },
      { role: 'user', content },
    ],
    ...(maxAnswerTokens === undefined ? {} : { max_completion_tokens: maxAnswerTokens }),
  };
  const stream = await upstream.complete(request, { signal, onRetry });
  const fold = new TurnFold();
  for await (const batch of stream.batches) for (const chunk of batch) fold.add(chunk);
  return answerOf(fold.turn());
}

function answerOf({ message, finishReason }: FoldedTurn): string {
  const text = typeof message.content === 'string' ? message.content.trim() : '';
  if (text === '')
    throw new ProxyError('upstream_failed', `the sub-model gave no answer (${finishReason})`);
  return finishReason === 'length' ? `${text} [cut by the sub-model's output limit]` : text;
}

/** A turn of its own over a slice, one level deeper: the recursion. */
async function explore(
  { question, textName }: SubQuestion,
  slice: Slice,
  given: {
    readonly options: SubModelOptions;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const { options, signal } = given;
  const { tools } = options;
  const answers: string[] = [];
  const budget = options.budget.child();
  const { programs, ...shared } = options.context;
  const own = programs === undefined ? undefined : ofSubCall(programs, slice, answers);
  const context: ToolContext = {
    ...shared,
    // Its programs see its slice: variables of their own, which end with it.
    programs: own,
    signal,
    slice,
    subModel: createSubModel({ ...options, budget }),
  };
  const ownTools: ProxyTools = {
    isOwn: (name) => tools.isOwn(name),
    expect: (name) => tools.expect(name, context),
    describe: (call) => tools.describe(call, context),
    run: async (call) => {
      options.report(`${levelMark.repeat(budget.depth + 1)} ${tools.describe(call, context)}`);
      return tools.run(call, context);
    },
  };
  const turn = runTurn({
    upstream: queued(options, true),
    request: exploreRequest({ question, textName }, slice, options),
    tools: ownTools,
    limits: options.limits,
    budget,
    signal,
    headers: {},
    showProgress: false,
    remember: async () => undefined,
    shorten: async (message) => droppedMessage(message),
    shrink: async () => undefined,
    onRetry: (attempt) => options.onRetry(attempt),
    takeAnswers: () => answers.splice(0),
    quotes: () => undefined,
  });
  const texts: string[] = [];
  try {
    for await (const batch of turn)
      for (const { content } of batch) if (content !== undefined) texts.push(content);
  } finally {
    await own?.sandboxes.end(own.chatId);
  }
  const answer = texts.join('').trim();
  if (answer === '') throw new ProxyError('upstream_failed', 'the sub-call gave no answer');
  return answer;
}

function exploreRequest(
  { question, textName }: { readonly question: string; readonly textName?: string | undefined },
  { startChars, endChars }: Slice,
  { model, tools }: SubModelOptions,
): ChatRequest {
  const named = textName === undefined ? '' : ` ${textName}`;
  const where = `The part is characters ${startChars} to ${endChars} of the whole text.${named}`;
  return {
    model,
    messages: [
      { role: 'system', content: `${explorerRole} ${where}` },
      { role: 'user', content: question },
    ],
    tools: tools.definitions,
  };
}

/** The place where a sub-call's programs run. */
function ofSubCall(programs: Programs, slice: Slice, answers: string[]): Programs {
  return {
    sandboxes: programs.sandboxes,
    chatId: `${programs.chatId}:${slice.startChars}-${slice.endChars}`,
    names: { load: async () => [], save: async () => undefined },
    onAnswer: (text) => void answers.push(text),
  };
}
