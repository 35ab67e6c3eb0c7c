import { hash } from 'node:crypto';
import type { ChatMemory } from '../store/types.ts';
import type { Message } from '../wire/types.ts';
import type { Identity } from '../history/identity.ts';
import { LruMap } from '../base/lru-map.ts';
import { turnKeyPrefix } from '../store/session/chat-memory.ts';
import { jsonBytes } from '../wire/message-json.ts';

/**
 * What happened between a client's message and the answer it saw, verbatim: everything the upstream
 * has seen and the client has not.
 */
export interface TurnRecord {
  /** Hidden assistant messages and the results of our tools, in order, before the visible turn. */
  readonly before: readonly Message[];
  /**
   * The visible assistant turn as the upstream gave it, with our calls in it where there were any.
   */
  readonly message: Message;
  /** Results of our calls in `message`, by call id. */
  readonly results: Readonly<Record<string, string>>;
  /** Hash of the text the client was shown, over all steps of the turn (white space folded). */
  readonly shownTextHash: string;
}

/** Where a turn stands in a conversation. */
export interface TurnPosition {
  readonly chatId: string;
  /** Chain hash of everything before the visible answer. */
  readonly chain: string;
  /** Text hash of the newest user message before it. */
  readonly userTextHash: string;
}

/** An answer that a client sends back, and where it stands in its history. */
export interface VisibleTurn {
  readonly place: TurnPosition;
  readonly identity: Identity;
}

/** What identifies the answer that a client saw. */
export type AnswerIdentity = Pick<Identity, 'callIds' | 'callHashes' | 'textHash' | 'textLength'>;

/**
 * A text this short could stand in any conversation; it is no anchor without the chain. Code units.
 */
const minAnchorTextLength = 40;

/** Keys under which a turn is found again. */
interface Anchors {
  /**
   * Strongest first: what came before it and what it is, in this chat; the same in any (a client's
   * fork has a name of its own). The newest turn has them.
   */
  readonly exact: readonly [chat: string, any: string];
  /**
   * For a history that was changed before it: the question and one of its calls, or its text. Each
   * is good for as long as one turn alone has it.
   */
  readonly loose: readonly string[];
}

/** Pure. Keys are hashes, because all keys of a session are held in memory. */
function anchorsOf(place: TurnPosition, answer: AnswerIdentity): Anchors {
  const { chatId, chain, userTextHash } = place;
  const { callIds, callHashes, textHash, textLength } = answer;
  const hasCalls = callIds.length > 0;
  const what = hasCalls ? `c:${callIds.join(',')}:${callHashes.join(',')}` : `t:${textHash}`;
  const exact = [anchor('chat', chatId, chain, what), anchor('any', chain, what)] as const;
  const question = [chatId, userTextHash];
  if (hasCalls) {
    const loose = callIds.map((id, index) =>
      anchor('call', ...question, id, callHashes[index] as string),
    );
    return { exact, loose };
  }
  if (textLength < minAnchorTextLength) return { exact, loose: [] };
  return { exact, loose: [anchor('text', ...question, textHash)] };
}

function anchor(...parts: readonly string[]): string {
  return `turn:${hash('sha256', parts.join('\0'), 'base64url')}`;
}

/**
 * The anchors of answers, for as long as their messages are known: a history is looked up anew in
 * every turn, and is mostly that of the turn before. (A bound of their own was one that a few long
 * chats together went beyond: then each turn of each of them made all anchors anew, 3 us an
 * answer.)
 */
const anchorsByIdentity = new WeakMap<
  Identity,
  { readonly place: TurnPosition; readonly anchors: Anchors }
>();

/** The anchors of an answer of a history. */
function knownAnchors(place: TurnPosition, identity: Identity): Anchors {
  const known = anchorsByIdentity.get(identity);
  const { chatId, chain, userTextHash } = place;
  if (
    known?.place.chain === chain &&
    known.place.chatId === chatId &&
    known.place.userTextHash === userTextHash
  )
    return known.anchors;
  const anchors = anchorsOf(place, identity);
  anchorsByIdentity.set(identity, { place, anchors });
  return anchors;
}

/** A record, and its key in the memory. */
interface FoundRecord {
  readonly key: string;
  readonly record: TurnRecord;
}

interface Alias {
  readonly record: string;
  readonly ambiguous?: boolean;
  /** The chat that the turn was answered in; with the anchor that any chat finds it by. */
  readonly chat?: string;
}

function exactWrites(
  [ofChat, ofAny]: Anchors['exact'],
  record: string,
  chat: string,
): readonly { readonly key: string; readonly value: Alias }[] {
  return [
    { key: ofChat, value: { record } },
    { key: ofAny, value: { record, chat } },
  ];
}

/**
 * Records that were read or remembered lately, of all sessions together, up to so many bytes of
 * JSON. (A number of records was a bound that one long chat went beyond: then it read all of its
 * records in each turn.)
 */
export class RecordCache {
  readonly #kept = new LruMap<
    string,
    { readonly memory: ChatMemory; readonly record: TurnRecord; readonly sizeBytes: number }
  >(Infinity);
  readonly #maxBytes: number;
  #sizeBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The record that a memory has under a key: branches have their base's keys. */
  get(memory: ChatMemory, key: string): TurnRecord | undefined {
    const kept = this.#kept.get(key);
    return kept?.memory === memory ? kept.record : undefined;
  }

  set(memory: ChatMemory, key: string, record: TurnRecord): void {
    this.#drop(key);
    const sizeBytes = sizeOf(record);
    if (sizeBytes > this.#maxBytes) return;
    this.#kept.set(key, { memory, record, sizeBytes });
    this.#sizeBytes += sizeBytes;
    while (this.#sizeBytes > this.#maxBytes && this.#kept.oldest !== undefined)
      this.#drop(this.#kept.oldest);
  }

  #drop(key: string): void {
    this.#sizeBytes -= this.#kept.get(key)?.sizeBytes ?? 0;
    this.#kept.delete(key);
  }
}

/** Of what goes up again in each turn, and is written for that once. */
function sizeOf({ before, message, results }: TurnRecord): number {
  const texts = Object.values(results).reduce((total, text) => total + text.length, 0);
  return [...before, message].reduce((total, each) => total + jsonBytes(each).length, texts);
}

/** Finds and keeps {@link TurnRecord}s. */
export class TurnMemory {
  readonly #memory: ChatMemory;
  readonly #cache: RecordCache;

  constructor(memory: ChatMemory, cache: RecordCache) {
    this.#memory = memory;
    this.#cache = cache;
  }

  /**
   * The records of the turns of one history, in the order of `turns`; undefined where one is
   * forgotten, or the client has edited it. Those that stand where they were come first: where
   * calls are numbered anew, a turn that was never remembered may look like one that stands further
   * on, and a record stands only once in a history. `tolerating` runs each look at the memory and
   * gives undefined for one that failed.
   */
  async findAll(
    turns: readonly VisibleTurn[],
    tolerating: <Result>(work: () => Promise<Result>) => Promise<Result | undefined>,
  ): Promise<readonly (TurnRecord | undefined)[]> {
    const records: (TurnRecord | undefined)[] = turns.map(() => undefined);
    const standing = new Set<string>();
    const note = (index: number, found: FoundRecord | undefined): void => {
      if (found === undefined) return;
      records[index] = found.record;
      standing.add(found.key);
    };
    const onDisk: Promise<void>[] = [];
    const anchored = turns.map(({ place, identity }) => knownAnchors(place, identity));
    for (const [index, anchors] of anchored.entries()) {
      const { identity } = turns[index]!;
      const found = this.#exactAtHand(anchors, identity);
      if (found !== 'on disk') note(index, found);
      else
        onDisk.push(
          tolerating(async () => this.#exact(anchors, identity)).then((read) => note(index, read)),
        );
    }
    await Promise.all(onDisk);
    for (const [index, anchors] of anchored.entries()) {
      if (records[index] !== undefined) continue;
      // Most turns are none of ours, and waiting for nothing, too, takes its time.
      if (!anchors.loose.some((key) => this.#memory.has(key))) continue;
      const { place, identity } = turns[index]!;
      const turn = { identity, standing, chatId: place.chatId };
      note(index, await tolerating(async () => this.#loose(anchors, turn)));
    }
    return records;
  }

  /**
   * The chat in which the first of these turns that anybody knows was answered: that of which this
   * history is a fork. @throws ProxyError what the memory throws
   */
  async chatOf(turns: readonly VisibleTurn[]): Promise<string | undefined> {
    for (const { place, identity } of turns) {
      const [, ofAny] = knownAnchors(place, identity).exact;
      if (!this.#memory.has(ofAny)) continue;
      const alias = (await this.#memory.get(ofAny)) as Alias | undefined;
      if (alias?.chat !== undefined) return alias.chat;
    }
    return undefined;
  }

  /** As {@link TurnMemory.#exact} without waiting, where no look at the disk is needed. */
  #exactAtHand({ exact }: Anchors, identity: Identity): FoundRecord | 'on disk' | undefined {
    for (const anchorKey of exact) {
      if (!this.#memory.has(anchorKey)) continue;
      const alias = this.#memory.atHand(anchorKey) as Alias | undefined;
      if (alias === undefined) return 'on disk';
      const key = alias.record;
      if (!this.#memory.has(key)) continue;
      const record = this.#cache.get(this.#memory, key);
      if (record === undefined) return 'on disk';
      if (isCopyOf(identity, record)) return { key, record };
    }
    return undefined;
  }

  /** What stands where it stood. */
  async #exact({ exact }: Anchors, identity: Identity): Promise<FoundRecord | undefined> {
    for (const anchorKey of exact) {
      const found = await this.#at(anchorKey, identity);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** What does not stand elsewhere in the same history. */
  async #loose(
    { exact, loose }: Anchors,
    turn: {
      readonly identity: Identity;
      readonly chatId: string;
      /** Keys of the records that have their place in the history already. */
      readonly standing: ReadonlySet<string>;
    },
  ): Promise<FoundRecord | undefined> {
    const { identity, standing, chatId } = turn;
    for (const anchorKey of loose) {
      const found = await this.#at(anchorKey, identity, standing);
      if (found === undefined) continue;
      // From now on this is where it stands, even if its loose anchor comes to name another turn,
      // too.
      await this.#memory.put(exactWrites(exact, found.key, chatId));
      return found;
    }
    return undefined;
  }

  /** The record that an anchor names, if `identity` is a copy of its turn. */
  async #at(
    anchorKey: string,
    identity: Identity,
    standing?: ReadonlySet<string>,
  ): Promise<FoundRecord | undefined> {
    if (!this.#memory.has(anchorKey)) return undefined;
    const alias = (await this.#memory.get(anchorKey)) as Alias | undefined;
    if (alias === undefined || alias.ambiguous === true) return undefined;
    const key = alias.record;
    if (standing?.has(key) === true) return undefined;
    const record = await this.#read(key);
    return record === undefined || !isCopyOf(identity, record) ? undefined : { key, record };
  }

  /** Remembers a turn before its answer ends. @throws ProxyError `store_full` */
  async remember(
    place: TurnPosition,
    answer: AnswerIdentity,
    record: TurnRecord,
    recordId: string,
  ): Promise<void> {
    const key = `${turnKeyPrefix}${recordId}`;
    const { exact, loose } = anchorsOf(place, answer);
    const writes: { key: string; value: unknown }[] = [
      { key, value: record },
      ...exactWrites(exact, key, place.chatId),
    ];
    for (const each of loose) {
      // A provider that numbers its calls anew in every turn, or an answer given twice: the loose
      // anchor names nobody any more.
      const value: Alias = this.#memory.has(each)
        ? { record: key, ambiguous: true }
        : { record: key };
      writes.push({ key: each, value });
    }
    await this.#memory.put(writes);
    this.#cache.set(this.#memory, key, record);
  }

  async #read(key: string): Promise<TurnRecord | undefined> {
    // What was taken out of the memory is not to be shown again.
    if (!this.#memory.has(key)) return undefined;
    const cached = this.#cache.get(this.#memory, key);
    if (cached !== undefined) return cached;
    const record = (await this.#memory.get(key)) as TurnRecord | undefined;
    if (record !== undefined) this.#cache.set(this.#memory, key, record);
    return record;
  }
}

/**
 * Whether a client's copy is of this turn and not an edit of it: the same calls or fewer, and the
 * text it was shown, or none (some clients drop the text of a turn with calls).
 */
function isCopyOf(identity: Identity, record: TurnRecord): boolean {
  const calls = record.message.tool_calls ?? [];
  const theirs = new Set(
    calls.filter((call) => !Object.hasOwn(record.results, call.id)).map((call) => call.id),
  );
  if (!identity.callIds.every((id) => theirs.has(id))) return false;
  if (theirs.size > 0 && identity.callIds.length === 0) return false;
  return identity.textHash === '' || identity.textHash === record.shownTextHash;
}
