import type { StoreEvent } from '../types.ts';

/** The numbers of the texts that are pinned, after a store's events so far, ascending. */
export function pinnedIn(events: readonly StoreEvent[]): ReadonlySet<number> {
  const pinned = new Set<number>();
  for (const event of events) {
    if (event.type === 'pin') for (const seq of event.whole) pinned.add(seq);
    else if (event.type === 'unpin') for (const seq of event.whole) pinned.delete(seq);
  }
  return new Set([...pinned].toSorted((a, b) => a - b));
}
