import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { ChatMemory } from '../store/types.ts';
import { chainAfter, emptyChain, type Identity } from './identity.ts';
import { LruMap } from '../base/lru-map.ts';
import type { Message } from '../wire/types.ts';

/** An answer as it was handed to a client that gives its conversation no name. */
export interface DeliveredAnswer {
  readonly callIds: readonly string[];
  readonly callHashes: readonly string[];
  /** Code units of the calls' arguments. */
  readonly argsLength: number;
  /** Hash of the visible text without its white space; empty where there is none. */
  readonly textHash: string;
  readonly textLength: number;
}

/** The conversation that an answer was given in. */
interface Delivered {
  /** Null where more than one conversation got this answer at this place: it tells none of them. */
  readonly chat: string | null;
  /**
   * Where the conversation was at home: a directory or a session id that the client named at the
   * time.
   */
  readonly at?: string;
  /** How much the conversation had got from us by then, code units; see {@link enoughWeight}. */
  readonly weight: number;
  /** Hash of the places that the client's own prompt named; empty for none. */
  readonly frame: string;
  /** The text beside calls, which some clients drop. */
  readonly text?: string;
  /** Only numbered calls stand for it. */
  readonly isNumbered?: true;
}

/** A conversation that a history shows to be its own. */
export interface FoundChat {
  readonly chatId: string;
  readonly at?: string;
}

/**
 * From here on what a conversation has got from us is its own, whatever its prompt says: more than
 * any greeting, code units of text and of calls' arguments. Below it, the client must also name the
 * same places as then (its directory, mostly): models greet alike.
 */
const enoughWeight = 200;

/** What a call id counts for that was drawn at random. */
const randomIdWeight = 1_000;

/** Answers of a history that are looked up, newest first. */
const maxLookups = 64;

/** Records kept in memory besides the disk, a few hundred bytes each. */
const maxKept = 10_000;

/** What is not needed before the answer ends is written after this time, together, milliseconds. */
const writeAfterMs = 500;

/**
 * Tells conversations apart whose clients give them no name, by what only one of them can hold: an
 * answer or a call that we delivered, at its place behind the same messages. Two that begin alike
 * share nothing, and an answer that two have got is no sign of either. Bounded by the memory it
 * writes to; what is forgotten costs a conversation its memory, and never gives it that of another.
 */
export class AnswerMemory {
  readonly #memory: ChatMemory;
  readonly #clock: Clock;
  readonly #kept = new LruMap<string, Delivered>(maxKept);
  readonly #unwritten = new Map<string, Delivered>();
  /**
   * One answer whose name has to be read after the other, so that two that are delivered at once
   * know of each other.
   */
  #order: Promise<unknown> = Promise.resolve();
  #stopTimer: (() => void) | undefined;

  constructor(memory: ChatMemory, clock: Clock) {
    this.#memory = memory;
    this.#clock = clock;
  }

  /** Begins to follow a history. `keyHash` keeps apart clients that use different keys. */
  trail(keyHash: string): Trail {
    return new Trail(keyHash);
  }

  /**
   * The conversation that a history belongs to; nothing where no answer in it is a sign of one
   * alone. At most {@link maxLookups} reads.
   */
  async find(trail: Trail): Promise<FoundChat | undefined> {
    let lookups = 0;
    for (const { key, textHash } of trail.newestFirst()) {
      const found =
        this.#atHand(key) ?? (this.#memory.has(key) ? await this.#read(key) : undefined);
      if (found === undefined) continue;
      if (lookups === maxLookups) return undefined;
      lookups += 1;
      if (found.chat === null) continue;
      if (found.text !== undefined && textHash !== '' && textHash !== found.text) continue;
      // It came from us and to one alone, even where that is not enough to say to whom.
      trail.weight ||= found.weight;
      if (found.weight < enoughWeight && !isSameBeginning(found, trail)) continue;
      return { chatId: found.chat, ...(found.at === undefined ? {} : { at: found.at }) };
    }
    return undefined;
  }

  /**
   * Remembers an answer before it ends. On the disk when this resolves if `isDurable`, else soon
   * after. A memory that cannot be written to costs what is known after a restart, and no answer.
   */
  async remember(
    trail: Trail,
    answer: DeliveredAnswer,
    chat: FoundChat & { readonly isDurable: boolean },
  ): Promise<void> {
    const key = trail.keyOf(answer);
    if (key === undefined) return;
    const value = deliveredOf(trail, answer, chat);
    const before = this.#atHand(key);
    if (before !== undefined || !this.#memory.has(key)) this.#note(key, value, before);
    else await (this.#order = this.#noteRead(key, value, this.#order));
    if (chat.isDurable) await this.#write();
    else this.#stopTimer ??= this.#clock.after(writeAfterMs, () => void this.#write());
  }

  /** Writes what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#order;
    await this.#write();
  }

  async #noteRead(key: string, value: Delivered, earlier: Promise<unknown>): Promise<void> {
    await earlier;
    this.#note(key, value, this.#atHand(key) ?? (await this.#read(key)));
  }

  /** What two conversations got is nobody's from then on. */
  #note(key: string, value: Delivered, before: Delivered | undefined): void {
    const isShared = before !== undefined && before.chat !== value.chat;
    const noted = isShared ? { ...value, chat: null } : value;
    this.#kept.set(key, noted);
    this.#unwritten.set(key, noted);
  }

  /** What is known of a name without a look at the disk: of those that came last, all. */
  #atHand(key: string): Delivered | undefined {
    return this.#kept.get(key) ?? this.#unwritten.get(key);
  }

  async #read(key: string): Promise<Delivered | undefined> {
    const value = (await tolerating(async () => this.#memory.get(key))) as Delivered | undefined;
    const newer = this.#atHand(key);
    if (newer === undefined && value !== undefined) this.#kept.set(key, value);
    return newer ?? value;
  }

  async #write(): Promise<void> {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    const records = [...this.#unwritten].map(([key, value]) => ({ key, value }));
    this.#unwritten.clear();
    await tolerating(async () => this.#memory.put(records));
  }
}

/** A message of a history, as a {@link Trail} looks at it. */
interface TrailMessage {
  readonly role: Message['role'];
  /** `places` are those that the client's own words in it name: see {@link placesIn}. */
  readonly facts: { readonly identity: Identity; readonly places?: string };
}

/**
 * Follows the messages of one request as they come: where its answers stand. What it tells of them
 * is looked up when somebody asks, and then mostly of the newest ones.
 */
export class Trail {
  readonly #keyHash: string;
  readonly #messages: TrailMessage[] = [];
  /** Of each message the chain hash up to it, once somebody has asked. */
  readonly #links: { chain?: string | undefined }[] = [];
  #firstAnswer: number | undefined;
  /** How much the conversation has got from us, as far as its history shows. */
  weight = 0;

  constructor(keyHash: string) {
    this.#keyHash = keyHash;
  }

  /**
   * The next message.
   * @param link Where the chain hash up to it is kept: of one that comes again behind the same
   *   messages, the same object
   */
  add(message: TrailMessage, link: { chain?: string | undefined } = {}): void {
    if (message.role === 'assistant') this.#firstAnswer ??= this.#messages.length;
    this.#messages.push(message);
    this.#links.push(link);
  }

  /** The chain hash up to the first answer; nothing before that has come. */
  get beginning(): string | undefined {
    return this.#firstAnswer === undefined ? undefined : this.#chainOf(this.#firstAnswer + 1);
  }

  /** Which places the client's prompt named before the first answer; empty for none. */
  get frame(): string {
    let places = '';
    for (const { facts } of this.#messages.slice(0, this.#firstAnswer))
      places += facts.places ?? '';
    return places === '' ? '' : digest(places);
  }

  /** The answers, newest first. */
  *newestFirst(): Generator<{ readonly key: string; readonly textHash: string }, void> {
    for (let at = this.#messages.length - 1; at >= 0; at -= 1) {
      const { role, facts } = this.#messages[at]!;
      if (role !== 'assistant') continue;
      const key = this.#keyAt(facts.identity, this.#chainOf(at));
      if (key !== undefined) yield { key, textHash: facts.identity.textHash };
    }
  }

  /** The name of an answer that follows what has come so far; none for an empty one. */
  keyOf(answer: NamedAnswer): string | undefined {
    return this.#nameOf(answer, this.#chainOf(this.#messages.length));
  }

  /** The chain hash of the first `count` messages. */
  #chainOf(count: number): string {
    let at = count;
    while (at > 0 && this.#links[at - 1]!.chain === undefined) at -= 1;
    let chain = this.#links[at - 1]?.chain ?? emptyChain;
    for (; at < count; at += 1) {
      chain = chainAfter(chain, this.#messages[at]!.facts.identity);
      this.#links[at]!.chain = chain;
    }
    return chain;
  }

  #nameOf({ callIds, callHashes, textHash }: NamedAnswer, chain: string): string | undefined {
    if (callIds.length === 0 && textHash === '') return undefined;
    const what =
      callIds.length > 0 ? `c\0${callIds.join('\0')}\0${callHashes.join('\0')}` : `t\0${textHash}`;
    return `answer:${digest(`${this.#keyHash}\0${chain}\0${what}`)}`;
  }

  /** The same for an answer of the history, which is there in every turn. */
  #keyAt(identity: Identity, chain: string): string | undefined {
    const known = identity.named;
    if (known?.chain === chain && known.keyHash === this.#keyHash) return known.key;
    const key = this.#nameOf(identity, chain);
    identity.named = { chain, keyHash: this.#keyHash, key };
    return key;
  }
}

/** What an answer is named by. */
type NamedAnswer = Pick<DeliveredAnswer, 'callIds' | 'callHashes' | 'textHash'>;

/** Absolute paths, as they stand in prose, markup and JSON. Addresses are none. */
const absolutePath =
  /(?<![\w:/.~\\-])(?:\/[^\s"'`<>|:;,()[\]{}\\/]+)+|\b[A-Za-z]:\\[^\s"'`<>|:;,()[\]{}]+/g;

/**
 * Pure. A short hash of the places that a text names, whatever else changes in it (dates, modes);
 * empty where it names none.
 */
export function placesIn(text: string): string {
  if (text === '') return '';
  const places = new Set(text.match(absolutePath) ?? []);
  return places.size === 0 ? '' : digest([...places].sort().join('\0'));
}

/**
 * Pure. Whether an id was drawn at random, and not counted (`bash:0`, `call_12`): its letters and
 * digits are mixed, or its number is long.
 */
export function isRandomId(id: string): boolean {
  return id.split(/[^A-Za-z0-9]+/).some((run) => {
    const digits = run.replace(/^\D*0*/, '').replace(/\D/g, '').length;
    if (/^[a-z]*\d*$/i.test(run)) return digits >= 9;
    return run.length >= 8;
  });
}

/**
 * Whether a short answer was given to a prompt that named the same places. Counted calls need one
 * that names some.
 */
function isSameBeginning({ frame, isNumbered }: Delivered, trail: Trail): boolean {
  return frame === trail.frame && (isNumbered !== true || frame !== '');
}

function deliveredOf(trail: Trail, answer: DeliveredAnswer, chat: FoundChat): Delivered {
  const { callIds, argsLength, textHash, textLength } = answer;
  const isRandom = callIds.some(isRandomId);
  const hasText = textHash !== '';
  return {
    chat: chat.chatId,
    ...(chat.at === undefined ? {} : { at: chat.at }),
    weight: trail.weight + textLength + argsLength + (isRandom ? randomIdWeight : 0),
    frame: trail.frame,
    ...(callIds.length > 0 && hasText ? { text: textHash } : {}),
    ...(callIds.length > 0 && !isRandom ? { isNumbered: true } : {}),
  };
}

/** A part of a digest would keep the whole one in memory beside it; 22 characters are 132 bits. */
function digest(text: string): string {
  return Buffer.from(hash('sha256', text, 'base64url').slice(0, 22), 'latin1').toString('latin1');
}

async function tolerating<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return undefined;
  }
}
