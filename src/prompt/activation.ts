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
  readonly instructions: string;
}

/** What decides whether a chat becomes active with this request. */
export interface ActivationSigns {
  readonly mode: InjectMode;
  /** Something of this request stands in the prompt as a stub. */
  readonly hasStub: boolean;
  /** No assistant message yet. */
  readonly isFirstRequest: boolean;
  /** Entries in the store before this request. */
  readonly entriesBefore: number;
}

/**
 * Whether a chat that is not active yet becomes so. Small chats over an empty store never do: they
 * cost nothing.
 */
export function becomesActive(signs: ActivationSigns): boolean {
  if (signs.mode === 'never') return false;
  return (
    signs.mode === 'always' || signs.hasStub || (signs.isFirstRequest && signs.entriesBefore > 0)
  );
}

/** The activation that a chat has, if it has one. */
export async function readActivation(
  session: Session,
  chatId: string,
): Promise<Activation | undefined> {
  return (await session.memory.get(activationKey(chatId))) as Activation | undefined;
}

/** What tells earlier work from the chat's own. */
interface Earlier {
  /** Entries before which none was stored for the chat. */
  readonly from: number;
  /**
   * Entries that stand for texts of the chat's history, each once: a history may come to us under
   * another name.
   */
  readonly own: ReadonlySet<Entry>;
  /** The time of the activation, milliseconds since 1970: how old things are counts from it. */
  readonly nowMs: number;
}

/**
 * Activates a chat: takes the snapshot of the store that its instructions will always show. @throws
 * ProxyError `store_full`
 */
export async function activate(
  session: Session,
  chatId: string,
  registry: ToolRegistry,
  earlier: Earlier,
): Promise<Activation> {
  const before = entriesBefore(session.store, chatId, earlier);
  const map = await storeMap(session.store, before, earlier.nowMs);
  const activation = { instructions: instructionsFor(totalsOf(before), map, registry.names) };
  await session.memory.put([{ key: activationKey(chatId), value: activation }]);
  return activation;
}

/**
 * What a store held before a chat's first text came into it, but for what the chat has in its
 * history.
 */
function entriesBefore(
  { entries }: SessionStore,
  chatId: string,
  { from, own }: Earlier,
): readonly Entry[] {
  let end = from;
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

function activationKey(chatId: string): string {
  return `chat:${chatId}`;
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
