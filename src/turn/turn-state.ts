import { ProxyError } from '../errors.ts';
import type { RetryNotice, Upstream } from '../upstream/upstream.ts';
import { callName, callText } from '../wire/calls.ts';
import type {
  ChatRequest,
  Chunk,
  FunctionCall,
  Message,
  ToolCall,
  ToolCallDelta,
  Usage,
} from '../wire/types.ts';
import type { Budget } from './budget.ts';
import type { QuoteChecker } from './check-quotes.ts';
import type { CallEars, TurnWatch } from './turn-watch.ts';
import type { Offer } from '../prompt/activation.ts';
import type { Opened } from '../prompt/dormant-tool.ts';
import type { HandOver } from '../prompt/hidden-calls.ts';
import { type TurnRoom, fitSteps } from '../prompt/window.ts';
import { toolMessage } from '../prompt/weave.ts';
import { messageBytes, requestBytes } from '../wire/message-json.ts';

/** Our side of the tool loop: which calls are ours, and how one is run. */
export interface ProxyTools {
  isOwn(name: string): boolean;
  /** A call of this name has begun to arrive. */
  expect(name: string): void;
  /** Short text for progress. */
  describe(call: FunctionCall): string;
  /** Text for the model; throws only when we fail ourselves. */
  run(call: FunctionCall, signal: AbortSignal, ears: CallEars): Promise<string>;
}

/** Bounds of one turn. */
export interface StepLimits {
  /** Upstream completions. */
  readonly steps: number;
  /** Calls of our tools run in one step; what is over gets a sentence instead. */
  readonly callsPerStep: number;
}

/** What a turn needs. Its members are called as members: it may be an object with a state. */
export interface Turn {
  readonly upstream: Upstream;
  /** Of the first step. */
  readonly request: ChatRequest;
  /** Absent: nothing is ours, the answer is passed on. */
  readonly tools?: ProxyTools | undefined;
  /** Present: steps of ours come first, and the last step has the client's own choice of tools. */
  readonly handOver?: HandOver | undefined;
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
  takeAnswers(): readonly string[];
  /** Looks up what the answer quotes; nothing where there is no store of ours, or nobody asks. */
  quotes(): QuoteChecker | undefined;
  /**
   * What the turn would have sent without us, estimated; present where our tools are, and then
   * reported in the usage.
   */
  readonly withoutUs?: { readonly promptTokens: number } | undefined;
  /** Whether the chat has all of our tools by now; told with it. */
  offer?(): Offer['kind'] | undefined;
  /** Called once, before the answer ends. */
  remember(done: FinishedTurn): Promise<void>;
  /** Room for the turn's own results; absent where the window is not known. */
  readonly room?: TurnRoom | undefined;
  shorten(message: Message, call: ToolCall | undefined): Promise<Message>;
  /** Takes secrets out of what goes upstream again; absent where they stay. */
  mask?<Value>(value: Value): Value;
  /**
   * A request without our tools after the upstream has refused this one because of them; nothing
   * where that was not it.
   */
  withoutTools?(
    error: unknown,
  ): Promise<{ readonly request: ChatRequest; readonly tools: ProxyTools | undefined } | undefined>;
  /**
   * The request of the steps that follow the first call of ours in a dormant chat, and what that
   * has opened; nothing in any other chat. Absent where nothing is ours.
   */
  wake?(): Promise<{ readonly request: ChatRequest; readonly opened: Opened } | undefined>;
  /**
   * A smaller request, and the tools that are ours in it, after the upstream found this one too
   * long; nothing when no more can be done. Asked once a turn.
   */
  shrink(request: ChatRequest): Promise<
    | {
        readonly request: ChatRequest;
        readonly tools: ProxyTools | undefined;
        readonly handOver?: HandOver | undefined;
      }
    | undefined
  >;
  onRetry(attempt: RetryNotice): void;
  /** Called once, however the turn ends; absent where nobody asks. */
  onEnd?(): void;
  /** Hears what the turn does; absent where nobody watches. */
  readonly watch?: TurnWatch | undefined;
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
  readonly limit?: string | undefined;
}

/** The same call so often in a row gets the old result and a note (opencode's own guard uses 3). */
const maxIdenticalCalls = 3;

/** A count below this says little about how many bytes make a token. */
const minCountedTokens = 1_000;

/** What is sent after a refusal is at most so much of what was refused. */
const refusedShare = 0.7;

/** What changes from step to step of one turn. */
export class TurnState {
  readonly #turn: Turn;
  /** Hidden turns and results so far: part of what the upstream sees, and of what is remembered. */
  readonly before: Message[] = [];
  readonly usages: Usage[] = [];
  steps = 0;
  ownCalls = 0;
  /** JSON of all requests so far, bytes. */
  sentBytes = 0;
  /** All text the client has been shown. */
  shownText = '';
  /** The limit that has been reached, in words. */
  limit: string | undefined;
  /**
   * Whether steps of ours came first, and the step that runs has the client's own choice of tools.
   */
  isHandingOver = false;
  /** Whether the request has been made smaller after an overflow. */
  isShrunk = false;
  request: ChatRequest;
  tools: ProxyTools | undefined;
  /**
   * What has to come to pass before the step in which the client's own choice of tools holds;
   * absent in that step, and where it always holds.
   */
  handOver: HandOver | undefined;
  readonly #repeats = new RepeatGuard();
  /**
   * Calls of the step that runs of which the client has had pieces, by index. From then on nothing
   * of the step is tried again.
   */
  readonly streamed = new Set<number>();
  /** All calls of the step that has ended, in the order of their indexes. */
  calls: readonly ToolCall[] = [];
  #holdsCalls = false;
  /** Size of the last step's request. */
  #lastBytes = 0;
  #measured: { readonly request: ChatRequest; readonly sizeBytes: number } | undefined;

  constructor(turn: Turn) {
    this.#turn = turn;
    this.request = turn.request;
    this.tools = turn.tools;
    this.handOver = turn.handOver;
  }

  /** Whether the step that runs is the one that has to answer. */
  get isLast(): boolean {
    return this.limit !== undefined || this.isHandingOver;
  }

  /** Before a step's chunks come. */
  beginStep(): void {
    this.streamed.clear();
    this.#holdsCalls = this.handOver !== undefined;
  }

  /**
   * Pieces of calls that the client may see at once: in a chat without our tools all of them, else
   * those of its own calls, until a call of ours comes. What is behind that waits for the step's
   * end: clients run a call as soon as its arguments parse, and ours are run first.
   */
  streamable(deltas: readonly ToolCallDelta[]): readonly ToolCallDelta[] {
    return deltas.filter(({ index, name, type }) => {
      if (name !== undefined && !this.#holdsCalls) {
        const isOwn = type !== 'custom' && this.tools?.isOwn(name) === true;
        if (isOwn) this.#holdsCalls = true;
        else this.streamed.add(index);
      }
      return this.streamed.has(index);
    });
  }

  /**
   * Whether the text of the step that runs is held back until it has ended: of several texts the
   * client is to get one, as its answer.
   */
  get holdsText(): boolean {
    if (this.handOver !== undefined) return true;
    return this.isOneDocument && this.tools !== undefined && !this.isLast;
  }

  /**
   * Whether a program is going to read the answer: then it is the text of one step and nothing
   * else.
   */
  get isOneDocument(): boolean {
    const format = this.request['response_format'];
    if (typeof format !== 'object' || format === null) return false;
    return ((format as { readonly type?: unknown }).type ?? 'text') !== 'text';
  }

  /**
   * Before calls of ours are run: in a dormant chat the next step has all tools, and what that
   * opens is returned.
   */
  async wake(): Promise<Opened | undefined> {
    const woken = await this.#turn.wake?.();
    if (woken === undefined) return undefined;
    this.request = woken.request;
    return woken.opened;
  }

  /** From the next step on the client's own choice of tools holds. */
  handOverNow(): void {
    this.isHandingOver = true;
    this.handOver = undefined;
  }

  /** Before the next step: makes room for the results of the last one. */
  async fit(): Promise<void> {
    const { room } = this.#turn;
    if (room === undefined || this.before.length === 0) return;
    const counted = this.usages.at(-1)?.prompt_tokens ?? 0;
    // The last step's count is better than what was known before the turn; small ones are mostly
    // templates.
    const known = room.scales.bytesPerToken;
    // One count that is far off what many have shown is no reason to take results away.
    const measured =
      counted >= minCountedTokens ? Math.max(this.#lastBytes / counted, known / 2) : known;
    await this.#fitInto(room.maxTokens * Math.min(measured, known));
  }

  /** Makes hidden turns and results so much smaller that the next request has so many bytes. */
  async #fitInto(maxBytes: number): Promise<void> {
    await fitSteps(this.before, {
      requestBytes: this.#requestBytes(),
      maxBytes,
      shorten: async (message, call) => this.#turn.shorten(message, call),
    });
  }

  /**
   * Whether the step can be tried once more with another request, after the upstream has refused
   * this one.
   */
  async recover(error: unknown): Promise<boolean> {
    if (error instanceof ProxyError && error.code === 'context_length_exceeded')
      return this.#shrink();
    if (this.tools === undefined || this.before.length > 0) return false;
    const bare = await this.#turn.withoutTools?.(error);
    if (bare === undefined) return false;
    this.request = bare.request;
    this.tools = bare.tools;
    this.handOver = undefined;
    return true;
  }

  /**
   * After the upstream found the last request too long: once in a turn, makes it smaller. Whether
   * that went.
   */
  async #shrink(): Promise<boolean> {
    if (this.isShrunk) return false;
    this.isShrunk = true;
    const sentBytes = this.#lastBytes;
    const smaller = await this.#turn.shrink(this.request);
    if (smaller !== undefined) {
      this.request = smaller.request;
      this.tools = smaller.tools;
      if (this.before.length === 0) this.handOver = smaller.handOver;
    }
    await this.#fitInto(sentBytes * refusedShare);
    return this.#totalBytes() < sentBytes;
  }

  /**
   * The request of the next step. At a limit the model is told to answer with what it has.
   * @throws ProxyError `limit_reached` when a day's budget is used up before the first step
   */
  next(): ChatRequest {
    const { request, before } = this;
    const ended = this.limit ?? this.#limitReached();
    if (ended !== undefined && before.length === 0) throw new ProxyError('limit_reached', ended);
    if (ended !== undefined && this.limit === undefined) {
      this.limit = ended;
      this.#turn.watch?.know({ limit: ended });
      if (this.handOver !== undefined) this.handOverNow();
      this.#closeWith(ended);
    }
    const sent =
      before.length === 0 ? request : { ...request, messages: [...request.messages, ...before] };
    this.#lastBytes = this.#totalBytes();
    const sentBytes = requestBytes(sent);
    this.sentBytes += sentBytes;
    this.#turn.watch?.stepBegins(sentBytes);
    if (this.handOver !== undefined) return { ...sent, ...this.handOver.opening };
    // What the client demands, it gets in the last step, too.
    if (this.limit === undefined || this.isHandingOver) return sent;
    return { ...sent, tool_choice: 'none' };
  }

  /** A hidden turn and its results become part of what the upstream sees next. */
  append(
    message: Message,
    calls: readonly ToolCall[],
    results: Readonly<Record<string, string>>,
  ): void {
    const added = [
      message,
      ...calls.map((call) => toolMessage(call.id, results[call.id] as string)),
    ];
    this.before.push(...(this.#turn.mask?.(added) ?? added));
  }

  /**
   * Takes note of text that goes to the client; a hidden step between two texts becomes a
   * paragraph's end.
   */
  show(chunk: Chunk, isFirstOfStep: boolean): Chunk {
    const { content } = chunk;
    if (content === undefined) return chunk;
    const glued =
      isFirstOfStep && this.shownText !== '' && !/\s$/.test(this.shownText) && !/^\s/.test(content);
    const shown = glued ? `\n\n${content}` : content;
    this.shownText += shown;
    this.#turn.quotes()?.take(shown);
    return glued ? { ...chunk, content: shown } : chunk;
  }

  /**
   * The result of a call that has just been made too often in a row, instead of making it again.
   */
  repeated(call: ToolCall): string | undefined {
    return this.#repeats.answer(call);
  }

  noteResult(call: ToolCall, result: string): void {
    this.#repeats.note(call, result);
  }

  #totalBytes(): number {
    return this.before.reduce(
      (total, message) => total + messageBytes(message) + 1,
      this.#requestBytes(),
    );
  }

  #requestBytes(): number {
    if (this.#measured?.request !== this.request)
      this.#measured = { request: this.request, sizeBytes: this.#weigh(this.request) };
    return this.#measured.sizeBytes;
  }

  /** What is not text counts as what it costs, where that is known. */
  #weigh(request: ChatRequest): number {
    const { room } = this.#turn;
    return room === undefined ? requestBytes(request) : room.scales.weighRequest(request);
  }

  #limitReached(): string | undefined {
    const { limits, budget } = this.#turn;
    // The last step that is allowed is the one that has to answer.
    const isLastStep = this.steps > 0 && this.steps + 1 >= limits.steps;
    return isLastStep
      ? `Stopped by the limit turn.steps: ${limits.steps} steps a turn are used up.`
      : budget.check()?.sentence;
  }

  /**
   * The order to answer stands in the last result, for providers that know no `tool_choice: none`;
   * it stays there, so that the prefix does.
   */
  #closeWith(limit: string): void {
    const last = this.before.at(-1);
    if (last === undefined) return;
    const order = this.isHandingOver ? 'Search no further' : 'Call no more tools';
    const note = `\n[rlm] ${limit} ${order}; answer now with what you have, and say what is missing.`;
    this.before[this.before.length - 1] = {
      ...last,
      content: `${typeof last.content === 'string' ? last.content : ''}${note}`,
    };
  }
}

/** Notices a model that makes the same call again and again. */
class RepeatGuard {
  #key = '';
  #count = 0;
  #result = '';

  answer(call: ToolCall): string | undefined {
    if (callKey(call) !== this.#key || this.#count < maxIdenticalCalls - 1) return undefined;
    this.#count += 1;
    return `${this.#result}\n[rlm] This is the result from before: the same call was made ${this.#count} times in a row. Use it, or ask something else.`;
  }

  note(call: ToolCall, result: string): void {
    const key = callKey(call);
    this.#count = key === this.#key ? this.#count + 1 : 1;
    this.#key = key;
    this.#result = result;
  }
}

function callKey(call: ToolCall): string {
  return `${callName(call)}\0${callText(call).replace(/\s+/g, '')}`;
}
