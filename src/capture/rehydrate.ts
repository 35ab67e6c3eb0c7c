import { ProxyError } from '../errors.ts';
import type { SessionStore } from '../store/types.ts';
import type { Message } from '../wire/types.ts';
import { readStub } from './capture.ts';
import { canBeWhole, type Captured, type RequestMessage } from '../history/request-message.ts';
import { withTexts } from '../history/message-texts.ts';

/**
 * Notes what has left a chat's prompt with its turns: all before `end`. Of the tool outputs among
 * it nothing is kept that is in the store: their stubs go now, and their bytes, when the history
 * comes again, as they arrive.
 */
export function noteEvicted(items: readonly RequestMessage[], end: number, chatId: string): void {
  for (let index = 0; index < end; index += 1) {
    const { known } = items[index] as RequestMessage;
    const { stored } = known;
    if (stored?.frame === undefined) continue;
    known.evictedIn = chatId;
    if (stored.stripped === undefined) continue;
    stored.stripped = undefined;
    known.lasting = undefined;
  }
}

/**
 * Makes again what was let go and is wanted after all: a client has taken turns back, and the
 * prompt reaches further into the past than it did; or another chat has the same message in its
 * prompt.
 * @throws ProxyError `store_corrupt`; the next request keeps its bytes and does not need the store
 */
export async function rehydrate(
  items: readonly RequestMessage[],
  store: SessionStore,
): Promise<void> {
  const wanted = items.filter(lacksText);
  // Before anything is read: if the store fails, the next request has the bytes of all of them.
  for (const { known } of wanted) {
    known.evictedIn = undefined;
    known.lasting = undefined;
  }
  for (const item of wanted) {
    const { stored } = item.known;
    if (stored?.frame === undefined) continue;
    try {
      const message = await madeAgain(stored.frame, stored.captured, store);
      if (item.wantsStub) {
        stored.stripped = message;
        item.useStubs();
      } else item.restore(message);
    } catch (error) {
      // A text that is at hand stays where it is when its stub cannot be made.
      if (item.isDropped || !(error instanceof ProxyError)) throw error;
    }
  }
}

/**
 * The item with all its texts in their place, for this request alone. The very same item, with its
 * stubs, where neither its bytes are at hand nor the store has them.
 * @throws ProxyError `store_corrupt`
 */
export async function wholeItem(
  item: RequestMessage,
  store: SessionStore,
): Promise<RequestMessage> {
  const { known } = item;
  known.isWanted = true;
  if (!item.isShared && !item.isDropped) {
    item.useNoStubs();
    return item;
  }
  const own = item.copy();
  if (!own.isDropped) return own;
  const { stored } = known;
  const frame = stored?.stripped ?? stored?.frame;
  if (stored === undefined || frame === undefined || !canBeWhole(stored)) return item;
  const texts = new Map<number, string>();
  for (const { part, entry } of stored.captured) texts.set(part, await store.readEntry(entry));
  own.restore(withTexts(frame, texts));
  return own;
}

/** Whether something is missing that the store has. */
function lacksText(item: RequestMessage): boolean {
  if (item.known.stored?.frame === undefined || item.stripped !== undefined) return false;
  return item.isDropped || item.wantsStub;
}

async function madeAgain(
  frame: Message,
  captured: readonly Captured[],
  store: SessionStore,
): Promise<Message> {
  const texts = new Map<number, string>();
  for (const { part, entry, stripped } of captured)
    texts.set(part, await (stripped ? readStub(store, entry) : store.readEntry(entry)));
  return withTexts(frame, texts);
}
