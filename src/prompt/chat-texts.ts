import type { ChatMemory, SessionStore } from '../store/types.ts';
import type { ContentPart, Message } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import { cutTextOf, type Cut } from './cut-text.ts';
import { isAtHand, whole, withStubs } from '../capture/rehydrate.ts';
import type { HistoryMessage, RequestMessage } from '../history/request-message.ts';
import { withTexts } from '../history/message-texts.ts';

/**
 * What was decided about the texts of a chat; later prompts begin with the same bytes. All keys are
 * chain hashes of messages.
 */
interface TextRecord {
  /**
   * The last message of which a text got a stub: up to it, what has no other place here has a stub.
   */
  readonly stubbed?: string;
  /** Messages that stand whole though they could have a stub. */
  readonly whole: readonly string[];
  /** Messages of whose texts only the ends stand. */
  readonly cut: Readonly<Record<string, Cut>>;
  /** Messages that say that nothing can be opened. */
  readonly told: readonly string[];
}

/** Decisions of one kind that are remembered: no window holds more large texts. */
const maxDecisions = 1_000;

const nothingDecided: TextRecord = { whole: [], cut: {}, told: [] };

/** How the texts stand that a request brings for the first time. */
export type Way =
  /** But for these, by index, for which there is room. */
  | { readonly kind: 'stubs'; readonly roomy?: ReadonlySet<number> }
  | { readonly kind: 'whole' }
  /** By index of the message. */
  | { readonly kind: 'cut'; readonly cuts: ReadonlyMap<number, Cut> };

/** How each text of a request is to stand, and what is said in it. All keys are indexes. */
export interface LaidTexts {
  /** Messages with stubs in the place of texts. */
  readonly stubs: ReadonlySet<number>;
  /** Messages of whose texts only the ends stand. */
  readonly cuts: ReadonlyMap<number, Cut>;
  /** Messages that could have stubs and stand whole. */
  readonly whole: ReadonlySet<number>;
  /** Messages that say that nothing can be opened. */
  readonly told: ReadonlySet<number>;
}

/** Every text as the client sent it. */
export const asItCame: LaidTexts = {
  stubs: new Set(),
  cuts: new Map(),
  whole: new Set(),
  told: new Set(),
};

/** A stub for every text that can have one. */
export function allStubs(items: readonly RequestMessage[]): LaidTexts {
  if (!items.some((item) => item.hasStub)) return asItCame;
  const stubs = new Set<number>();
  for (let at = 0; at < items.length; at += 1) if (items[at]!.hasStub) stubs.add(at);
  return { ...asItCame, stubs };
}

/** Whether something stands in the place of a text. */
export function isReduced({ stubs, cuts }: LaidTexts): boolean {
  return stubs.size + cuts.size > 0;
}

/** The message at `index` as it is to stand. @throws ProxyError `store_corrupt` */
export async function showMessage(
  item: RequestMessage,
  { stubs, cuts }: LaidTexts,
  { index, store }: { readonly index: number; readonly store: SessionStore },
): Promise<HistoryMessage> {
  const cut = cuts.get(index);
  if (cut !== undefined) return cutMessage(item, cut, store);
  return stubs.has(index) ? withStubs(item, store) : whole(item, store);
}

/**
 * Which texts of a request stand whole, which as stubs and which by their ends. What was decided
 * once holds for as long as the client sends the same history, until the window guard demotes it.
 */
export class ChatTexts {
  readonly #items: readonly RequestMessage[];
  readonly #chains: readonly string[];
  readonly #chatId: string;
  #record: TextRecord;
  /** Indexes of messages that could have a stub and are not decided. */
  readonly #open: readonly number[];
  /** Those of them that stand whole where there is room. */
  readonly openForRoom: readonly number[];
  /**
   * Indexes of messages with stored texts that the model has not answered to: nothing takes their
   * place where it could not open it.
   */
  readonly fresh: readonly number[];

  private constructor(
    items: readonly RequestMessage[],
    given: {
      readonly chains: readonly string[];
      readonly chatId: string;
      readonly record: TextRecord;
      readonly isActive: boolean;
    },
  ) {
    this.#items = items;
    this.#chains = given.chains;
    this.#chatId = given.chatId;
    this.#record = given.record;
    const { whole, cut, stubbed } = given.record;
    const decided = new Set([...whole, ...Object.keys(cut)]);
    const answered = items.findLastIndex(({ identity }) => identity.role === 'assistant') + 1;
    // In an active chat all that was answered has been before the model, large texts as stubs.
    const stubbedEnd = Math.max(
      given.isActive ? answered : 0,
      stubbed === undefined ? 0 : given.chains.lastIndexOf(stubbed) + 1,
    );
    const isUndecided = (index: number): boolean => !decided.has(given.chains[index] as string);
    const open: number[] = [];
    const fresh: number[] = [];
    for (const [index, item] of items.entries()) {
      const { stored } = item.facts;
      if (stored === undefined) continue;
      if (index >= stubbedEnd && item.hasStub && isUndecided(index)) open.push(index);
      if (index >= Math.max(answered, stubbedEnd) && stored.captured.length > 0) fresh.push(index);
    }
    this.#open = open;
    this.openForRoom = open.filter((index) => items[index]?.facts.stored?.isFixed === false);
    this.fresh = fresh;
  }

  /** @throws ProxyError what the memory throws */
  static async read(
    items: readonly RequestMessage[],
    given: {
      readonly chains: readonly string[];
      readonly chatId: string;
      readonly memory: ChatMemory | undefined;
      readonly isActive: boolean;
    },
  ): Promise<ChatTexts> {
    const { memory, chatId } = given;
    const record = (await memory?.get(textsKey(chatId))) as TextRecord | undefined;
    return new ChatTexts(items, { ...given, record: record ?? nothingDecided });
  }

  /** Whether anything could be decided or was: without it, all stands as it came. */
  static mayMatter(
    items: readonly RequestMessage[],
    memory: ChatMemory | undefined,
    chatId: string,
  ): boolean {
    return items.some((item) => item.hasStub) || memory?.has(textsKey(chatId)) === true;
  }

  /** How the list is to stand. */
  lay(way: Way): LaidTexts {
    const { whole: wholes, cut, told } = this.#record;
    const stubs = new Set<number>();
    const standing = new Set<number>();
    const cuts = new Map<number, Cut>();
    const standWhole = new Set(wholes);
    const open = new Set(way.kind === 'stubs' ? way.roomy : this.#open);
    for (const [index, item] of this.#items.entries()) {
      if (item.stored === undefined) continue;
      const chain = this.#chains[index] as string;
      const ends = cut[chain] ?? (way.kind === 'cut' ? way.cuts.get(index) : undefined);
      if (ends !== undefined) cuts.set(index, ends);
      else if (item.hasStub)
        (standWhole.has(chain) || open.has(index) ? standing : stubs).add(index);
    }
    const tellers = new Set(told);
    const toldIndexes = new Set<number>();
    if (tellers.size > 0)
      for (const [index, chain] of this.#chains.entries())
        if (tellers.has(chain)) toldIndexes.add(index);
    return { stubs, cuts, whole: standing, told: toldIndexes };
  }

  /** Remembers how this request's texts stand. @throws ProxyError `store_full` */
  async save(
    memory: ChatMemory,
    done: { readonly way: Way; readonly toldAt?: number },
  ): Promise<void> {
    const record = this.#after(done);
    if (JSON.stringify(record) === JSON.stringify(this.#record)) return;
    await memory.put([{ key: textsKey(this.#chatId), value: record }]);
  }

  #after({ way, toldAt }: { readonly way: Way; readonly toldAt?: number }): TextRecord {
    const before = this.#record;
    const chainsOf = (indexes: readonly number[]): readonly string[] =>
      indexes.map((index) => this.#chains[index] as string);
    const cuts = way.kind === 'cut' ? way.cuts : new Map<number, Cut>();
    const isWhole = (index: number): boolean =>
      way.kind === 'stubs' ? way.roomy?.has(index) === true : !cuts.has(index);
    const wholes = chainsOf(this.#open.filter(isWhole));
    const last = way.kind === 'stubs' ? this.#open.findLast((index) => !isWhole(index)) : undefined;
    const lastStub = last === undefined ? before.stubbed : this.#chains[last];
    return {
      ...(lastStub === undefined ? {} : { stubbed: lastStub }),
      whole: newest([...before.whole, ...wholes]),
      cut: Object.fromEntries(
        newest([
          ...Object.entries(before.cut),
          ...Array.from(cuts, ([index, cut]) => [this.#chains[index] as string, cut] as const),
        ]),
      ),
      told: newest([...before.told, ...(toldAt === undefined ? [] : chainsOf([toldAt]))]),
    };
  }
}

/** What stands in a request in which the model cannot open what stands outside. */
const cannotOpen =
  '[rlm] Texts that are kept in the context store cannot be opened in this request: no tool can be called for its answer. Answer from what stands here, and say so if that is not enough.';

/**
 * The message with the line that says so behind its own text. Always the same for the same message.
 */
export function withCannotOpen(message: Message): Message {
  const { content } = message;
  if (Array.isArray(content))
    return {
      ...message,
      content: [...(content as readonly ContentPart[]), { type: 'text', text: cannotOpen }],
    };
  return { ...message, content: `${typeof content === 'string' ? content : ''}\n\n${cannotOpen}` };
}

/** Index of the message that says it: the last one that is not the model's. */
export function tellingIndex(items: readonly RequestMessage[]): number | undefined {
  const at = items.findLastIndex(
    ({ identity }) => identity.role === 'user' || identity.role === 'tool',
  );
  return at < 0 ? undefined : at;
}

/** The message with the ends of some of its texts. */
async function cutMessage(
  item: RequestMessage,
  cut: Cut,
  store: SessionStore,
): Promise<HistoryMessage> {
  // Neither here nor in the store as it was: then its stub is all there is.
  if (!isAtHand(item)) return withStubs(item, store);
  const captured = item.facts.stored?.captured ?? [];
  const texts = new Map<number, string>();
  for (const [part, headChars, tailChars] of cut) {
    const entry = captured.find((each) => each.part === part)?.entry;
    if (entry !== undefined)
      texts.set(part, await cutTextOf(entry, { headChars, tailChars }, store));
  }
  return item.showing(withTexts(parsed((await whole(item, store)).message()), texts));
}

function newest<Item>(list: readonly Item[]): readonly Item[] {
  return list.slice(-maxDecisions);
}

/** Where what was decided about a chat's texts is remembered. */
export function textsKey(chatId: string): string {
  return `texts:${chatId}`;
}
