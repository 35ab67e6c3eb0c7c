import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { LruMap } from '../base/lru-map.ts';
import { ProxyError } from '../errors.ts';
import { tuneForBody } from '../garbage.ts';
import type { Logger } from '../log.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Outliner } from '../outline/outliner.ts';
import { affinityOf, headerOf, injectHeader, originOf } from '../clients/origin.ts';
import type { ClientKind } from '../clients/client.ts';
import type { Envelope } from '../wire/types.ts';
import { BodyReader } from '../history/body-reader.ts';
import type { CaptureLimits } from './capture-rules.ts';
import type { Session } from '../store/types.ts';
import { HistoryStore } from './capture-history.ts';
import { isReadable } from './rehydrate.ts';
import { EnvelopeCache } from '../history/envelope-cache.ts';
import { PrefixTree } from '../history/prefix-tree.ts';
import { nothingKnown, RequestReader, type StandingTexts } from '../history/read-request.ts';
import type { RequestMessage, MessageCache } from '../history/request-message.ts';
import type { SessionResolver, ResolvedSession } from '../history/session-resolver.ts';

/** A client's request, taken in: large texts are in the store, and every message is known. */
export interface Intake {
  /** The request without its messages, members in the client's order. */
  readonly envelope: Envelope;
  /** Its size as it came. */
  readonly envelopeBytes: number;
  readonly items: readonly RequestMessage[];
  readonly resolved: ResolvedSession;
  /** Name of the client, where it is known. */
  readonly client: string | undefined;
  /** Headers by which a provider finds the conversation in its cache. */
  readonly affinity: Readonly<Record<string, string>>;
  /** What names the chat while its next request arrives; see {@link RequestIntake.notePrompt}. */
  readonly chat: string | undefined;
  /** A client's own helper request (title, compaction): passed on untouched. */
  readonly isHelper: boolean;
  /** The request asks that all of our tools be offered, whatever is stored. */
  readonly asksForTools: boolean;
  /** Whether our tools may be offered: a helper request that brings its chat along has none. */
  readonly takesOurTools: boolean;
  /** Messages that had to be parsed: all but those that were known by their bytes. */
  readonly parsedMessages: number;
  /** Texts of this request that were not in the store before. */
  readonly newlyStored: number;
  /** Entries the store held before this request. */
  readonly entriesBefore: number;
  /** Why nothing could be stored, if so. The chat goes on without. */
  readonly storeFault?: ProxyError;
}

/** What a request says of its sender beside its messages. */
interface Sender {
  /** Lower-case names. */
  readonly headers: IncomingHttpHeaders;
  /** Members in which its protocol names a conversation, where chat completions have them not. */
  readonly ownMembers?: Readonly<Record<string, unknown>>;
}

/** What taking in requests needs. */
export interface IntakeOptions {
  readonly finder: SessionResolver;
  readonly limits: CaptureLimits;
  /** False where every text goes upstream as it came, whatever is stored. */
  readonly usesStubs: boolean;
  readonly outliner: Outliner;
  /** Absent where secrets stay as they are. */
  readonly secrets?: SecretGuard | undefined;
  readonly log: Logger;
}

/**
 * Messages that are recognised by their bytes: those of several chats of 100 MB, less than 2 KB
 * each. (One that was longer than this would find none of its messages: what is forgotten first is
 * what comes next.)
 */
const maxKnownMessages = 65_536;

/** Chats of whose last prompts it is known what stood in them. */
const maxChats = 10_000;

/**
 * Takes in requests: cuts them up as they arrive, recognises what is known, stores what is new and
 * large.
 */
export class RequestIntake {
  readonly #options: IntakeOptions;
  readonly #known: MessageCache;
  readonly #beginnings: PrefixTree;
  readonly #envelopes = new EnvelopeCache();
  /** What of a chat's history stood in its last prompt, by session and chat. */
  readonly #prompts = new LruMap<string, StandingTexts>(maxChats);

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#known = new LruMap(maxKnownMessages);
    this.#beginnings = new PrefixTree(2 * maxKnownMessages);
  }

  /**
   * @throws ProxyError `invalid_request`, `unknown_session`, and what reading the body throws. A
   * store that fails does not throw: see `storeFault`.
   */
  async take(body: AsyncIterable<Uint8Array>, { headers, ownMembers }: Sender): Promise<Intake> {
    const reader = new BodyReader(this.#beginnings);
    const { limits, finder, usesStubs, outliner, secrets } = this.#options;
    const origin = originOf(headers, ownMembers);
    const reading = new RequestReader(
      this.#known,
      {
        finder,
        usesStubs,
        minStoredBytes: limits.captureMinChars,
        secrets,
        isReadable,
        standing: (session, chat) => this.#prompts.get(nameOf(session, chat)) ?? nothingKnown,
      },
      { origin, keyHash: keyHashOf(headers) },
    );
    for await (const piece of body) {
      // The thread starts while the rest of a long request is still coming.
      if (reader.sizeBytes > limits.stripMinChars) outliner.warmUp();
      await reading.addAll(reader.feed(piece));
      reader.free();
    }
    await reading.addAll(reader.end());
    tuneForBody(reader.sizeBytes);
    const envelopeText = reader.envelope();
    const envelope = this.#envelopes.parse(envelopeText);
    const envelopeBytes = envelopeText.length;
    if (reading.items.length === 0)
      throw new ProxyError('invalid_request', '`messages` must hold at least one message.', {
        param: 'messages',
      });
    if (secrets?.does === 'refuse') refuseSecrets(reading.items);
    const resolved = await reading.resolved(
      ownMembers === undefined ? envelope : { ...envelope, ...ownMembers },
    );
    const { client, helper } = reading;
    const isHelper =
      helper === undefined
        ? isHelperRequest(envelope, resolved, origin.chatId)
        : helper.goes === 'untouched';
    const entriesBefore = textsKeptIn(resolved.session);
    const taken = {
      envelope,
      envelopeBytes,
      items: reading.items,
      parsedMessages: reading.parsedMessages,
      resolved,
      client: client?.name,
      affinity: affinityOf(headers, client, reading.namedChat),
      chat: reading.chat,
      isHelper,
      asksForTools: headerOf(headers, injectHeader) === 'always',
      takesOurTools: helper?.goes !== 'without tools',
      entriesBefore,
    };
    return isHelper
      ? { ...taken, newlyStored: 0 }
      : { ...taken, ...(await this.#store(taken, client)) };
  }

  /**
   * Takes note of what of a chat's history has left its prompt, and what stands whole in it: of
   * what is in the store and not asked for, nothing is kept when the next request arrives.
   */
  notePrompt({ resolved: { session }, chat, isHelper }: Intake, standing: StandingTexts): void {
    // A title or a summary of the chat goes up as it came, and says nothing of the chat's prompt.
    if (session === undefined || chat === undefined || isHelper) return;
    const name = nameOf(session, chat);
    if (standing.evictedBefore === 0 && standing.whole.size === 0) this.#prompts.delete(name);
    else this.#prompts.set(name, standing);
  }

  /** A failing store leaves the texts where they are. */
  async #store(
    { items, resolved, entriesBefore }: Pick<Intake, 'items' | 'resolved' | 'entriesBefore'>,
    client: ClientKind | undefined,
  ): Promise<Pick<Intake, 'items' | 'newlyStored' | 'storeFault'>> {
    const history = new HistoryStore(items, this.#known, { ...this.#options, client });
    try {
      const session = await history.store(resolved);
      return {
        items: history.items(session),
        newlyStored: textsKeptIn(session) - entriesBefore,
        ...(resolved.fault === undefined ? {} : { storeFault: resolved.fault }),
      };
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#options.log.warn(
        { code: error.code, reason: error.message },
        'texts could not be stored; they stay in the prompt',
      );
      return { items: history.items(resolved.session), newlyStored: 0, storeFault: error };
    }
  }
}

/**
 * Refuses a request with secrets in what is new in it: what stands behind the last answer. What was
 * accepted before that is not looked at again. @throws ProxyError `invalid_request`
 */
function refuseSecrets(items: readonly RequestMessage[]): void {
  const answer = items.findLastIndex(
    ({ identity }, index) => identity.role === 'assistant' && index < items.length - 1,
  );
  for (let index = answer + 1; index < items.length; index += 1) {
    const { identity, facts } = items[index] as RequestMessage;
    if (facts.secrets === undefined) continue;
    const what = facts.secrets.join(', ');
    throw new ProxyError(
      'invalid_request',
      `messages[${index}] (role ${identity.role}) holds what looks like a secret: ${what}. Nothing of this request was stored or sent on. Take it out of the message; or start the proxy with RLM_CAPTURE_SECRETS=mask (setting capture.secrets), and it goes on masked.`,
      { param: `messages[${index}]` },
    );
  }
}

/**
 * A title or a compaction of a client whose helper requests are not known: no tools and no
 * directory of its own, from a client that names its conversation.
 */
function isHelperRequest(
  envelope: Envelope,
  resolved: ResolvedSession,
  chatId: string | undefined,
): boolean {
  const hasTools = (envelope.tools ?? []).length > 0;
  return !hasTools && !resolved.isNamed && chatId !== undefined;
}

function nameOf({ id }: Session, chat: string): string {
  return `${id} ${chat}`;
}

const noKeyHash = hash('sha256', '').slice(0, 16);

/** Only keeps apart, never identifies: a short hash of the key the client sent. */
function keyHashOf(headers: IncomingHttpHeaders): string {
  const key = headerOf(headers, 'authorization');
  return key === undefined ? noKeyHash : hash('sha256', key).slice(0, 16);
}

/** How many texts are safe. */
function textsKeptIn(session: Session | undefined): number {
  if (session === undefined) return 0;
  const { totals, waitingTexts = 0 } = session.store;
  return totals.entries + waitingTexts;
}
