import { LruMap } from '../base/lru-map.ts';
import { goneStub, standInStub, stubHeadChars, stubOf, stubTailChars } from './stub.ts';
import { ProxyError } from '../errors.ts';
import { withTexts } from '../history/message-texts.ts';
import {
  type Captured,
  type HistoryMessage,
  type RequestMessage,
  type StoredTexts,
  canBeWhole,
} from '../history/request-message.ts';
import type { Entry, Session, SessionStore } from '../store/types.ts';
import type { Message } from '../wire/types.ts';

/**
 * Messages with stubs that are kept per store, some 6 KB each: those of a prompt of two million
 * tokens. What has left a prompt is not asked for any more, and makes way.
 */
const maxKeptMessages = 4_000;

/** By the hash of the message. */
const keptMessages = new WeakMap<SessionStore, LruMap<string, Message>>();

/** Stores that have failed to give a text back. */
const unreadable = new WeakSet<SessionStore>();

/** Whether a session's store has never failed to give a text back. */
export function isReadable({ store }: Session): boolean {
  return !unreadable.has(store);
}

/**
 * The message with stubs in the place of texts. Where the store cannot give them, a text that is at
 * hand stays.
 * @throws ProxyError `store_corrupt`; from then on messages of this store keep their bytes, so that
 *   the client's next attempt does not need it
 */
export async function withStubs(
  item: RequestMessage,
  store: SessionStore,
): Promise<HistoryMessage> {
  const { stored } = item.facts;
  if (stored === undefined) return item;
  if (stored.stub !== undefined) return item.showing(stored.stub);
  let kept = keptMessages.get(store);
  if (kept === undefined) keptMessages.set(store, (kept = new LruMap(maxKeptMessages)));
  let message = kept.get(item.hash);
  if (message === undefined) {
    try {
      message = await madeOf(item, stored, { store, isWhole: false });
    } catch (error) {
      if (item.hasBytes && error instanceof ProxyError) return item;
      throw error;
    }
    kept.set(item.hash, message);
  }
  return item.showing(message);
}

/**
 * The message with all its texts in their place; with its stubs where {@link isAtHand} says that it
 * cannot be had.
 * @throws ProxyError as {@link withStubs}
 */
export async function whole(item: RequestMessage, store: SessionStore): Promise<HistoryMessage> {
  const { stored } = item.facts;
  if (item.hasBytes || stored === undefined) return item;
  if (!canBeWhole(stored)) return withStubs(item, store);
  return item.showing(await madeOf(item, stored, { store, isWhole: true }));
}

/** Whether a message can be had as it was: its bytes are there, or the store has its texts. */
export function isAtHand({ hasBytes, facts: { stored } }: RequestMessage): boolean {
  return hasBytes || (stored !== undefined && canBeWhole(stored));
}

async function madeOf(
  item: RequestMessage,
  { frame, captured }: StoredTexts,
  { store, isWhole }: { readonly store: SessionStore; readonly isWhole: boolean },
): Promise<Message> {
  const texts = new Map<number, string>();
  try {
    for (const { part, entry, stripped, ...shown } of captured) {
      if (stripped && !isWhole) texts.set(part, await readStub(store, entry, shown));
      else if (frame !== undefined) texts.set(part, await store.readEntry(entry));
    }
  } catch (error) {
    unreadable.add(store);
    throw error;
  }
  return withTexts(frame ?? item.read(), texts);
}

/** Whether a captured text, or a part of it, was forgotten since. */
export function isGone(store: SessionStore, { entry }: Pick<Captured, 'entry'>): boolean {
  const now = store.entry(entry.id);
  return (now?.forgotten ?? now?.masked) !== undefined;
}

/**
 * The message with what is left in the place of texts that were forgotten, and with stubs or the
 * texts themselves in that of others. @throws ProxyError `store_corrupt`
 */
export async function withoutGone(
  item: RequestMessage,
  { frame, captured }: StoredTexts,
  store: SessionStore,
): Promise<Message> {
  const texts = new Map<number, string>();
  for (const own of captured) {
    const { part, entry, stripped } = own;
    if (stripped || store.entry(entry.id)?.forgotten !== undefined) {
      texts.set(part, await readStub(store, entry, own));
    } else if (frame !== undefined || isGone(store, own)) {
      texts.set(part, await store.readEntry(store.entry(entry.id) ?? entry));
    }
  }
  return withTexts(frame ?? item.read(), texts);
}

/** Stubs kept per store: those that a long chat shows, a few KB each. */
const maxKeptStubs = 1_000;

const keptStubs = new WeakMap<SessionStore, LruMap<string, string>>();

/**
 * The stub of an entry, as one that came again or under the name that stood for it. The same bytes
 * whenever and wherever it is made, so those made lately are kept.
 */
export async function readStub(
  store: SessionStore,
  asCaptured: Entry,
  { isAgain, standIn }: Pick<Captured, 'isAgain' | 'standIn'> = { isAgain: false },
): Promise<string> {
  const entry = store.entry(asCaptured.id) ?? asCaptured;
  if (entry.forgotten !== undefined) return goneStub(entry, entry.forgotten);
  const kept = keptStubs.get(store) ?? new LruMap<string, string>(maxKeptStubs);
  keptStubs.set(store, kept);
  const state = entry.masked === undefined ? '' : ' masked';
  const key = `${standIn ?? entry.id}${isAgain ? ' again' : ''}${state}`;
  let stub = kept.get(key);
  if (stub === undefined) {
    stub = await makeStub(store, entry, { isAgain, standIn });
    kept.set(key, stub);
  }
  return stub;
}

async function makeStub(
  store: SessionStore,
  entry: Entry,
  { isAgain, standIn }: Pick<Captured, 'isAgain' | 'standIn'>,
): Promise<string> {
  const headChars = Math.min(stubHeadChars, entry.lengthChars);
  const tailChars = Math.min(stubTailChars, entry.lengthChars);
  const [head, tail] = await Promise.all([
    store.read(entry.offsetChars, headChars),
    store.read(entry.offsetChars + entry.lengthChars - tailChars, tailChars),
  ]);
  const ends = { head: head.text, tail: tail.text };
  return standIn === undefined ? stubOf(entry, ends, isAgain) : standInStub(entry, ends, standIn);
}
