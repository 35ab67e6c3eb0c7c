import type { SessionStore } from '../store/types.ts';
import type { HistoryItem } from './history.ts';
import { withTexts } from './message-texts.ts';

/**
 * Notes what has left a chat's prompt with its turns: all before `end`. When the history comes again, the bytes of the tool outputs among it are let go
 * as they arrive: they are in the store.
 */
export function noteMoved(items: readonly HistoryItem[], end: number, chatId: string): void {
  for (let index = 0; index < end; index += 1) {
    const { known } = items[index] as HistoryItem;
    if (known.stored?.frame !== undefined) known.movedIn = chatId;
  }
}

/**
 * Reads back what was let go and is wanted after all: a client has taken turns back, and the prompt reaches further into the past than it did.
 * @throws ProxyError `store_corrupt`; the next request keeps its bytes and does not need the store
 */
export async function restoreTexts(
  items: readonly HistoryItem[],
  store: SessionStore,
): Promise<void> {
  for (const item of items) {
    const { stored } = item.known;
    if (!item.isDropped || stored?.frame === undefined) continue;
    item.known.movedIn = undefined;
    item.known.lasting = undefined;
    const texts = new Map<number, string>();
    for (const { part, entry } of stored.captured) texts.set(part, await store.readEntry(entry));
    item.restore(withTexts(stored.frame, texts));
  }
}
