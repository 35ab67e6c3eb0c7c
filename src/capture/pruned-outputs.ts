import { maxArgsLength } from './capture-rules.ts';
import { type Identity, hashCall } from '../history/identity.ts';
import type { RequestMessage } from '../history/request-message.ts';
import type { Entry, Session, SessionStore, StoredOutput } from '../store/types.ts';
import { callName, callText } from '../wire/calls.ts';
import type { ToolCall } from '../wire/types.ts';

/** Which entry stands for a pruned output; null for none. */
interface Decision {
  readonly entry: string | null;
}

/**
 * Finds the originals of outputs that a client has pruned. Some providers number their calls anew
 * in every turn, so an output stands only for the call that it answered: same id, same tool, same
 * arguments. A mark is left where even that is not one call alone. What was decided once stays so,
 * whatever comes later, so that the prompt's prefix does.
 */
export class PrunedOutputs {
  readonly #session: Session;
  readonly #chatId: string;
  readonly #items: readonly RequestMessage[];
  readonly #decided: { readonly key: string; readonly value: Decision }[] = [];
  #answers: ReadonlyMap<string, number> | undefined;

  constructor(session: Session, chatId: string, items: readonly RequestMessage[]) {
    this.#session = session;
    this.#chatId = chatId;
    this.#items = items;
  }

  /**
   * The entry of the output at `index`, which answers `call`. @throws ProxyError `store_corrupt`
   */
  async entryFor(index: number, call: ToolCall | undefined): Promise<Entry | undefined> {
    if (call === undefined) return undefined;
    const { store } = this.#session;
    const memory = this.#session.memory;
    const what = nameOf(call.id, hashCall(call));
    const key = `original:${this.#chatId}:${index}:${what}`;
    let decision = (await memory.get(key)) as Decision | undefined;
    if (decision === undefined) {
      decision = { entry: this.#find(what, call)?.id ?? null };
      this.#decided.push({ key, value: decision });
    }
    return decision.entry === null ? undefined : store.entry(decision.entry);
  }

  /** Remembers what was decided. @throws ProxyError `store_full` */
  async save(): Promise<void> {
    if (this.#decided.length > 0) await this.#session.memory.put(this.#decided);
  }

  #find(what: string, call: ToolCall): Entry | undefined {
    this.#answers ??= countAnswers(this.#items);
    if (this.#answers.get(what) !== 1) return undefined;
    return outputOf(this.#session.store, this.#chatId, call);
  }
}

/** How many tool messages answer each call. */
function countAnswers(items: readonly RequestMessage[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  let turn: Identity | undefined;
  for (const { identity } of items) {
    const { role, toolCallId } = identity;
    if (role === 'assistant') turn = identity;
    if (toolCallId === undefined) continue;
    const callHash = turn?.callHashes[turn.callIds.indexOf(toolCallId)] ?? '';
    const what = nameOf(toolCallId, callHash);
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return counts;
}

function nameOf(id: string, callHash: string): string {
  return `${id}:${callHash}`;
}

/**
 * The entry that stands for the output of a call in a chat: the only text that came under this id
 * for this very tool with these arguments. None where there were several, or where it cannot be
 * told.
 */
function outputOf(store: SessionStore, chatId: string, call: ToolCall): Entry | undefined {
  const found = new Set<Entry>();
  for (const output of store.outputsOf(chatId, call.id))
    if (answers(output, call)) found.add(output.entry);
  return found.size === 1 ? [...found][0] : undefined;
}

/**
 * What an earlier version wrote does not say for which call it came again: then it must be the call
 * for which the text came first.
 */
function answers({ entry, call: known }: StoredOutput, call: ToolCall): boolean {
  if (known !== undefined) return known === hashCall(call);
  const { tool, args = '' } = entry;
  if (tool !== callName(call)) return false;
  if (args.length >= maxArgsLength)
    return args === callText(call).slice(0, maxArgsLength).toWellFormed();
  const first = { ...call, function: { name: tool, arguments: args } };
  return hashCall(first) === hashCall(call);
}
