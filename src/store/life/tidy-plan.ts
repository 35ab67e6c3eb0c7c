import type { StoreBounds } from '../types.ts';

/** A text as far as it counts for the bounds. */
export interface HeldText {
  /** The sessions in whose own files it lies: one, and copies that were made for branches. */
  readonly holders: readonly string[];
  /** Its number, the same in all of them. */
  readonly seq: number;
  /** In each of the files, the newline behind it counted. */
  readonly bytes: number;
  /** When it came last, milliseconds since 1970. */
  readonly timeMs: number;
  /** Pinned in any store that reads it. */
  readonly isPinned: boolean;
}

/** A text that goes, and why. */
interface TextToGo {
  readonly text: HeldText;
  readonly why: 'quota' | 'age';
}

/** Which texts go to keep the stores in their bounds. */
export interface TidyPlan {
  readonly toGo: readonly TextToGo[];
  /** What each store holds in its own file afterwards, bytes. */
  readonly keptBytes: ReadonlyMap<string, number>;
  /** Stores that stay as good as full: nothing more in them may go. */
  readonly full: readonly string[];
  /** The same of all stores together. */
  readonly isAllFull: boolean;
}

/** A text is not taken so soon after it came: most of what a chat reads now is not older. */
export const minAgeMs = 3_600_000;
/** Texts go where a store holds more than this share of its quota. */
export const startShare = 0.95;
/** They go until it holds this share. */
const stopShare = 0.9;

/**
 * Chooses: first what is older than texts are kept, then the oldest of each store that is above its
 * quota, then the oldest of all. Pinned and young texts stay. `wantedBytes` is for what there was
 * no room, by store: where room can be made for it, it is.
 */
export function planTidying(
  texts: readonly HeldText[],
  bounds: StoreBounds,
  {
    nowMs,
    wantedBytes,
  }: { readonly nowMs: number; readonly wantedBytes: ReadonlyMap<string, number> },
): TidyPlan {
  const oldestFirst = texts.toSorted((a, b) => a.timeMs - b.timeMs || a.seq - b.seq);
  const keptBytes = new Map<string, number>();
  const byStore = new Map<string, HeldText[]>();
  let allBytes = 0;
  for (const text of oldestFirst) {
    for (const id of text.holders) {
      keptBytes.set(id, (keptBytes.get(id) ?? 0) + text.bytes);
      const own = byStore.get(id);
      if (own === undefined) byStore.set(id, [text]);
      else own.push(text);
    }
    allBytes += text.bytes * text.holders.length;
  }
  const gone = new Map<HeldText, TextToGo['why']>();
  const mayGo = (text: HeldText): boolean =>
    !gone.has(text) && !text.isPinned && nowMs - text.timeMs >= minAgeMs;
  const take = (text: HeldText, why: TextToGo['why']): void => {
    gone.set(text, why);
    for (const id of text.holders) keptBytes.set(id, keptBytes.get(id)! - text.bytes);
    allBytes -= text.bytes * text.holders.length;
  };
  const { maxAgeMs, storeBytes, allBytes: mostBytes } = bounds;
  if (maxAgeMs !== undefined) {
    for (const text of oldestFirst) {
      if (nowMs - text.timeMs > maxAgeMs && mayGo(text)) take(text, 'age');
    }
  }
  /** Takes the oldest of a list until it is within; whether it is then. */
  const bringDown = (
    list: readonly HeldText[],
    size: { readonly quota: number; readonly wanted: number; readonly kept: () => number },
    weight: (text: HeldText) => number,
  ): boolean => {
    const { quota, wanted, kept } = size;
    const movable = list.filter(mayGo);
    const movableBytes = movable.reduce((sum, text) => sum + text.bytes * weight(text), 0);
    const canFit = kept() - movableBytes + wanted <= quota;
    const isFitting = (): boolean => kept() + wanted <= quota;
    const isLow = (): boolean => kept() <= quota * stopShare;
    const isAbove = kept() > quota * startShare;
    if (!isAbove && (isFitting() || !canFit)) return isFitting();
    for (const text of movable) {
      if (isLow() && (isFitting() || !canFit)) break;
      take(text, 'quota');
    }
    return kept() <= quota * startShare && isFitting();
  };
  const full: string[] = [];
  if (storeBytes !== undefined) {
    const ids = new Set([...byStore.keys(), ...wantedBytes.keys()]);
    for (const id of [...ids].toSorted()) {
      const wanted = wantedBytes.get(id) ?? 0;
      const kept = (): number => keptBytes.get(id) ?? 0;
      const isIn = bringDown(byStore.get(id) ?? [], { quota: storeBytes, wanted, kept }, () => 1);
      if (!isIn) full.push(id);
    }
  }
  let isAllFull = false;
  if (mostBytes !== undefined) {
    const wanted = Math.max(0, ...wantedBytes.values());
    isAllFull = !bringDown(
      oldestFirst,
      { quota: mostBytes, wanted, kept: () => allBytes },
      ({ holders }) => holders.length,
    );
  }
  const toGo = oldestFirst.flatMap((text): TextToGo[] => {
    const why = gone.get(text);
    return why === undefined ? [] : [{ text, why }];
  });
  return { toGo, keptBytes, full, isAllFull };
}
