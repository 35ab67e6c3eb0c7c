import { setImmediate } from 'node:timers/promises';
import type { Session } from '../store/types.ts';
import type { Message, ToolCall } from '../wire/types.ts';
import {
  candidatesOf,
  readStub,
  storeCandidates,
  type Candidate,
  type CaptureLimits,
} from './capture.ts';
import type { Captured, RequestMessage, MessageCache } from '../history/request-message.ts';
import { withTexts } from '../history/message-texts.ts';
import { PrunedOutputs } from './pruned-outputs.ts';
import type { ResolvedSession } from '../history/session-resolver.ts';

/**
 * Bytes of messages committed together: one data sync for a turn, and a bound on what the first
 * sight of a long history holds.
 */
const groupBytes = 4_194_304;
/** Known messages passed over before others get their turn: 1 ms. */
const sliceItems = 4_096;
/** Bytes of messages looked through, or replaced by stubs, before others get their turn: 3 ms. */
const sliceBytes = 262_144;

/** A message whose texts are not stored yet. */
interface Waiting {
  readonly item: RequestMessage;
  readonly candidates: readonly Candidate[];
}

/** Stores what is new and large in one request's history, and puts stubs in its place. */
export class HistoryStore {
  readonly #items: readonly RequestMessage[];
  readonly #known: MessageCache;
  readonly #limits: CaptureLimits;

  constructor(items: readonly RequestMessage[], known: MessageCache, limits: CaptureLimits) {
    this.#items = items;
    this.#known = known;
    this.#limits = limits;
  }

  /**
   * @returns The session, if there is one now. @throws ProxyError what the store throws; then the
   * texts stay where they are
   */
  async store(resolved: ResolvedSession): Promise<Session | undefined> {
    let { session } = resolved;
    for await (const group of this.#waiting(resolved)) {
      session ??= await resolved.ensure();
      await this.#storeGroup(session, group);
    }
    await this.#replacePruned(resolved);
    return session;
  }

  /** What is to be stored, in groups that are committed together. */
  async *#waiting(resolved: ResolvedSession): AsyncGenerator<readonly Waiting[], void, void> {
    let found: Waiting[] = [];
    let foundBytes = 0;
    let sinceBytes = 0;
    const limits = this.#limits;
    for (let index = 0; index < this.#items.length; index += 1) {
      if (index % sliceItems === sliceItems - 1) await setImmediate();
      const item = this.#items[index] as RequestMessage;
      const { role } = item.identity;
      if ((role !== 'tool' && role !== 'user') || item.sizeBytes < limits.captureMinChars) continue;
      if (item.known.stored !== undefined && item.known.stored.sessionId === resolved.session?.id) {
        item.useStubs();
        continue;
      }
      if (item.known.holdsNothing === true) continue;
      sinceBytes += item.sizeBytes;
      if (sinceBytes > sliceBytes) {
        sinceBytes = 0;
        await setImmediate();
      }
      const call = role === 'tool' ? this.#callOf(index) : undefined;
      const candidates = candidatesOf(item.frame(), call, {
        chatId: resolved.chatId,
        limits,
        ...(item.large === undefined ? {} : { large: item.large.texts }),
      });
      if (candidates.length > 0) {
        found.push({ item, candidates });
        foundBytes += item.sizeBytes;
        if (foundBytes >= groupBytes) {
          yield found;
          found = [];
          foundBytes = 0;
        }
        continue;
      }
      item.known = { ...item.known, holdsNothing: true };
      this.#known.set(item.hash, item.known);
    }
    if (found.length > 0) yield found;
  }

  async #storeGroup(session: Session, group: readonly Waiting[]): Promise<void> {
    const candidates = group.flatMap((waiting) => waiting.candidates);
    const stored = await storeCandidates(session, candidates, this.#limits);
    let from = 0;
    let sinceBytes = 0;
    for (const { item, candidates: own } of group) {
      // What was just stored is read back from memory, and nothing of that waits.
      sinceBytes += item.sizeBytes;
      if (sinceBytes > sliceBytes) {
        sinceBytes = 0;
        await setImmediate();
      }
      const captured = stored.slice(from, (from += own.length));
      const stripped = await strippedMessage(session, item, captured);
      item.known = {
        ...item.known,
        stored: {
          sessionId: session.id,
          captured,
          hasStub: stripped !== undefined,
          ...(stripped === undefined ? {} : { stripped }),
          ...frameMember(item, captured),
        },
      };
      item.useStubs();
      this.#known.set(item.hash, item.known);
      if (stripped !== undefined) item.release();
    }
  }

  /**
   * A client that has pruned an output itself left a mark where the stub can stand: it says where
   * the original is.
   */
  async #replacePruned(resolved: ResolvedSession): Promise<void> {
    const { session } = resolved;
    if (session === undefined) return;
    const pruned = new PrunedOutputs(session, resolved.chatId, this.#items);
    for (let index = 0; index < this.#items.length; index += 1) {
      if (index % sliceItems === sliceItems - 1) await setImmediate();
      const item = this.#items[index] as RequestMessage;
      if (item.known.isPruned !== true) continue;
      const entry = await pruned.entryFor(index, this.#callOf(index));
      if (entry === undefined) continue;
      const stripped = { ...item.parse(), content: await readStub(session.store, entry) };
      const stored = { sessionId: session.id, captured: [], hasStub: true, stripped };
      item.known = { ...item.known, stored };
      item.useStubs();
    }
    await pruned.save();
  }

  /** The call a tool message answers: in the nearest turn before it. */
  #callOf(index: number): ToolCall | undefined {
    const id = this.#items[index]?.identity.toolCallId;
    for (let at = index - 1; at >= 0; at -= 1) {
      const item = this.#items[at] as RequestMessage;
      if (item.identity.role === 'tool') continue;
      if (id === undefined || !item.identity.callIds.includes(id)) return undefined;
      return item.parse().tool_calls?.find((call) => call.id === id);
    }
    return undefined;
  }
}

/**
 * A tool output without its texts, where the store has all that is needed to put it together again.
 */
function frameMember(
  item: RequestMessage,
  captured: readonly Captured[],
): { readonly frame?: Message } {
  const isMadeOfThem = captured.every(({ stripped, isVerbatim }) => stripped || isVerbatim);
  if (item.identity.role !== 'tool' || !isMadeOfThem) return {};
  return { frame: replaced(item, new Map(captured.map(({ part }) => [part, '']))) };
}

async function strippedMessage(
  session: Session,
  item: RequestMessage,
  captured: readonly Captured[],
): Promise<Message | undefined> {
  const texts = new Map<number, string>();
  for (const { part, entry, stripped } of captured)
    if (stripped) texts.set(part, await readStub(session.store, entry));
  return texts.size === 0 ? undefined : replaced(item, texts);
}

/** The message with other texts in the place of some. */
function replaced(item: RequestMessage, texts: ReadonlyMap<number, string>): Message {
  // A setting may leave even megabytes where they are.
  const isWhole = [...(item.large?.texts.keys() ?? [])].some((part) => !texts.has(part));
  return withTexts(isWhole ? item.parse() : item.frame(), texts);
}
