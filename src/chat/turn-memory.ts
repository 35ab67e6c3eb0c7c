import type { ChatMemory } from '../store/types.ts';
import type { Message } from '../wire/types.ts';
import { visibleText, type Identity } from './identity.ts';

/**
 * What happened between a client's message and the answer it saw, verbatim: everything the upstream has seen and the client has not.
 */
export interface TurnRecord {
  /** Hidden assistant messages and the results of our tools, in order, before the visible turn. */
  readonly before: readonly Message[];
  /** The visible assistant turn as the upstream gave it, with our calls in it where there were any. */
  readonly message: Message;
  /** Results of our calls in `message`, by call id. */
  readonly results: Readonly<Record<string, string>>;
  /** Hash of the text the client was shown, over all steps of the turn (white space folded). */
  readonly shownTextHash: string;
}

/** Where a turn stands in a conversation. */
export interface Place {
  readonly chatId: string;
  /** Chain hash of everything before the visible answer. */
  readonly chain: string;
  /** Text hash of the newest user message before it. */
  readonly userTextHash: string;
}

/** A text this short could stand in any conversation; it is no anchor without the chain. Code units. */
const minAnchorTextLength = 40;

/**
 * Keys under which a turn is found again, strongest first: what came before it and its call ids; its call ids in this chat; what came
 * before it and its text; the question and the text. `facts`: clients change the history in ways that break each of the
 * first three now and then.
 */
export function anchorsOf(
  place: Place,
  answer: Pick<Identity, 'callIds' | 'textHash' | 'textLength'>,
): readonly string[] {
  const { chatId, chain, userTextHash } = place;
  const callId = answer.callIds[0];
  if (callId !== undefined) return [`turn:${chain}:c:${callId}`, `turn:${chatId}:c:${callId}`];
  if (answer.textHash === '') return [`turn:${chain}:e`];
  const keys = [`turn:${chain}:t:${answer.textHash}`];
  if (answer.textLength >= minAnchorTextLength)
    keys.push(`turn:${chatId}:u:${userTextHash}:${answer.textHash}`);
  return keys;
}

interface Alias {
  readonly record: string;
  readonly ambiguous?: boolean;
}

/** Finds and keeps {@link TurnRecord}s. Stateless but for a bounded cache of records read lately. */
export class TurnMemory {
  readonly #memory: ChatMemory;
  readonly #cache = new Map<string, TurnRecord>();
  readonly #maxCached: number;

  constructor(memory: ChatMemory, options: { readonly maxCachedRecords: number }) {
    this.#memory = memory;
    this.#maxCached = options.maxCachedRecords;
  }

  /** The record of a turn whose visible copy a client sent back; undefined where it is forgotten, or the client has edited it. */
  async find(place: Place, copy: Message, identity: Identity): Promise<TurnRecord | undefined> {
    for (const anchor of anchorsOf(place, identity)) {
      if (!this.#memory.has(anchor)) continue;
      const alias = (await this.#memory.get(anchor)) as Alias | undefined;
      if (alias === undefined || alias.ambiguous === true) continue;
      const record = await this.#read(alias.record);
      if (record !== undefined && isCopyOf(copy, identity, record)) return record;
    }
    return undefined;
  }

  /** Remembers a turn before its answer ends. @throws ProxyError `store_full` */
  async remember(
    place: Place,
    answer: Pick<Identity, 'callIds' | 'textHash' | 'textLength'>,
    record: TurnRecord,
    recordId: string,
  ): Promise<void> {
    const key = `record:${recordId}`;
    const anchors = anchorsOf(place, answer);
    const [strong, weak] = anchors;
    const writes: { key: string; value: unknown }[] = [{ key, value: record }];
    if (strong !== undefined) writes.push({ key: strong, value: { record: key } satisfies Alias });
    if (weak !== undefined) {
      // A provider that numbers its calls anew in every turn, or an answer given twice: the weak anchor names nobody any more.
      const value: Alias = this.#memory.has(weak)
        ? { record: key, ambiguous: true }
        : { record: key };
      writes.push({ key: weak, value });
    }
    await this.#memory.put(writes);
    this.#keep(key, record);
  }

  async #read(key: string): Promise<TurnRecord | undefined> {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const record = (await this.#memory.get(key)) as TurnRecord | undefined;
    if (record !== undefined) this.#keep(key, record);
    return record;
  }

  #keep(key: string, record: TurnRecord): void {
    this.#cache.set(key, record);
    if (this.#cache.size > this.#maxCached)
      this.#cache.delete(this.#cache.keys().next().value as string);
  }
}

/**
 * Whether a client's copy is of this turn and not an edit of it: the same calls or fewer, and the text it was shown, or none (some
 * clients drop the text of a turn with calls).
 */
function isCopyOf(copy: Message, identity: Identity, record: TurnRecord): boolean {
  const known = new Set((record.message.tool_calls ?? []).map((call) => call.id));
  if (!identity.callIds.every((id) => known.has(id) && !Object.hasOwn(record.results, id)))
    return false;
  const mine = (record.message.tool_calls ?? []).filter(
    (call) => record.results[call.id] === undefined,
  );
  if (mine.length > 0 && identity.callIds.length === 0) return false;
  return visibleText(copy).trim() === '' || identity.textHash === record.shownTextHash;
}
