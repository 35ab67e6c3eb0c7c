import { hash } from 'node:crypto';
import type { ChatMemory } from '../store/types.ts';
import type { Message } from '../wire/types.ts';
import type { Identity } from '../history/identity.ts';
import { LruMap } from '../base/lru-map.ts';
import { turnKeyPrefix } from '../store/session/chat-memory.ts';

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
 * Of the answers in the prompts that are sent at the moment; those of turns that have left them are
 * not asked for any more.
 */
const maxKeptAnchors = 1_000;

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
 * Finds and keeps {@link TurnRecord}s. Stateless but for a bounded cache of records read lately.
 */
export class TurnMemory {
  readonly #memory: ChatMemory;
  readonly #cache: LruMap<string, TurnRecord>;
  readonly #anchors = new LruMap<
    Identity,
    { readonly place: TurnPosition; readonly anchors: Anchors }
  >(maxKeptAnchors);

  constructor(memory: ChatMemory, options: { readonly maxCachedRecords: number }) {
    this.#memory = memory;
    this.#cache = new LruMap(options.maxCachedRecords);
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
    for (const kind of ['exact', 'loose'] as const) {
      for (const [index, { place, identity }] of turns.entries()) {
        if (records[index] !== undefined) continue;
        const anchors = this.#anchorsOf(place, identity);
        // Most turns are none of ours, and waiting for nothing, too, takes its time.
        if (!anchors[kind].some((key) => this.#memory.has(key))) continue;
        const { chatId } = place;
        const found = await tolerating(async () =>
          this.#find(anchors, kind, { identity, standing, chatId }),
        );
        if (found === undefined) continue;
        records[index] = found.record;
        standing.add(found.key);
      }
    }
    return records;
  }

  /**
   * The chat in which the first of these turns that anybody knows was answered: that of which this
   * history is a fork. @throws ProxyError what the memory throws
   */
  async chatOf(turns: readonly VisibleTurn[]): Promise<string | undefined> {
    for (const { place, identity } of turns) {
      const [, ofAny] = this.#anchorsOf(place, identity).exact;
      if (!this.#memory.has(ofAny)) continue;
      const alias = (await this.#memory.get(ofAny)) as Alias | undefined;
      if (alias?.chat !== undefined) return alias.chat;
    }
    return undefined;
  }

  /** By one kind of anchor; loosely only what does not stand elsewhere in the same history. */
  async #find(
    anchors: Anchors,
    kind: keyof Anchors,
    turn: {
      readonly identity: Identity;
      readonly chatId: string;
      /** Keys of the records that have their place in the history already. */
      readonly standing: ReadonlySet<string>;
    },
  ): Promise<{ readonly key: string; readonly record: TurnRecord } | undefined> {
    const { identity, standing, chatId } = turn;
    for (const anchorKey of anchors[kind]) {
      if (!this.#memory.has(anchorKey)) continue;
      const alias = (await this.#memory.get(anchorKey)) as Alias | undefined;
      if (alias === undefined || alias.ambiguous === true) continue;
      const key = alias.record;
      if (kind === 'loose' && standing.has(key)) continue;
      const record = await this.#read(key);
      if (record === undefined || !isCopyOf(identity, record)) continue;
      // From now on this is where it stands, even if its loose anchor comes to name another turn,
      // too.
      if (kind === 'loose') await this.#memory.put(exactWrites(anchors.exact, key, chatId));
      return { key, record };
    }
    return undefined;
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
    this.#keep(key, record);
  }

  /** A history is looked up anew in every turn, and is mostly that of the turn before. */
  #anchorsOf(place: TurnPosition, identity: Identity): Anchors {
    const known = this.#anchors.get(identity);
    const { chatId, chain, userTextHash } = place;
    if (
      known?.place.chain === chain &&
      known.place.chatId === chatId &&
      known.place.userTextHash === userTextHash
    )
      return known.anchors;
    const anchors = anchorsOf(place, identity);
    this.#anchors.set(identity, { place, anchors });
    return anchors;
  }

  async #read(key: string): Promise<TurnRecord | undefined> {
    // What was taken out of the memory is not to be shown again.
    if (!this.#memory.has(key)) return undefined;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const record = (await this.#memory.get(key)) as TurnRecord | undefined;
    if (record !== undefined) this.#keep(key, record);
    return record;
  }

  #keep(key: string, record: TurnRecord): void {
    this.#cache.set(key, record);
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
