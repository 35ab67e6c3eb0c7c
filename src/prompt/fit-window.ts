import { readStub } from '../capture/rehydrate.ts';
import { ProxyError } from '../errors.ts';
import { withTexts } from '../history/message-texts.ts';
import type { HistoryMessage, RequestMessage } from '../history/request-message.ts';
import { withCannotOpen } from './chat-texts.ts';
import { type BranchState, endOf, findState, markAt, saveState } from './demotion-state.ts';
import { keepParts } from './kept-parts.ts';
import type { ProxyResults } from './shorten-results.ts';
import { noteOf, transcriptOf } from './transcript.ts';
import type { WovenMessage } from './weave.ts';
import { groupEnd, groupStart, newestUserIndex, protectedFrom } from './window.ts';
import type { Entry, Session } from '../store/types.ts';
import type { Message, ToolCall, UpstreamMessage } from '../wire/types.ts';
import { UnparsedMessage, parsed } from '../wire/unparsed-message.ts';

/**
 * What the list must fit into: bytes that all messages together may have, before anything is
 * demoted and after.
 */
export interface Room {
  readonly highBytes: number;
  readonly lowBytes: number;
}

/** What the window has done to a chat. */
export interface WindowReport {
  /** Demotion steps in this chat so far, and whether this request made one. */
  readonly steps: number;
  readonly demoted: boolean;
  /** How many messages of the history have left the prompt, from its beginning. */
  readonly evictedBefore: number;
}

/** The list that goes upstream. */
export interface Fitted {
  readonly messages: readonly UpstreamMessage[];
  readonly window: WindowReport;
  /** Of all messages, bytes. */
  readonly sizeBytes: number;
  /** Whether something stands outside that the model would have to open. */
  readonly leavesOut: boolean;
}

/**
 * Keeps a chat inside the upstream's window: applies what was demoted before, and if the list is
 * still over the high mark, demotes in one step to the low one. Nothing that is taken out is lost:
 * all of it is in the store.
 */
export async function fitWindow(chat: GuardedChat, room: Room): Promise<Fitted> {
  const { branch, steps } = (await guarded(chat, async () =>
    findState(chat.session.memory, chat.chatId, chat.chains),
  )) ?? { branch: {}, steps: 0 };
  const layout = new Layout(chat, branch);
  await layout.build();
  const demoted =
    layout.sizeBytes > room.highBytes && (await layout.demote(room.lowBytes, room.highBytes));
  if (demoted)
    await guarded(chat, async () =>
      saveState(chat.session.memory, chat.chatId, { from: branch, to: layout.branch }),
    );
  const { sizeBytes, leavesOut, evictedBefore } = layout;
  return {
    messages: layout.messages(),
    window: { steps: demoted ? steps + 1 : steps, demoted, evictedBefore },
    sizeBytes,
    leavesOut,
  };
}

/** What a failing memory would have said is done without. */
async function guarded<Result>(
  chat: GuardedChat,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    chat.onStoreFault(error);
    return undefined;
  }
}

/** A chat's history as the guard works on it. */
interface GuardedChat {
  readonly session: Session;
  readonly chatId: string;
  readonly items: readonly RequestMessage[];
  /** Chain hash after each item. */
  readonly chains: readonly string[];
  readonly ownResults: ProxyResults;
  /** What a message costs, in bytes of text. */
  readonly weigh: (message: UpstreamMessage) => number;
  /**
   * Indexes of messages whose texts stay, because nothing that took their place could be opened.
   */
  readonly kept: ReadonlySet<number>;
  /**
   * Indexes of messages that say that nothing can be opened; the last one only where there is
   * something.
   */
  readonly told: ReadonlySet<number>;
  readonly tellAt?: number;
  /** Whether something stands in the place of a text before anything is demoted. */
  readonly isReduced: boolean;
  /** The message at an index as it is to stand. @throws ProxyError `store_corrupt` */
  readonly show: (index: number) => Promise<HistoryMessage>;
  /** Weaves from this message on. */
  readonly weave: (from: number) => Promise<readonly WovenMessage[]>;
  /** A store that fails costs a demotion, or makes one forgotten, and never an answer. */
  readonly onStoreFault: (error: ProxyError) => void;
}

type Change = (woven: WovenMessage) => Promise<WovenMessage>;

/** One request's list while it is laid out. */
class Layout {
  readonly #chat: GuardedChat;
  branch: BranchState;
  #woven: WovenMessage[] = [];
  /** First message that has not left with its turn. */
  #from = 0;
  /** A user's message that stayed when its turn left. */
  #question: readonly UpstreamMessage[] = [];
  readonly #told = new Map<UpstreamMessage, UpstreamMessage>();
  sizeBytes = 0;

  constructor(chat: GuardedChat, branch: BranchState) {
    this.#chat = chat;
    this.branch = branch;
  }

  /** The list with all that was demoted before. */
  async build(): Promise<void> {
    const { own, outputs, pasted, turns } = this.branch;
    const { chains } = this.#chat;
    this.#from = turns === undefined ? 0 : chains.lastIndexOf(turns.chain) + 1;
    await this.#keepQuestion();
    this.#woven = [...(await this.#chat.weave(this.#from))];
    await this.#change(endOf(own, chains), this.#withoutOwnResults());
    await this.#change(endOf(outputs, chains), this.#stubbing('tool'));
    await this.#change(endOf(pasted, chains), this.#stubbing('user'));
    this.#measure();
  }

  /**
   * One large step, in the order of what is missed least: results of ours, tool outputs, pasted
   * texts, whole turns; and where even the newest turn's results are too much, those. Down to
   * `lowBytes`, the last to `highBytes`. Returns whether anything went.
   */
  async demote(lowBytes: number, highBytes: number): Promise<boolean> {
    const before = this.sizeBytes;
    const { items, kept } = this.#chat;
    let end = protectedFrom(items);
    for (const index of kept) end = Math.min(end, groupStart(items, index));
    await this.#demoteGroups('own', end, lowBytes);
    await this.#demoteGroups('outputs', end, lowBytes);
    await this.#demoteGroups(
      'pasted',
      Math.min(end, Math.max(newestUserIndex(items), 0)),
      lowBytes,
    );
    if (this.sizeBytes > lowBytes) await this.#demoteTurns(end, lowBytes);
    await this.#demoteGroups('own', items.length, highBytes);
    await this.#demoteGroups('outputs', items.length, highBytes);
    return this.sizeBytes < before;
  }

  /** How many messages have left with their turns. */
  get evictedBefore(): number {
    return this.#from;
  }

  /** Whether something stands outside that was in the prompt, or would be in it. */
  get leavesOut(): boolean {
    const { own, outputs, pasted, turns } = this.branch;
    const { isReduced } = this.#chat;
    return isReduced || [own, outputs, pasted, turns].some((each) => each !== undefined);
  }

  /** System messages, the note about what was moved, the question that stayed, and the rest. */
  messages(): readonly UpstreamMessage[] {
    const { turns } = this.branch;
    const woven = this.#woven.map((each) => this.#said(each));
    if (this.#from === 0 || turns === undefined) return woven;
    const moved = this.#chat.items.slice(0, this.#from);
    const system = moved.filter(isSystem).map((item) => item.message());
    return [...system, { role: 'user', content: turns.note }, ...this.#question, ...woven];
  }

  async #keepQuestion(): Promise<void> {
    this.#question = [];
    const kept = this.branch.turns?.kept;
    if (kept === undefined) return;
    const { items, chains } = this.#chat;
    const at = items.findIndex(
      ({ identity }, index) => identity.role === 'user' && chains[index] === kept,
    );
    if (at >= 0 && at < this.#from) this.#question = [(await this.#chat.show(at)).message()];
  }

  #said({ message, index, hidden }: WovenMessage): UpstreamMessage {
    const { told, tellAt } = this.#chat;
    const isTold = told.has(index) || (tellAt === index && this.leavesOut);
    const speaks = message.role === 'user' || message.role === 'tool';
    if (hidden || !isTold || !speaks) return message;
    const known = this.#told.get(message);
    if (known !== undefined) return known;
    const said = withCannotOpen(parsed(message));
    this.#told.set(message, said);
    return said;
  }

  /**
   * Demotes group by group (a turn with its results), oldest first, to the low mark; remembers how
   * far it got.
   */
  async #demoteGroups(
    kind: 'own' | 'outputs' | 'pasted',
    end: number,
    lowBytes: number,
  ): Promise<void> {
    const { items, chains } = this.#chat;
    const change =
      kind === 'own'
        ? this.#withoutOwnResults()
        : this.#stubbing(kind === 'outputs' ? 'tool' : 'user');
    let at = 0;
    let reached = 0;
    for (let start = this.#from; start < end && this.sizeBytes > lowBytes;) {
      start = groupEnd(items, start);
      for (; at < this.#woven.length && this.#index(at) < start; at += 1)
        if (await this.#changeAt(at, change)) reached = start;
    }
    if (reached > 0) this.branch = { ...this.branch, [kind]: markAt(reached, chains) };
  }

  /** Moves whole old turns into the store until the low mark; never half a call and result pair. */
  async #demoteTurns(end: number, lowBytes: number): Promise<void> {
    const { items, chains } = this.#chat;
    let to = this.#from;
    let at = 0;
    let { sizeBytes } = this;
    while (to < end && sizeBytes > lowBytes) {
      to = groupEnd(items, to);
      for (; at < this.#woven.length && this.#index(at) < to; at += 1)
        sizeBytes -= this.#chat.weigh(this.#message(at)) + 1;
    }
    const moved = this.#woven.slice(0, at).filter(({ message }) => !isSystemMessage(message));
    const count = items.slice(this.#from, to).filter((item) => !isSystem(item)).length;
    const newest = newestUserIndex(items);
    const kept = newest >= 0 && newest < to ? chains[newest] : undefined;
    // The question itself would stay: nothing is won by moving it alone.
    if (count === (kept === undefined ? 0 : 1)) return;
    const stored = await this.#store(moved);
    if (stored === undefined) return;
    const { entry, nouns, request } = stored;
    const { turns } = this.branch;
    const entries = [...(turns?.entries ?? []), entry.id];
    const all = (turns?.count ?? 0) + count;
    const parts = [...(turns?.parts ?? []), ...nouns];
    this.branch = {
      ...this.branch,
      turns: {
        chain: chains[to - 1] as string,
        note: noteOf(entries, { count: all, request, parts }),
        parts,
        entries,
        count: all,
        ...(kept === undefined ? {} : { kept }),
      },
    };
    this.#from = to;
    await this.#keepQuestion();
    this.#woven = this.#woven.slice(at);
    this.#measure();
  }

  /** Nothing where the store cannot take it: then the turns stay. */
  async #store(moved: readonly WovenMessage[]): Promise<StoredTurns | undefined> {
    const { session, chatId, items } = this.#chat;
    try {
      const { store } = session;
      const messages = moved.map(({ message }) => message);
      const kept = await keepParts(messages, { store, chatId });
      const text = transcriptOf(moved, items, kept);
      const [entry] = await store.append([{ text, kind: 'message', chatId }]);
      const nouns = Array.from(kept.values(), ({ noun }) => noun);
      if (entry === undefined) return undefined;
      const first = items.findIndex(
        ({ identity }) => identity.role === 'user' && identity.textHash !== '',
      );
      const request = first < 0 ? undefined : parsed((await this.#chat.show(first)).message());
      return { entry, nouns, request };
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#chat.onStoreFault(error);
      return undefined;
    }
  }

  /** Changes all that lies before `end`. */
  async #change(end: number, change: Change): Promise<void> {
    for (let at = 0; at < this.#woven.length && this.#index(at) < end; at += 1)
      await this.#changeAt(at, change);
  }

  async #changeAt(at: number, change: Change): Promise<boolean> {
    const woven = this.#woven[at] as WovenMessage;
    const smaller = await change(woven);
    if (smaller === woven) return false;
    this.#woven[at] = smaller;
    this.sizeBytes += this.#chat.weigh(smaller.message) - this.#chat.weigh(woven.message);
    return true;
  }

  /**
   * Shortens results of our tools. Meets the messages in order, and so knows the call that each
   * answers.
   */
  #withoutOwnResults(): Change {
    const calls = new Map<string, ToolCall>();
    return async (woven) => {
      const { message, hidden } = woven;
      // Only turns that we remember have calls to our tools, and those are objects.
      if (message instanceof UnparsedMessage) return woven;
      for (const call of message.tool_calls ?? []) calls.set(call.id, call);
      if (!hidden || message.role !== 'tool') return woven;
      const shortened = await this.#chat.ownResults.shorten(message, {
        call: calls.get(message.tool_call_id ?? ''),
        chatId: this.#chat.chatId,
      });
      return shortened === message ? woven : { ...woven, message: shortened };
    };
  }

  /** Puts stubs in the place of the client's stored texts, where that makes a message smaller. */
  #stubbing(role: 'tool' | 'user'): Change {
    const { items, session, kept } = this.#chat;
    return async (woven) => {
      if (woven.hidden || woven.message.role !== role || kept.has(woven.index)) return woven;
      const captured = items[woven.index]?.facts.stored?.captured ?? [];
      if (captured.length === 0) return woven;
      const texts = new Map<number, string>();
      for (const own of captured)
        texts.set(own.part, await readStub(session.store, own.entry, own));
      const message = withTexts(parsed(woven.message), texts);
      return this.#chat.weigh(message) < this.#chat.weigh(woven.message)
        ? { ...woven, message }
        : woven;
    };
  }

  #measure(): void {
    this.sizeBytes = this.messages().reduce(
      (total, message) => total + this.#chat.weigh(message) + 1,
      0,
    );
  }

  #message(at: number): UpstreamMessage {
    return (this.#woven[at] as WovenMessage).message;
  }

  /** Of the client's message that one is, or belongs to. */
  #index(at: number): number {
    return (this.#woven[at] as WovenMessage).index;
  }
}

/** Turns that have been stored. */
interface StoredTurns {
  readonly entry: Entry;
  /** Of the parts that are no text, each by its noun. */
  readonly nouns: readonly string[];
  /** The first one of the user. */
  readonly request: Message | undefined;
}

function isSystem(item: RequestMessage): boolean {
  return item.identity.role === 'system' || item.identity.role === 'developer';
}

function isSystemMessage(message: UpstreamMessage): boolean {
  return message.role === 'system' || message.role === 'developer';
}
