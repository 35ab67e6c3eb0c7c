import { linksOf } from '../store/session/links.ts';
import type { Entry, Session, SessionStore, Totals } from '../store/types.ts';
import { storeMap } from '../tools/listing/store-map.ts';
import type { ToolRegistry } from '../tools/registry.ts';
import type { ContentPart, Message, ToolDefinition, UpstreamMessage } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import { RequestMessage } from '../history/request-message.ts';
import type { Identity } from '../history/identity.ts';
import { instructionsFor } from './instructions.ts';

/** When the tools are offered. */
export type InjectMode = 'auto' | 'always' | 'never';

/** What a chat was told when it was activated; the same bytes from then on. */
export interface Activation {
  readonly kind: 'active';
  readonly instructions: string;
  /** Its store had links then: the definitions of its tools say how they are reached. */
  readonly isLinked?: true;
}

/**
 * What a chat has before that, where its project has texts of earlier work: one short tool that
 * opens them. The same bytes until then.
 */
export interface Dormancy {
  readonly kind: 'dormant';
  /** Texts that can be opened, counted once. */
  readonly texts: number;
  /** Entries the store held at that time. */
  readonly entries: number;
}

/** What a chat is offered: it begins with nothing, and never goes back. */
export type Offer = Activation | Dormancy;

/** What decides what a chat is offered with this request. */
export interface OfferSigns {
  readonly mode: InjectMode;
  /** Something of this request stands in the prompt as a stub, or has to leave it. */
  readonly hasStub: boolean;
  /** No assistant message yet. */
  readonly isFirstRequest: boolean;
  /** Texts in the store before this request that are not the chat's own. */
  readonly openable: number;
  /** The chat is dormant. */
  readonly isDormant: boolean;
  /** The one short tool would do in this request. */
  readonly mayBeDormant: boolean;
}

/**
 * What a chat that is not active is offered from this request on. Small chats over an empty store
 * never get anything: they cost nothing.
 */
export function nextOffer(signs: OfferSigns): Offer['kind'] | undefined {
  if (signs.mode === 'never') return undefined;
  if (signs.mode === 'always' || signs.hasStub) return 'active';
  const isOffered = signs.isDormant || (signs.isFirstRequest && signs.openable > 0);
  if (!isOffered) return undefined;
  return signs.mayBeDormant ? 'dormant' : 'active';
}

/** What a chat is offered, if it is. @throws ProxyError what the memory throws */
export async function readOffer(session: Session, chatId: string): Promise<Offer | undefined> {
  const { memory } = session;
  const active = (await memory.get(activeKey(chatId))) as
    | Pick<Activation, 'instructions' | 'isLinked'>
    | undefined;
  if (active !== undefined) {
    const { instructions, isLinked } = active;
    return { kind: 'active', instructions, ...(isLinked === undefined ? {} : { isLinked }) };
  }
  const dormant = (await memory.get(dormantKey(chatId))) as Omit<Dormancy, 'kind'> | undefined;
  return dormant === undefined ? undefined : { kind: 'dormant', ...dormant };
}

/** What tells earlier work from the chat's own. */
export interface Earlier {
  /** Entries before which none was stored for the chat. */
  readonly from: number;
  /**
   * Entries that stand for texts of the chat's history, each once: a history may come to us under
   * another name.
   */
  readonly own: ReadonlySet<Entry>;
}

/** Makes a chat dormant: counts once what can be opened. @throws ProxyError `store_full` */
export async function makeDormant(
  session: Session,
  chatId: string,
  counted: Omit<Dormancy, 'kind'>,
): Promise<Dormancy> {
  const { texts, entries } = counted;
  await session.memory.put([{ key: dormantKey(chatId), value: { texts, entries } }]);
  return { kind: 'dormant', texts, entries };
}

/**
 * Activates a chat: takes the snapshot of the store that its instructions will always show. `nowMs`
 * is the time of it, milliseconds since 1970: how old things are counts from it. @throws ProxyError
 * `store_full`
 */
export async function activate(
  session: Session,
  chatId: string,
  given: {
    readonly registry: ToolRegistry;
    readonly before: readonly Entry[];
    readonly nowMs: number;
  },
): Promise<Activation> {
  const { registry, before, nowMs } = given;
  const map = await storeMap(session.store, before, nowMs);
  // As they are now, for the whole chat: a link that is made later would change definitions that
  // stand at the beginning of every prompt.
  const links = linksOf(session.events.all);
  const instructions = instructionsFor(totalsOf(before), map, { toolNames: registry.names, links });
  const value = { instructions, ...(links.length === 0 ? {} : { isLinked: true as const }) };
  await session.memory.put([{ key: activeKey(chatId), value }]);
  return { kind: 'active', ...value };
}

/**
 * What a store held before a chat's first text came into it, but for what the chat has in its
 * history. Of a dormant chat it is what was counted then.
 */
export function entriesBefore(
  { entries }: SessionStore,
  chatId: string,
  { from, own }: Earlier,
  dormancy?: Dormancy,
): readonly Entry[] {
  let end = dormancy?.entries ?? from;
  if (dormancy === undefined)
    while (end < entries.length && entries[end]?.chatId !== chatId) end += 1;
  return entries.slice(0, end).filter((entry) => !own.has(entry));
}

function totalsOf(entries: readonly Entry[]): Pick<Totals, 'chars' | 'lines' | 'entries'> {
  let [chars, lines] = [0, 0];
  for (const { lengthChars, lineCount } of entries) {
    chars += lengthChars;
    lines += lineCount;
  }
  return { chars, lines, entries: entries.length };
}

/** Where what a chat is offered is remembered. */
export function offerKeys(chatId: string): readonly string[] {
  return [activeKey(chatId), dormantKey(chatId)];
}

function activeKey(chatId: string): string {
  return `chat:${chatId}`;
}

function dormantKey(chatId: string): string {
  return `dormant:${chatId}`;
}

/**
 * System messages with instructions in them, by what they are without: long texts that every turn
 * would write again.
 */
const extended = new WeakMap<
  Identity,
  { readonly instructions: string; readonly message: Message }
>();

/**
 * The list with our instructions behind the first system message's own text, or before everything
 * where there is none.
 */
export function withInstructions(
  messages: readonly UpstreamMessage[],
  instructions: string,
): readonly UpstreamMessage[] {
  const at = messages.findIndex(
    (message) => message.role === 'system' || message.role === 'developer',
  );
  const system = messages[at];
  if (system === undefined) return [{ role: 'system', content: instructions }, ...messages];
  const identity = system instanceof RequestMessage ? system.identity : undefined;
  const known = identity === undefined ? undefined : extended.get(identity);
  if (known?.instructions === instructions) return messages.with(at, known.message);
  const message = extend(parsed(system), instructions);
  if (identity !== undefined) extended.set(identity, { instructions, message });
  return messages.with(at, message);
}

function extend(message: Message, instructions: string): Message {
  const { content } = message;
  const both: string | readonly ContentPart[] = Array.isArray(content)
    ? [...(content as readonly ContentPart[]), { type: 'text', text: instructions }]
    : `${typeof content === 'string' ? content : ''}\n\n${instructions}`;
  return { ...message, content: both };
}

/** Names that both the client's tools and ours have: the client's stay, ours are withdrawn. */
export function clashes(
  tools: readonly ToolDefinition[],
  registry: ToolRegistry,
): ReadonlySet<string> {
  return new Set(
    tools.map((tool) => tool.function?.name ?? '').filter((name) => registry.has(name)),
  );
}
