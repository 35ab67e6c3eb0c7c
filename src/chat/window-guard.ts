import type { Session } from '../store/types.ts';
import type { Message } from '../wire/types.ts';
import { readStub, withTexts } from './capture.ts';
import type { HistoryItem } from './history.ts';
import { visibleText } from './identity.ts';
import type { Woven, WovenMessage } from './weave.ts';
import {
  groupEnd,
  messageBytes,
  newestUserIndex,
  protectedFrom,
  transcriptOf,
  withoutResult,
} from './window.ts';

/**
 * What has been demoted in a chat, remembered so that it stays so. Each mark is the chain hash of the last message that it covers;
 * a history in which it does not occur (edited, compacted by the client) is not touched by it.
 */
interface GuardState {
  /** Our own results up to here are shortened. */
  readonly own?: string;
  /** Stored texts up to here are stubs, whatever their size: small tool outputs, then old pasted texts. */
  readonly outputs?: string;
  readonly pasted?: string;
  /** Whole turns up to here are in the store; the note says where. */
  readonly turns?: {
    readonly chain: string;
    readonly note: string;
    readonly entries: readonly string[];
    readonly count: number;
  };
  /** Demotion steps so far: each breaks the cached prefix once. */
  readonly steps: number;
}

/** A chat's history as the guard works on it. */
export interface GuardedChat {
  readonly session: Session;
  readonly chatId: string;
  readonly items: readonly HistoryItem[];
}

/** How the woven list has to be made, and what it must fit into. */
export interface Fit {
  readonly chat: GuardedChat;
  readonly chains: readonly string[];
  /** Weaves from this message on. */
  readonly weave: (from: number) => Promise<Woven>;
  /** Bytes that all messages together may have, before anything is demoted and after. */
  readonly highBytes: number;
  readonly lowBytes: number;
}

/** The list that goes upstream. */
export interface Fitted {
  readonly messages: readonly Message[];
  /** Demotion steps in this chat so far, and whether this request made one. */
  readonly steps: number;
  readonly demoted: boolean;
}

/** Keeps a chat inside the upstream's window. Nothing that it takes out is lost: all of it is in the store. */
export class WindowGuard {
  /** Applies what was demoted before, and if the list is still over the high mark, demotes in one step to the low one. */
  async fit(fit: Fit): Promise<Fitted> {
    const { session, chatId } = fit.chat;
    const stored = (await session.memory.get(stateKey(chatId))) as GuardState | undefined;
    const layout = new Layout(fit, stored ?? { steps: 0 });
    await layout.build();
    if (layout.sizeBytes <= fit.highBytes)
      return { messages: layout.messages(), steps: layout.state.steps, demoted: false };
    const demoted = await layout.demote();
    if (demoted) await session.memory.put([{ key: stateKey(chatId), value: layout.state }]);
    return { messages: layout.messages(), steps: layout.state.steps, demoted };
  }
}

function stateKey(chatId: string): string {
  return `window:${chatId}`;
}

/** One request's list while it is laid out. */
class Layout {
  readonly #fit: Fit;
  state: GuardState;
  #woven: WovenMessage[] = [];
  /** First message that is not covered by the turns mark. */
  #from = 0;
  sizeBytes = 0;

  constructor(fit: Fit, state: GuardState) {
    this.#fit = fit;
    this.state = state;
  }

  /** The list with all remembered marks applied. */
  async build(): Promise<void> {
    this.#from = this.state.turns === undefined ? 0 : this.#after(this.state.turns.chain);
    this.#woven = [...(await this.#fit.weave(this.#from)).messages];
    const ownEnd = this.#after(this.state.own);
    const outputsEnd = this.#after(this.state.outputs);
    const pastedEnd = this.#after(this.state.pasted);
    for (const [at, woven] of this.#woven.entries()) {
      if (woven.index < ownEnd) this.#woven[at] = withoutResult(woven);
      const role = woven.message.role;
      if (
        (role === 'tool' && woven.index < outputsEnd) ||
        (role === 'user' && woven.index < pastedEnd)
      ) {
        this.#woven[at] = await this.#stubbed(woven);
      }
    }
    this.#measure();
  }

  /** One large step, in the order of what is missed least. Returns whether anything was demoted. */
  async demote(): Promise<boolean> {
    const before = this.sizeBytes;
    const { items } = this.#fit.chat;
    const end = protectedFrom(items);
    const own = await this.#demoteEach(end, (woven) => Promise.resolve(withoutResult(woven)));
    const outputs = await this.#demoteEach(end, (woven) =>
      woven.message.role === 'tool' ? this.#stubbed(woven) : Promise.resolve(woven),
    );
    const newest = newestUserIndex(items);
    const pasted = await this.#demoteEach(Math.min(end, Math.max(newest, 0)), (woven) =>
      woven.message.role === 'user' ? this.#stubbed(woven) : Promise.resolve(woven),
    );
    this.state = {
      ...this.state,
      ...(own === undefined ? {} : { own }),
      ...(outputs === undefined ? {} : { outputs }),
      ...(pasted === undefined ? {} : { pasted }),
    };
    await this.#demoteTurns(end);
    if (this.sizeBytes >= before) return false;
    this.state = { ...this.state, steps: this.state.steps + 1 };
    return true;
  }

  /** System messages, the note about what was moved, the newest user message if it was moved over, and the rest. */
  messages(): readonly Message[] {
    const { items } = this.#fit.chat;
    if (this.#from === 0 || this.state.turns === undefined)
      return this.#woven.map((woven) => woven.message);
    const kept: Message[] = [];
    for (const item of items.slice(0, this.#from)) if (isSystem(item)) kept.push(item.message());
    kept.push({ role: 'user', content: this.state.turns.note });
    const newest = newestUserIndex(items);
    if (newest >= 0 && newest < this.#from) kept.push((items[newest] as HistoryItem).message());
    return [...kept, ...this.#woven.map((woven) => woven.message)];
  }

  /** Demotes message by message, oldest first, until the low mark; returns the mark it got to. */
  async #demoteEach(
    end: number,
    demoted: (woven: WovenMessage) => Promise<WovenMessage>,
  ): Promise<string | undefined> {
    let mark: string | undefined;
    for (let at = 0; at < this.#woven.length && this.sizeBytes > this.#fit.lowBytes; at += 1) {
      const woven = this.#woven[at] as WovenMessage;
      if (woven.index >= end) break;
      const smaller = await demoted(woven);
      if (smaller === woven) continue;
      this.#woven[at] = smaller;
      this.sizeBytes += messageBytes(smaller.message) - messageBytes(woven.message);
      mark = this.#fit.chains[woven.index];
    }
    return mark;
  }

  /** Moves whole old turns into the store, group by group, until the low mark; never half a call and result pair. */
  async #demoteTurns(end: number): Promise<void> {
    const { items, session, chatId } = this.#fit.chat;
    let to = this.#from;
    let sizeBytes = this.sizeBytes;
    while (to < end && sizeBytes > this.#fit.lowBytes) {
      const next = Math.min(groupEnd(items, to), end);
      for (const woven of this.#woven)
        if (woven.index >= to && woven.index < next && !isSystemMessage(woven.message))
          sizeBytes -= messageBytes(woven.message) + 1;
      to = next;
    }
    const moved = items.slice(this.#from, to).filter((item) => !isSystem(item));
    if (moved.length === 0) return;
    const text = transcriptOf(moved.map((item) => item.message()));
    const [entry] = await session.store.append([{ text, kind: 'message', chatId }]);
    if (entry === undefined) return;
    const entries = [...(this.state.turns?.entries ?? []), entry.id];
    const count = (this.state.turns?.count ?? 0) + moved.length;
    const chain = this.#fit.chains[to - 1] as string;
    this.state = {
      ...this.state,
      turns: { chain, entries, count, note: noteOf(entries, count, items) },
    };
    this.#from = to;
    this.#woven = this.#woven.filter((woven) => woven.index >= to);
    this.#measure();
  }

  #measure(): void {
    this.sizeBytes = this.messages().reduce(
      (total, message) => total + messageBytes(message) + 1,
      0,
    );
  }

  /** Index after the message whose chain hash is `mark`; 0 where there is no such message. */
  #after(mark: string | undefined): number {
    return mark === undefined ? 0 : this.#fit.chains.lastIndexOf(mark) + 1;
  }

  /** A client's message with its stored texts as stubs, where that makes it smaller. */
  async #stubbed(woven: WovenMessage): Promise<WovenMessage> {
    const item = this.#fit.chat.items[woven.index];
    const captured = woven.hidden ? undefined : item?.known.stored?.captured;
    if (captured === undefined || captured.length === 0) return woven;
    const texts = new Map<number, string>();
    for (const { part, entry } of captured)
      texts.set(part, await readStub(this.#fit.chat.session.store, entry));
    const message = withTexts(woven.message, texts);
    return messageBytes(message) < messageBytes(woven.message) ? { ...woven, message } : woven;
  }
}

function isSystem(item: HistoryItem): boolean {
  return item.identity.role === 'system' || item.identity.role === 'developer';
}

function isSystemMessage(message: Message): boolean {
  return message.role === 'system' || message.role === 'developer';
}

/** How much of the first request the note repeats, code units: what all of it was about. */
const firstRequestLength = 600;

function noteOf(entries: readonly string[], count: number, items: readonly HistoryItem[]): string {
  const first = items.find(
    (item) => item.identity.role === 'user' && item.identity.textHash !== '',
  );
  const request =
    first === undefined ? '' : visibleText(first.message()).slice(0, firstRequestLength);
  return [
    `[rlm] The earlier part of this conversation, ${count} messages, is in the context store, word for word: ${entries.length === 1 ? 'entry' : 'entries'} ${entries.join(', ')}.`,
    'Search it with rlm_search and "entry", or read it with rlm_get_context, when you need what was said or done before.',
    ...(request === '' ? [] : [`It began with this request of the user:`, request]),
  ].join('\n');
}
