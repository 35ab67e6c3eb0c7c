import type { Entry, Session } from '../store/types.ts';
import type { ToolCall } from '../wire/types.ts';
import type { HistoryItem } from './history.ts';
import { hashCall } from './identity.ts';
import { memoryOf } from './recent-memory.ts';

/** Which entry stands for a pruned output; null for none. */
interface Decision {
  readonly entry: string | null;
}

/**
 * Finds the originals of outputs that a client has pruned. Some providers number their calls anew in every turn, and then an id does not
 * say which output was meant: a mark is left where its id occurs more than once. What was decided once stays so, whatever
 * comes later under the same id, so that the prompt's prefix does.
 */
export class PrunedOutputs {
  readonly #session: Session;
  readonly #chatId: string;
  readonly #items: readonly HistoryItem[];
  readonly #decided: { readonly key: string; readonly value: Decision }[] = [];
  #answers: ReadonlyMap<string, number> | undefined;

  constructor(session: Session, chatId: string, items: readonly HistoryItem[]) {
    this.#session = session;
    this.#chatId = chatId;
    this.#items = items;
  }

  /** The entry of the output at `index`, which answers `call`. @throws ProxyError `store_corrupt` */
  async entryFor(index: number, call: ToolCall | undefined): Promise<Entry | undefined> {
    const id = this.#items[index]?.identity.toolCallId;
    if (id === undefined || call === undefined) return undefined;
    const { store } = this.#session;
    const memory = memoryOf(this.#session);
    const key = `pruned:${this.#chatId}:${index}:${id}:${hashCall(call)}`;
    let decision = (await memory.get(key)) as Decision | undefined;
    if (decision === undefined) {
      decision = { entry: this.#find(id)?.id ?? null };
      this.#decided.push({ key, value: decision });
    }
    return decision.entry === null ? undefined : store.entry(decision.entry);
  }

  /** Remembers what was decided. @throws ProxyError `store_full` */
  async save(): Promise<void> {
    if (this.#decided.length > 0) await memoryOf(this.#session).put(this.#decided);
  }

  #find(id: string): Entry | undefined {
    this.#answers ??= countAnswers(this.#items);
    if (this.#answers.get(id) !== 1) return undefined;
    const entry = this.#session.store.entryByToolCall(id);
    return entry?.chatId === this.#chatId ? entry : undefined;
  }
}

/** How many tool messages answer each call id. */
function countAnswers(items: readonly HistoryItem[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { identity } of items)
    if (identity.toolCallId !== undefined)
      counts.set(identity.toolCallId, (counts.get(identity.toolCallId) ?? 0) + 1);
  return counts;
}
