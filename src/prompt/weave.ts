import type { Message, ToolCall, UpstreamMessage } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import type { HistoryMessage } from '../history/request-message.ts';
import { chainAfter, emptyChain } from '../history/identity.ts';
import { withoutProgress } from '../history/progress.ts';
import type { TurnRecord, VisibleTurn } from './turn-memory.ts';

/** A message of the list that goes upstream, and where it comes from. */
export interface WovenMessage {
  readonly message: UpstreamMessage;
  /** Index of the client's message it is, or in front of whose visible turn it was hidden. */
  readonly index: number;
  /** True for what the client has never seen: hidden turns and our tools' results. */
  readonly hidden: boolean;
}

/** Where each message of a history stands. */
export interface Places {
  /**
   * Chain hash after each message: for the window's marks, and for the turn that is about to be.
   */
  readonly chains: readonly string[];
  /** Text hash of the newest user message before each one, and behind the last. */
  readonly questions: readonly string[];
}

/** Links all messages of a history. Linear; a hash a message. */
export function placesOf(history: readonly HistoryMessage[]): Places {
  const chains: string[] = [];
  const questions: string[] = [''];
  let chain = emptyChain;
  let question = '';
  for (const { identity } of history) {
    chain = chainAfter(chain, identity);
    chains.push(chain);
    if (identity.role === 'user' && identity.textHash !== '') question = identity.textHash;
    questions.push(question);
  }
  return { chains, questions };
}

/**
 * Puts hidden turns back into a replayed history, so that the upstream sees the bytes it saw
 * before. What is not known, or was edited, stays as the client sent it. From `from` on only; what
 * lies before it has been demoted and is not looked up.
 *
 * Every call is answered exactly once and directly after its message, if it was in what the client
 * sent: a call of a known turn whose result the client does not send (a partial replay) is left
 * out, and its turn keeps the rest; of an unknown turn, too.
 */
export async function weave(
  history: readonly HistoryMessage[],
  places: Places,
  options: {
    readonly chatId: string;
    readonly from: number;
    /** The records of these turns, in their order; undefined for what is not known. */
    readonly find: (turns: readonly VisibleTurn[]) => Promise<readonly (TurnRecord | undefined)[]>;
  },
): Promise<readonly WovenMessage[]> {
  const messages: WovenMessage[] = [];
  const turns = turnsOf(history, places, options);
  const found = await options.find(turns);
  const known = new Map(turns.map(({ index }, at) => [index, found[at]]));
  for (let index = options.from; index < history.length; index += 1) {
    const item = history[index] as HistoryMessage;
    if (item.identity.role !== 'assistant') {
      messages.push({ message: item.message(), index, hidden: false });
      continue;
    }
    const record = known.get(index) ?? repaired(history, index);
    if (record === undefined) {
      messages.push({ message: withoutOurProgress(item), index, hidden: false });
      continue;
    }
    messages.push(...wovenTurn(history, index, record));
    // The results stand with their turn now; a second answer to the same call, or one to a call
    // that we do not know, is dropped.
    while (history[index + 1]?.identity.role === 'tool') index += 1;
  }
  return messages;
}

/** The answers of a history from a message on, in order, each with its index. */
export function turnsOf(
  history: readonly HistoryMessage[],
  { chains, questions }: Places,
  { chatId, from }: { readonly chatId: string; readonly from: number },
): readonly (VisibleTurn & { readonly index: number })[] {
  const turns: (VisibleTurn & { readonly index: number })[] = [];
  for (let index = from; index < history.length; index += 1) {
    const { identity } = history[index] as HistoryMessage;
    if (identity.role !== 'assistant') continue;
    const chain = chains[index - 1] ?? emptyChain;
    const place = { chatId, chain, userTextHash: questions[index] as string };
    turns.push({ place, identity, index });
  }
  return turns;
}

/**
 * A turn that nobody knows and whose calls the client has not all answered: as a record of its own,
 * so that only the answered ones stay.
 */
function repaired(
  history: readonly HistoryMessage[],
  index: number,
): Pick<TurnRecord, 'before' | 'message' | 'results'> | undefined {
  const item = history[index] as HistoryMessage;
  const { callIds } = item.identity;
  if (callIds.length === 0 || index + 1 === history.length) return undefined;
  const answered = resultsAfter(history, index);
  if (callIds.every((id) => answered.has(id))) return undefined;
  return { before: [], message: parsed(withoutOurProgress(item)), results: {} };
}

/**
 * A turn as the upstream saw it: what was hidden before it, the turn itself, and all its results in
 * the order of its calls.
 */
function wovenTurn(
  history: readonly HistoryMessage[],
  index: number,
  record: Pick<TurnRecord, 'before' | 'message' | 'results'>,
): readonly WovenMessage[] {
  const woven: WovenMessage[] = record.before.map((message) => ({ message, index, hidden: true }));
  const answered = resultsAfter(history, index);
  const isOurs = (call: ToolCall): boolean => Object.hasOwn(record.results, call.id);
  const calls = (record.message.tool_calls ?? []).filter(
    (call) => isOurs(call) || answered.has(call.id),
  );
  const turn = withCalls(record.message, calls);
  if (turn !== undefined) woven.push({ message: turn, index, hidden: false });
  for (const call of calls) {
    const at = answered.get(call.id);
    if (isOurs(call))
      woven.push({
        message: toolMessage(call.id, record.results[call.id] as string),
        index,
        hidden: true,
      });
    else if (at !== undefined)
      woven.push({ message: (history[at] as HistoryMessage).message(), index: at, hidden: false });
  }
  return woven;
}

/** A result of one of our tools as the upstream gets it. */
export function toolMessage(callId: string, content: string): Message {
  return { role: 'tool', tool_call_id: callId, content };
}

/**
 * Index of each tool message that directly follows a turn, by call id; the first answer to a call
 * counts.
 */
function resultsAfter(
  history: readonly HistoryMessage[],
  index: number,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (let at = index + 1; history[at]?.identity.role === 'tool'; at += 1) {
    const id = history[at]?.identity.toolCallId;
    if (id !== undefined && !found.has(id)) found.set(id, at);
  }
  return found;
}

/**
 * The turn with only these calls; the very same object where none is missing; nothing where nothing
 * would be left of it.
 */
function withCalls(message: Message, calls: readonly ToolCall[]): Message | undefined {
  const all = message.tool_calls ?? [];
  if (calls.length === all.length) return message;
  const { tool_calls: _, ...rest } = message;
  if (calls.length > 0) return { ...rest, tool_calls: calls };
  return typeof rest.content === 'string' && rest.content !== '' ? rest : undefined;
}

function withoutOurProgress(item: HistoryMessage): UpstreamMessage {
  const sent = item.message();
  if (!item.mayHoldProgress) return sent;
  const message = parsed(sent);
  const changed: Record<string, unknown> = {};
  for (const name of ['reasoning_content', 'reasoning']) {
    const value = message[name];
    if (typeof value !== 'string') continue;
    const clean = withoutProgress(value);
    if (clean !== value) changed[name] = clean;
  }
  return Object.keys(changed).length === 0 ? sent : { ...message, ...changed };
}
