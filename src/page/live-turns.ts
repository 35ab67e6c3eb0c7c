import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { CallWatch, TurnFacts, TurnWatch, TurnWatcher } from '../turn/turn-watch.ts';
import { errorBody } from '../wire/error-body.ts';
import type { Usage } from '../wire/types.ts';
import { sumUsages } from '../wire/usage.ts';
import type { CallView, StepView, TurnView } from './page-protocol.ts';

/** Turns that are kept after their end: as many as a page shows. */
const maxEnded = 500;

/** Running turns that are watched: more than a server has with its default limits. */
const maxRunning = 1_000;

/**
 * Steps, calls and reports that are kept of all turns together, some 200 bytes each. Where there
 * are more, the turns that ended first lose theirs, and then running ones; their sums stay.
 */
const maxParts = 20_000;

/** Steps kept of one running turn; the newest. */
const maxSteps = 200;

/** Calls kept of one step; the first ones. */
const maxCalls = 100;

/** Reports kept of one call; the newest. */
const maxReports = 20;

/** Longest of each text that is kept, code units. Longer ones end in `…`. */
const maxChars = { name: 200, words: 300, directory: 1_000, sentence: 2_000 } as const;

/** The same of what is known of a turn. */
const factChars = {
  client: maxChars.name,
  directory: maxChars.directory,
  session: maxChars.name,
  chat: maxChars.name,
  model: maxChars.name,
  limit: maxChars.sentence,
} as const;
const textFacts = Object.entries(factChars) as readonly [keyof typeof factChars, number][];

/** Changes are told so often at most, milliseconds. */
const tellingMs = 250;

/** Told of turns that have changed, each as it is now. */
export type TurnsListener = (turns: readonly TurnView[]) => void;

/** What is kept of a call while its turn runs. */
interface CallRecord {
  readonly name: string;
  readonly words: string;
  readonly startedMs: number;
  endedMs?: number;
  resultChars?: number;
  readonly reports: string[];
  subCalls: number;
}

/** The same of a step. */
interface StepRecord {
  readonly startedMs: number;
  firstChunkMs?: number;
  endedMs?: number;
  readonly sentBytes: number;
  usage?: Usage | undefined;
  readonly calls: CallRecord[];
  /** Whether it is still part of its turn, and counts. */
  isKept: boolean;
}

/**
 * Remembers what turns do and have done, for whoever looks at the page: the running ones, and the
 * last 500 that have ended. All of it is bounded, in number and in length, so it may always run.
 * Where nobody has subscribed there is no timer and nothing is told.
 */
export class LiveTurns implements TurnWatcher {
  readonly #clock: Clock;
  /** In the order in which they began. */
  readonly #running = new Set<RunningTurn>();
  /** In the order in which they ended. */
  readonly #ended: RunningTurn[] = [];
  #begun = 0;
  /** Steps, calls and reports of all of them. */
  #parts = 0;
  readonly #listeners = new Set<TurnsListener>();
  /** What has changed and was not told yet. */
  readonly #changed = new Map<string, RunningTurn>();
  /** Those that were told while they ran: their end is told, whatever comes meanwhile. */
  readonly #toldRunning = new Set<string>();
  readonly #ears: RunningEars = {
    onChange: (turn) => this.#note(turn),
    onParts: (count) => this.#addParts(count),
    onEnd: (turn) => {
      this.#running.delete(turn);
      this.#keep(turn);
    },
  };
  #cancelTelling: (() => void) | undefined;
  #toldMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(turn: { readonly requestId: string; readonly signal: AbortSignal }): TurnWatch | undefined {
    if (this.#running.size >= maxRunning) return undefined;
    this.#begun += 1;
    const running = new RunningTurn(turn, this.#begun, this.#clock, this.#ears);
    this.#running.add(running);
    this.#note(running);
    return running;
  }

  /** All that is known, in the order in which the turns began. */
  turns(): readonly TurnView[] {
    if (this.#listeners.size > 0) for (const { id } of this.#running) this.#toldRunning.add(id);
    return [...this.#ended, ...this.#running]
      .sort((one, other) => one.number - other.number)
      .map((turn) => turn.view());
  }

  /** Steps, calls and reports that are kept. */
  get parts(): number {
    return this.#parts;
  }

  /**
   * From now on `listener` is told what changes, four times a second at most: of all that came
   * together the last.
   * @returns Ends it
   */
  subscribe(listener: TurnsListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#cancelTelling?.();
      this.#cancelTelling = undefined;
      this.#changed.clear();
      this.#toldRunning.clear();
    };
  }

  #note(turn: RunningTurn): void {
    if (this.#listeners.size === 0) return;
    this.#changed.set(turn.id, turn);
    if (this.#cancelTelling !== undefined) return;
    const inMs = Math.max(0, this.#toldMs + tellingMs - this.#clock.elapsedMs());
    this.#cancelTelling = this.#clock.after(inMs, () => this.#tell());
  }

  #tell(): void {
    this.#cancelTelling = undefined;
    this.#toldMs = this.#clock.elapsedMs();
    const views = Array.from(this.#changed.values(), (turn) => turn.view());
    this.#changed.clear();
    for (const { id, state } of views)
      if (state === 'running') this.#toldRunning.add(id);
      else this.#toldRunning.delete(id);
    for (const listener of this.#listeners) listener(views);
  }

  #keep(turn: RunningTurn): void {
    this.#ended.push(turn);
    this.#note(turn);
    while (this.#ended.length > maxEnded) {
      const gone = this.#ended.shift()!;
      const { id } = gone;
      this.#parts -= gone.parts;
      // Of thousands between two tellings nobody is told those that are gone by then.
      if (!this.#toldRunning.has(id)) this.#changed.delete(id);
    }
  }

  #addParts(count: number): void {
    this.#parts += count;
    if (count < 0 || this.#parts <= maxParts) return;
    for (const turns of [this.#ended, this.#running]) {
      for (const turn of turns) {
        if (this.#parts <= maxParts) return;
        turn.dropSteps();
      }
    }
  }
}

/** What turns tell {@link LiveTurns}. */
interface RunningEars {
  readonly onChange: (turn: RunningTurn) => void;
  /** So many steps, calls and reports more; fewer, where it is negative. */
  readonly onParts: (count: number) => void;
  /** From now on it stays as it is, but for its steps. */
  readonly onEnd: (turn: RunningTurn) => void;
}

/** One turn while it runs, and what is kept of it afterwards. */
class RunningTurn implements TurnWatch {
  readonly id: string;
  /** Counts the turns as they begin. */
  readonly number: number;
  readonly #clock: Clock;
  readonly #ears: RunningEars;
  /** Absent once it has ended. */
  #signal: AbortSignal | undefined;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  #endedMs: number | undefined;
  readonly #facts: { -readonly [Name in keyof TurnFacts]: TurnFacts[Name] } = {};
  #steps: StepRecord[] = [];
  #sums = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, largestPromptTokens: 0 };
  #state: TurnView['state'] = 'running';
  #error: string | undefined;

  constructor(
    { requestId, signal }: { readonly requestId: string; readonly signal: AbortSignal },
    number: number,
    clock: Clock,
    ears: RunningEars,
  ) {
    this.id = requestId;
    this.number = number;
    this.#clock = clock;
    this.#ears = ears;
    this.#signal = signal;
    this.#startedAtMs = clock.now();
    this.#startedMs = clock.elapsedMs();
    signal.addEventListener('abort', this, { once: true });
  }

  /** Steps, calls and reports that are kept of it. */
  get parts(): number {
    return partsOf(this.#steps);
  }

  know(facts: TurnFacts): void {
    if (this.#state !== 'running') return;
    Object.assign(this.#facts, facts);
    this.#ears.onChange(this);
  }

  stepBegins(sentBytes: number): void {
    if (this.#state !== 'running') return;
    const last = this.#steps.at(-1);
    if (last !== undefined && last.endedMs === undefined) this.#drop(this.#steps.length - 1);
    if (this.#steps.length >= maxSteps) this.#drop(0);
    this.#steps.push({ startedMs: this.#nowMs(), sentBytes, calls: [], isKept: true });
    this.#ears.onParts(1);
    this.#ears.onChange(this);
  }

  stepAnswers(): void {
    const step = this.#steps.at(-1);
    if (this.#state !== 'running' || step === undefined) return;
    step.firstChunkMs ??= this.#nowMs();
    this.#ears.onChange(this);
  }

  stepEnds(usage: Usage | undefined): void {
    if (this.#state !== 'running') return;
    const step = this.#steps.at(-1);
    if (step !== undefined) {
      step.endedMs = this.#nowMs();
      step.usage = usage;
    }
    if (usage !== undefined) {
      const { promptTokens, cachedTokens, completionTokens } = sumUsages([usage]);
      const sums = this.#sums;
      this.#sums = {
        promptTokens: sums.promptTokens + promptTokens,
        cachedTokens: sums.cachedTokens + cachedTokens,
        completionTokens: sums.completionTokens + completionTokens,
        largestPromptTokens: Math.max(sums.largestPromptTokens, promptTokens),
      };
    }
    this.#ears.onChange(this);
  }

  callBegins({ name, words }: { readonly name: string; readonly words: string }): CallWatch {
    const call: CallRecord = {
      name: cut(name, maxChars.name),
      words: cut(words, maxChars.words),
      startedMs: this.#nowMs(),
      reports: [],
      subCalls: 0,
    };
    const step = this.#steps.at(-1);
    const isHeard = (): boolean => this.#state === 'running' && step?.isKept === true;
    if (step === undefined || !isHeard() || step.calls.length >= maxCalls) return deafCall;
    step.calls.push(call);
    this.#ears.onParts(1);
    this.#ears.onChange(this);
    return {
      report: (text) => {
        if (!isHeard()) return;
        call.reports.push(cut(text, maxChars.words));
        if (call.reports.length > maxReports) call.reports.shift();
        else this.#ears.onParts(1);
        this.#ears.onChange(this);
      },
      asks: () => {
        if (!isHeard()) return;
        call.subCalls += 1;
        this.#ears.onChange(this);
      },
      ends: (resultChars) => {
        if (!isHeard()) return;
        call.endedMs = this.#nowMs();
        call.resultChars = resultChars;
        this.#ears.onChange(this);
      },
    };
  }

  ends(): void {
    this.#end('done');
  }

  fails(error: unknown): void {
    // Whatever an abort has made fail, it is the abort that ended the turn.
    if (this.#signal?.aborted === true) this.handleEvent();
    else this.#end('failed', error);
  }

  leaves(): void {
    this.#end('aborted');
  }

  /** How it is now. */
  view(): TurnView {
    const { model, tools, storedTexts, demotions, estimatedPromptTokensWithout } = this.#facts;
    const { client, directory, session, chat, limit } = this.#facts;
    return {
      id: this.id,
      startedAtMs: this.#startedAtMs,
      state: this.#state,
      elapsedMs: this.#endedMs ?? this.#nowMs(),
      ...(client !== undefined && { client: cut(client, factChars.client) }),
      ...(directory !== undefined && { directory: cut(directory, factChars.directory) }),
      ...(session !== undefined && { session: cut(session, factChars.session) }),
      ...(chat !== undefined && { chat: cut(chat, factChars.chat) }),
      ...(model !== undefined && { model: cut(model, factChars.model) }),
      tools: tools ?? 'none',
      steps: this.#steps.map(stepView),
      storedTexts: storedTexts ?? 0,
      demotions: demotions ?? 0,
      ...this.#sums,
      estimatedPromptTokensWithout: estimatedPromptTokensWithout ?? 0,
      ...(this.#error !== undefined && { error: this.#error }),
      ...(limit !== undefined && { limit: cut(limit, factChars.limit) }),
    };
  }

  /** Its sums stay, and what comes after. */
  dropSteps(): void {
    while (this.#steps.length > 0) this.#drop(0);
    if (this.#state === 'running') this.#ears.onChange(this);
  }

  /** Its signal has aborted. */
  handleEvent(): void {
    const reason = toProxyError(this.#signal?.reason);
    // The client that has left is told nothing; a request that never came whole has failed.
    if (reason.code === 'cancelled') this.#end('aborted');
    else this.#end(reason.code === 'shutting_down' ? 'aborted' : 'failed', reason);
  }

  #end(state: 'done' | 'failed' | 'aborted', error?: unknown): void {
    if (this.#state !== 'running') return;
    this.#state = state;
    if (error !== undefined) {
      const { message } = errorBody(toProxyError(error)).error;
      this.#error = cut(message, maxChars.sentence);
    }
    this.#endedMs = this.#nowMs();
    this.#signal?.removeEventListener('abort', this);
    this.#signal = undefined;
    const facts = this.#facts;
    for (const [name, chars] of textFacts) {
      const text = facts[name];
      if (text !== undefined && text.length > chars) facts[name] = cut(text, chars);
    }
    this.#ears.onEnd(this);
  }

  #drop(index: number): void {
    const [step] = this.#steps.splice(index, 1);
    if (step === undefined) return;
    step.isKept = false;
    this.#ears.onParts(-partsOf([step]));
  }

  /** Since it began. */
  #nowMs(): number {
    return Math.round(this.#clock.elapsedMs() - this.#startedMs);
  }
}

/** For a call of which nothing is kept. */
const deafCall: CallWatch = {
  report: () => undefined,
  asks: () => undefined,
  ends: () => undefined,
};

function stepView(step: StepRecord): StepView {
  const { startedMs, firstChunkMs, endedMs, sentBytes, usage, calls } = step;
  const sums = usage === undefined ? undefined : sumUsages([usage]);
  return {
    startedMs,
    ...(firstChunkMs !== undefined && { firstChunkMs }),
    ...(endedMs !== undefined && { endedMs }),
    sentBytes,
    ...(sums !== undefined && {
      promptTokens: sums.promptTokens,
      cachedTokens: sums.cachedTokens,
      completionTokens: sums.completionTokens,
    }),
    calls: calls.map(callView),
  };
}

function callView(call: CallRecord): CallView {
  return { ...call, reports: [...call.reports] };
}

/** Steps, calls and reports. */
function partsOf(
  steps: readonly { readonly calls: readonly Pick<CallView, 'reports'>[] }[],
): number {
  let parts = steps.length;
  for (const { calls } of steps) for (const { reports } of calls) parts += 1 + reports.length;
  return parts;
}

function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).toWellFormed()}…`;
}
