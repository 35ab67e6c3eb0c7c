import type { Entry, Session } from '../store/types.ts';
import type { ToolCall } from '../wire/types.ts';
import type { RequestMessage } from '../history/request-message.ts';
import { outputOf } from './capture.ts';
import { hashCall, type Identity } from '../history/identity.ts';

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
