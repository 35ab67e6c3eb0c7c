import { ProxyError } from '../errors.ts';
import { sentBack } from '../tools/registry.ts';
import type { RetryNotice, UpstreamStream } from '../upstream/upstream.ts';
import { TurnFold } from '../wire/fold.ts';
import { isFunctionCall } from '../wire/calls.ts';
import type { Chunk, FoldedTurn, FunctionCall, ToolCall, ToolCallDelta } from '../wire/types.ts';
import { progressLine } from '../history/progress.ts';
import { openedResult } from '../prompt/dormant-tool.ts';
import { withTextCalls } from './text-calls.ts';
import { closingChunks, withoutCalls } from './closing.ts';
import { type ProxyTools, type Turn, TurnState } from './turn-state.ts';
import type { CallEars } from './turn-watch.ts';

/**
 * One client request to its answer: the loop, for streamed and whole answers alike.
 *
 * Text and reasoning go on to the client at once, and the client's calls piece by piece as long as
 * no call of ours has come before; other calls are held back until the step has ended. Only our
 * calls: run them and go on. Any of the client's: run ours now, hand over the client's, done.
 * Yields what the client may see, in batches as it came; the last batch carries the finish reason
 * and the usage.
 * @throws ProxyError `upstream_*`, `context_length_exceeded`, …; the signal's reason
 */
export async function* runTurn(turn: Turn): AsyncGenerator<readonly Chunk[], void, void> {
  const state = new TurnState(turn);
  try {
    for (;;) {
      const said = yield* runStep(turn, state);
      const { tools } = state;
      const calls = said.message.tool_calls ?? [];
      state.calls = calls;
      const isOurs = (call: ToolCall): call is FunctionCall =>
        isFunctionCall(call) && tools?.isOwn(call.function.name) === true;
      const own = calls.filter(isOurs);
      const theirs = calls.filter((call) => !isOurs(call));
      const isMet = state.handOver?.isMet(theirs) ?? true;
      // A call that the length limit has cut may be cut anywhere, even where it still parses; and
      // after the last step nobody would see a result.
      const isRunnable = own.length > 0 && said.finishReason !== 'length' && !state.isLast;
      if (!isMet && !isRunnable) {
        // No more of our tools are wanted: now the client's own choice. What was written instead of
        // it is not part of the conversation.
        state.handOverNow();
        continue;
      }
      if (tools === undefined || !isRunnable) {
        const kept = own.length === 0 ? said : { ...said, message: withoutOwn(said, theirs) };
        yield* finish(turn, state, kept, theirs, {});
        return;
      }
      if (turn.showProgress)
        yield [{ reasoning: own.map((call) => progressLine(tools.describe(call))).join('') }];
      const results = yield* withReports(turn, async (report) =>
        runCalls(turn, tools, state, own, report),
      );
      const folded = withReadableCalls(said, own);
      if (theirs.length > 0 && isMet) {
        yield* finish(turn, state, folded, theirs, results);
        return;
      }
      const hidden =
        theirs.length === 0
          ? folded.message
          : { ...folded.message, tool_calls: folded.message.tool_calls?.filter(isOurs) ?? [] };
      state.append(hidden, own, results);
    }
  } catch (error) {
    turn.watch?.fails(error);
    throw error;
  } finally {
    turn.onEnd?.();
  }
}

/** One upstream completion. Yields what the client may see at once; returns the whole of it. */
async function* runStep(
  turn: Turn,
  state: TurnState,
): AsyncGenerator<readonly Chunk[], FoldedTurn, void> {
  const stream = await openStep(turn, state);
  const fold = new TurnFold();
  state.beginStep();
  const holdsText = state.holdsText;
  let held = '';
  // Some models write "\n" before a call. Shown at once it would stand alone in the client's view.
  let blank = '';
  let isFirst = true;
  let answers = false;
  const { tools } = state;
  const batches = tools === undefined ? stream.batches : withTextCalls(stream.batches, tools);
  for await (const batch of batches) {
    if (!answers) turn.watch?.stepAnswers();
    answers = true;
    const visible: Chunk[] = [];
    for (const chunk of batch) {
      fold.add(chunk);
      if (chunk.toolCalls !== undefined) expectCalls(state.tools, chunk.toolCalls);
      const part = visiblePart(chunk, state);
      if (part === undefined) continue;
      if (part.toolCalls !== undefined && blank !== '') {
        visible.push(state.show({ content: blank }, true));
        isFirst = false;
        blank = '';
      }
      if (part.content === undefined) visible.push(part);
      else if (holdsText) {
        const { content, ...rest } = part;
        held += content;
        if (Object.keys(rest).length > 0) visible.push(rest);
      } else if (isFirst && isBlank(part.content)) blank += part.content;
      else {
        visible.push(
          state.show(blank === '' ? part : { ...part, content: blank + part.content }, isFirst),
        );
        isFirst = false;
        blank = '';
      }
    }
    if (visible.length > 0) yield visible;
  }
  const folded = fold.turn();
  state.steps += 1;
  turn.watch?.stepEnds(folded.usage);
  if (folded.usage !== undefined) state.usages.push(folded.usage);
  const isHidden = (folded.message.tool_calls ?? []).some(
    (call) => isFunctionCall(call) && state.tools?.isOwn(call.function.name) === true,
  );
  const shown = holdsText ? held : blank;
  if (shown === '') return folded;
  const isAnswer = !isHidden && (state.handOver?.isMet(folded.message.tool_calls ?? []) ?? true);
  if (isAnswer) yield [state.show({ content: shown }, true)];
  else if (holdsText) yield [{ reasoning: progressLine(shown) }];
  return folded;
}

/**
 * Opens the next step; once in a turn each, an overflow makes the request smaller, and a model that
 * takes no tools gets none.
 */
async function openStep(turn: Turn, state: TurnState): Promise<UpstreamStream> {
  const call = {
    signal: turn.signal,
    headers: turn.headers,
    onRetry: (attempt: RetryNotice) => turn.onRetry(attempt),
  };
  await state.fit();
  for (;;) {
    try {
      return await turn.upstream.complete(state.next(), call);
    } catch (error) {
      if (!(await state.recover(error))) throw error;
    }
  }
}

async function runCalls(
  turn: Turn,
  tools: ProxyTools,
  state: TurnState,
  calls: readonly FunctionCall[],
  report: (text: string) => void,
): Promise<Readonly<Record<string, string>>> {
  const { callsPerStep } = turn.limits;
  const opened = await state.wake();
  const results = await Promise.all(
    calls.map(async (call, index): Promise<string> => {
      const watch = turn.watch?.callBegins({
        name: call.function.name,
        words: tools.describe(call),
      });
      const answer = async (): Promise<string> => {
        if (index >= callsPerStep)
          return `Not run: at most ${callsPerStep} calls are run in one step. Make it again.`;
        const old = state.repeated(call);
        if (old !== undefined) return old;
        const result = await runCall(turn, tools, call, {
          report: (text) => {
            report(text);
            watch?.report(text);
          },
          asks: () => watch?.asks(),
        });
        state.noteResult(call, result);
        return opened === undefined || index > 0 ? result : openedResult(call, result, opened);
      };
      const result = await answer();
      watch?.ends(result.length);
      return result;
    }),
  );
  turn.signal.throwIfAborted();
  state.ownCalls += calls.length;
  return Object.fromEntries(calls.map((call, index) => [call.id, results[index] as string]));
}

/**
 * Does work and meanwhile hands on what it reports, as marked reasoning. Left early, it ends when
 * the work has.
 */
async function* withReports<Result>(
  turn: Turn,
  work: (report: (text: string) => void) => Promise<Result>,
): AsyncGenerator<readonly Chunk[], Result, void> {
  let reports: string[] = [];
  let wake = Promise.withResolvers<void>();
  const end = { isReached: false };
  const result = work((text) => {
    if (turn.showProgress) reports.push(text);
    wake.resolve();
  }).finally(() => {
    end.isReached = true;
    wake.resolve();
  });
  try {
    while (!end.isReached || reports.length > 0) {
      await wake.promise;
      wake = Promise.withResolvers<void>();
      // Taken before the yield: more may come while the client reads.
      const taken = reports;
      reports = [];
      if (taken.length > 0) yield [{ reasoning: taken.map(progressLine).join('') }];
    }
  } finally {
    await Promise.allSettled([result]);
  }
  return result;
}

/** Tells our tools of calls that begin to arrive. */
function expectCalls(tools: ProxyTools | undefined, deltas: readonly ToolCallDelta[]): void {
  for (const { name } of deltas) if (name !== undefined) tools?.expect(name);
}

/** A tool that fails is told to the model, which can go another way; the turn goes on. */
async function runCall(
  turn: Turn,
  tools: ProxyTools,
  call: FunctionCall,
  ears: CallEars,
): Promise<string> {
  try {
    const result = await tools.run(call, turn.signal, ears);
    return result === '' ? 'The tool returned nothing.' : result;
  } catch (error) {
    if (turn.signal.aborted) throw error;
    const reason = error instanceof ProxyError ? error.message : 'it failed inside the proxy.';
    return JSON.stringify({ error: `${call.function.name} could not be run: ${reason}` });
  }
}

async function* finish(
  turn: Turn,
  state: TurnState,
  folded: FoldedTurn,
  theirs: readonly ToolCall[],
  results: Readonly<Record<string, string>>,
): AsyncGenerator<readonly Chunk[], void, void> {
  // The limit's sentence is part of what is shown and so of what the client replays: before the
  // turn is remembered.
  const saidLength = state.shownText.length;
  const closing = await closingChunks(turn, state, folded, theirs);
  await turn.remember({
    before: state.before,
    message: folded.message,
    results,
    shownText: state.shownText,
    closingText: state.shownText.slice(saidLength),
    steps: state.steps,
    ownCalls: state.ownCalls,
    sentBytes: state.sentBytes,
    usages: state.usages,
    limit: state.limit,
  });
  yield closing;
}

/**
 * Finish reason and usage are ours to send at the end, and calls that may be ours; the rest is the
 * client's to see now.
 */
function visiblePart(chunk: Chunk, state: TurnState): Chunk | undefined {
  if (
    chunk.toolCalls === undefined &&
    chunk.finishReason === undefined &&
    chunk.usage === undefined
  )
    return chunk;
  const { toolCalls, finishReason: _, usage: __, choice: ___, ...rest } = chunk;
  const theirs = toolCalls === undefined ? [] : state.streamable(toolCalls);
  const visible: Chunk = theirs.length === 0 ? rest : { ...rest, toolCalls: theirs };
  return Object.keys(visible).length === 0 ? undefined : visible;
}

/**
 * The turn as it goes back upstream: calls of ours in a form that every server can read. The very
 * same object where they are.
 */
function withReadableCalls(folded: FoldedTurn, own: readonly FunctionCall[]): FoldedTurn {
  const calls = folded.message.tool_calls ?? [];
  const readable = new Map<ToolCall, ToolCall>(own.map((call) => [call, sentBack(call)]));
  const sent = calls.map((call) => readable.get(call) ?? call);
  return sent.every((call, index) => call === calls[index])
    ? folded
    : { ...folded, message: { ...folded.message, tool_calls: sent } };
}

function withoutOwn(folded: FoldedTurn, theirs: readonly ToolCall[]): FoldedTurn['message'] {
  return theirs.length === 0
    ? withoutCalls(folded.message)
    : { ...folded.message, tool_calls: theirs };
}

function isBlank(text: string): boolean {
  return text.trim() === '';
}
