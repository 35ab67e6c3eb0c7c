import { wholeDelta } from '../wire/calls.ts';
import type { Chunk, FoldedTurn, Message, ToolCall, Usage } from '../wire/types.ts';
import type { QuoteReport } from './check-quotes.ts';
import { progressLine } from '../history/progress.ts';
import type { Turn, TurnState } from './turn-state.ts';
import { sumUsages } from '../wire/usage.ts';

/**
 * The last chunks of an answer: texts that a program handed to the user as they are, the limit's
 * sentence, the client's calls whole and in order, then finish reason and usage.
 */
export async function closingChunks(
  turn: Pick<Turn, 'takeAnswers' | 'withoutUs' | 'offer' | 'budget' | 'quotes'>,
  state: TurnState,
  folded: FoldedTurn,
  theirs: readonly ToolCall[],
): Promise<readonly Chunk[]> {
  // What a program is to read gets nothing of ours beside it.
  const say = (content: string): Chunk =>
    state.isOneDocument && state.shownText !== ''
      ? { reasoning: progressLine(content) }
      : state.show({ content }, true);
  const chunks: Chunk[] = turn.takeAnswers().map(say);
  if (state.limit !== undefined && theirs.length === 0)
    chunks.push(
      state.isOneDocument
        ? { reasoning: progressLine(`[rlm-opencode] ${state.limit}`) }
        : say(`[rlm-opencode] ${state.limit}`),
    );
  // OpenCode runs a tool as soon as its arguments parse, so those that were held back come last and
  // whole.
  const held = theirs
    .map((call) => wholeDelta(call, state.calls.indexOf(call)))
    .filter(({ index }) => !state.streamed.has(index));
  if (held.length > 0) chunks.push({ toolCalls: held });
  const usage = turnUsage(state, turn, await turn.quotes()?.report());
  chunks.push({
    finishReason: finishReasonOf(folded, theirs),
    ...(usage === undefined ? {} : { usage }),
    // The last step's; what has gone out with its texts is not said again.
    ...(folded.choice === undefined ? {} : { choice: folded.choice }),
    ...(folded.frame === undefined ? {} : { frame: folded.frame }),
  });
  return chunks;
}

/** `tool_calls` if and only if the client gets calls. */
function finishReasonOf(
  folded: FoldedTurn,
  theirs: readonly ToolCall[],
): NonNullable<Chunk['finishReason']> {
  if (theirs.length > 0) return folded.finishReason === 'length' ? 'length' : 'tool_calls';
  return folded.finishReason === 'tool_calls' ? 'stop' : folded.finishReason;
}

/** A message without its calls, for a turn whose calls are not to be run. */
export function withoutCalls(message: Message): Message {
  const { tool_calls: _, ...rest } = message;
  return { ...rest, content: rest.content ?? '' };
}

/**
 * What the client is told: prompt and cached tokens of the last step, because it decides about
 * compaction by them; completion tokens of the whole turn. What all steps and sub-calls took
 * together is in `rlm`, with its cost where prices are configured, for chats that have our tools or
 * the one that opens them (`tools`: `active` or `dormant`, at the turn's end), beside an estimate
 * of the prompt that the client's own history would have been, and what the store says of the
 * answer's quotes. Everything else is the upstream's own count.
 */
function turnUsage(
  { usages, ownCalls, sentBytes }: TurnState,
  turn: Pick<Turn, 'withoutUs' | 'offer' | 'budget'>,
  quotes: QuoteReport | undefined,
): Usage | undefined {
  const { withoutUs, budget } = turn;
  const last = usages.at(-1);
  if (last === undefined || withoutUs === undefined) return last;
  const sums = sumUsages(usages);
  // The budget has counted the sub-calls too.
  const { subCalls, promptTokens, cachedTokens, completionTokens, money } = budget.spent;
  const tools = turn.offer?.();
  const details = { ...last.completion_tokens_details, reasoning_tokens: sums.reasoningTokens };
  return {
    ...last,
    completion_tokens: sums.completionTokens,
    total_tokens: last.prompt_tokens + sums.completionTokens,
    ...(last.completion_tokens_details === undefined ? {} : { completion_tokens_details: details }),
    rlm: {
      ...(tools === undefined ? {} : { tools }),
      steps: usages.length,
      tool_calls: ownCalls,
      sub_calls: subCalls,
      prompt_tokens: Math.max(promptTokens, sums.promptTokens),
      cached_tokens: Math.max(cachedTokens, sums.cachedTokens),
      completion_tokens: Math.max(completionTokens, sums.completionTokens),
      ...(money === undefined ? {} : { cost: money }),
      sent_bytes: sentBytes,
      estimated_prompt_tokens_without: withoutUs.promptTokens,
      ...(quotes === undefined ? {} : { quotes }),
    },
  };
}
