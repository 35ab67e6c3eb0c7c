import { withStubs } from '../capture/rehydrate.ts';
import type { Clock } from '../clock.ts';
import type { Intake } from '../capture/intake.ts';
import { ProxyError } from '../errors.ts';
import type { HistoryMessage, RequestMessage } from '../history/request-message.ts';
import type { Logger } from '../log.ts';
import { clashes, type InjectMode, type Offer, withInstructions } from './activation.ts';
import {
  type ChatTexts,
  type LaidTexts,
  isReduced,
  showMessage,
  withCannotOpen,
} from './chat-texts.ts';
import { openingTool } from './dormant-tool.ts';
import type { HandOver } from './hidden-calls.ts';
import { type Scales, scalesFor } from './prompt-cost.ts';
import { ProxyResults } from './shorten-results.ts';
import type { TokenGauge } from './token-gauge.ts';
import type { ToollessModels } from './toolless-models.ts';
import { RecordCache, TurnMemory, type TurnPosition } from './turn-memory.ts';
import { type TurnRoom, windowMarks } from './window.ts';
import { type Places, placesOf, turnsOf, weave } from './weave.ts';
import { type Fitted, type Room, type WindowReport, fitWindow } from './fit-window.ts';
import type { Session } from '../store/types.ts';
import type { ToolRegistry } from '../tools/registry.ts';
import { jsonBytes } from '../wire/message-json.ts';
import type { ChatRequest } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';

/** The model that answers, as far as a prompt has to know it. */
export interface PromptTarget {
  /** The upstream's own id of the model. */
  readonly model: string;
  /** For token estimates: provider and model. */
  readonly gaugeKey: string;
  readonly windowTokens?: number;
  readonly maxOutputTokens?: number;
}

/** What goes upstream for one client request. */
export interface Prompt {
  readonly request: ChatRequest;
  /** Our tools in it; absent where nothing was injected. */
  readonly own?: {
    readonly session: Session;
    /** Whether all of them stand in it, or the one that opens them. */
    readonly offer: Offer['kind'];
    /** All that can be run, whichever are offered. */
    readonly registry: ToolRegistry;
    readonly memory: TurnMemory;
    readonly place: TurnPosition;
    readonly ownResults: ProxyResults;
  };
  /**
   * Steps of ours that come before the one in which the client's choice of tools holds; absent
   * where it holds from the start.
   */
  readonly handOver?: HandOver;
  /**
   * How large the request may become by the turn's own steps; absent where the window is not known.
   */
  readonly room?: TurnRoom;
  /** What the window has done to it. */
  readonly window: WindowReport;
  /** Hashes of messages that could have stubs and stand whole. */
  readonly standing: ReadonlySet<string>;
  /**
   * What the client's messages and tools would weigh upstream without us, bytes of text that cost
   * as much.
   */
  readonly clientBytes: number;
}

/** How prompts are made. */
export interface PromptOptions {
  readonly inject: InjectMode;
  readonly registry: ToolRegistry;
  readonly clock: Pick<Clock, 'now'>;
  readonly gauge: TokenGauge;
  /** Models that are offered no tools. */
  readonly toolless: ToollessModels;
  readonly shares: {
    readonly highWater: number;
    readonly lowWater: number;
    /** While a prompt stays below it, long texts stand whole. */
    readonly comfortable: number;
  };
  /** Tokens kept free for the answer where the client does not say how long it may get. */
  readonly answerTokens: number;
  readonly log: Logger;
}

/** The window as one request may use it. */
export interface Window extends Room {
  /** Below it long texts stand whole. */
  readonly comfortableBytes: number;
  readonly room: TurnRoom;
  /** All of it. */
  readonly windowTokens: number;
  readonly windowBytes: number;
}

/** What is known of a request's chat before anything is laid out. */
export interface Chat {
  readonly session: Session | undefined;
  readonly isActive: boolean;
  /** Absent where no text could have a stub. */
  readonly texts: ChatTexts | undefined;
  readonly places: () => Places;
}

/**
 * A request while its prompts are made, mostly one: what is found out of it once. No `WeakMap` has
 * that by the intake: V8's young collections take the values of such a map for alive, so all that
 * hangs on a request went to the old generation, half of what got there.
 */
export interface Subject {
  readonly intake: Intake;
  chat?: Chat;
  /** Something was demoted, in whichever of the layouts that were tried. */
  wasDemoted?: true;
  /** Something of it could not be stored. */
  isFailing?: true;
}

/** A prompt that is being made. */
export interface Work {
  readonly subject: Subject;
  readonly intake: Intake;
  readonly target: PromptTarget;
  readonly chat: Chat;
  /** Whether the model takes tools in such a request. */
  readonly takesTools: boolean;
  readonly scales: Scales;
  /** What all of the client's messages weigh as they came, bytes. */
  readonly itemBytes: number;
  readonly window?: Window;
}

/** What is made once for each session. */
interface SessionParts {
  readonly memory: TurnMemory;
  readonly ownResults: ProxyResults;
}

type ToolList = NonNullable<ChatRequest['tools']>;

interface OfferedTools {
  readonly registry: ToolRegistry;
  readonly tools: ToolList;
}

/** What an offer puts into a request. */
interface OfferParts {
  readonly tools: ToolList;
  /** JSON of our definitions, and the instructions, bytes. */
  readonly sizeBytes: number;
  readonly instructions?: string;
}

const nobody: ReadonlySet<number> = new Set();

/** Of a client that has none. */
export const noTools: ToolList = [];

/**
 * Hidden turns kept in memory besides the disk, bytes of JSON: those of a dozen chats, as one that
 * has left its chat's window is not asked for any more.
 */
const maxCachedBytes = 8_388_608;

/** Of a prompt that is laid out. */
export interface LaidPrompt {
  readonly prompt: Prompt;
  /** Estimated, with tools and instructions, bytes. */
  readonly sizeBytes: number;
  /** Whether something stands outside of it. */
  readonly leavesOut: boolean;
}

/** How a prompt is laid out. */
export interface LayOut {
  readonly session: Session;
  /** Present: with our tools and instructions, or with the one that opens them. */
  readonly offer: Offer | undefined;
  /** Indexes of messages whose texts stay. */
  readonly kept?: ReadonlySet<number>;
  /** Index of the message that says that nothing can be opened, if there is something. */
  readonly tellAt?: number;
  /** Members that go up in place of the client's. */
  readonly changed: Readonly<Record<string, unknown>>;
}

/** Whether a chat's definitions say how linked stores are reached. */
function isLinked(offer: Offer | undefined): boolean {
  return offer?.kind === 'active' && offer.isLinked === true;
}

/** Puts prompts together from what was decided: weaves, fits, adds instructions and tools. */
export class PromptLayout {
  readonly #options: PromptOptions;
  readonly #parts = new WeakMap<Session, SessionParts>();
  readonly #records = new RecordCache(maxCachedBytes);
  readonly #offered = new WeakMap<ToolList, OfferedTools>();
  /** The same with definitions that say how linked stores are reached. */
  readonly #offeredLinked = new WeakMap<ToolList, OfferedTools>();
  /** Of the dormant chat that had such a list last. */
  readonly #dormant = new WeakMap<
    ToolList,
    { readonly texts: number; readonly parts: OfferParts }
  >();

  constructor(options: PromptOptions) {
    this.#options = options;
  }

  /** As the client sent it, but for what stands in the place of texts. */
  async plain(
    work: Pick<Work, 'intake' | 'target' | 'itemBytes'> & Partial<Pick<Work, 'chat'>>,
    laid: LaidTexts,
  ): Promise<Prompt> {
    const { intake, target, chat } = work;
    const shown = await showAll(intake.items, laid, {
      from: 0,
      session: chat?.session ?? intake.resolved.session,
    });
    const messages = shown.map((each, index) =>
      laid.told.has(index) ? withCannotOpen(parsed(each.message())) : each.message(),
    );
    return {
      request: { ...intake.envelope, model: target.model, messages },
      window: { steps: 0, demoted: false, evictedBefore: 0 },
      standing: standingIn(intake.items, laid),
      clientBytes: clientBytesOf(work),
    };
  }

  /** What {@link plain} would weigh, bytes. */
  async plainBytes({ intake, chat, scales }: Work, laid: LaidTexts): Promise<number> {
    const shown = await showAll(intake.items, laid, { from: 0, session: chat.session });
    return shown.reduce(
      (total, each) => total + scales.weigh(each.message()) + 1,
      intake.envelopeBytes,
    );
  }

  /** What a message weighs more as it came than with its stubs, bytes. */
  async stubSavings({ intake, chat, scales }: Work, index: number): Promise<number> {
    const item = intake.items[index] as RequestMessage;
    if (chat.session === undefined) return 0;
    const { store } = chat.session;
    const short = await withStubs(item, store);
    return scales.weigh(item) - scales.weigh(short.message());
  }

  /** The list within the window, and our tools where the chat has them. */
  async layOut(work: Work, laid: LaidTexts, how: LayOut): Promise<LaidPrompt> {
    const { subject, intake, target, window, chat } = work;
    const { envelope, resolved } = intake;
    const { session, offer, changed } = how;
    const theirs = envelope.tools ?? noTools;
    const { registry } = this.toolsFor(theirs, isLinked(offer));
    const ours = offer === undefined ? undefined : this.#partsOfOffer(theirs, offer);
    const overheadBytes = intake.envelopeBytes + (ours?.sizeBytes ?? 0);
    const places = chat.places();
    const fitted = await this.#fit(work, laid, { ...how, overheadBytes });
    if (fitted.window.demoted) subject.wasDemoted = true;
    const place = {
      chatId: resolved.chatId,
      chain: places.chains.at(-1) ?? '',
      userTextHash: places.questions.at(-1) ?? '',
    };
    const head = { ...envelope, model: target.model };
    const { messages } = fitted;
    const request: ChatRequest =
      ours === undefined
        ? { ...head, ...changed, messages }
        : {
            ...head,
            tools: ours.tools,
            ...changed,
            messages:
              ours.instructions === undefined
                ? messages
                : withInstructions(messages, ours.instructions),
          };
    const prompt: Prompt = {
      request,
      ...(offer === undefined
        ? {}
        : { own: { session, offer: offer.kind, registry, place, ...this.#partsOf(session) } }),
      window: { ...fitted.window, demoted: subject.wasDemoted === true },
      standing: standingIn(intake.items, laid),
      ...(window === undefined ? {} : { room: window.room }),
      clientBytes: clientBytesOf(work),
    };
    const sizeBytes = fitted.sizeBytes + overheadBytes;
    return { prompt, sizeBytes, leavesOut: fitted.leavesOut };
  }

  /** Weaves, and where a window is known or something was demoted before, fits. */
  async #fit(
    { subject, intake, window, chat, scales }: Work,
    laid: LaidTexts,
    how: LayOut & { readonly overheadBytes: number },
  ): Promise<Fitted> {
    const { session, kept, tellAt, overheadBytes } = how;
    const { items } = intake;
    const { chatId } = intake.resolved;
    const places = chat.places();
    const { memory, ownResults } = this.#partsOf(session);
    const guarded = {
      session,
      chatId,
      items,
      chains: places.chains,
      ownResults,
      weigh: scales.weigh,
      kept: kept ?? nobody,
      told: laid.told,
      isReduced: isReduced(laid),
      show: async (index: number) =>
        showMessage(items[index] as RequestMessage, laid, { index, store: session.store }),
      ...(tellAt === undefined ? {} : { tellAt }),
      weave: async (from: number) =>
        weave(await showAll(items, laid, { from, session }), places, {
          chatId,
          from,
          find: async (turns) => memory.findAll(turns, async (work) => this.guarded(work)),
        }),
      onStoreFault: (error: ProxyError) => {
        subject.isFailing = true;
        this.#tolerate(error);
      },
    };
    return fitWindow(guarded, {
      highBytes: (window?.highBytes ?? Infinity) - overheadBytes,
      lowBytes: (window?.lowBytes ?? Infinity) - overheadBytes,
    });
  }

  /**
   * Whether nothing of a request can be stored: its texts could not, or what was to leave the
   * prompt could not. With `asks` a session is made if there is none, and if that goes, it can.
   */
  async storeFails({ intake, isFailing }: Subject, asks: boolean): Promise<boolean> {
    if (intake.storeFault !== undefined || isFailing === true) return true;
    if (!asks || intake.resolved.session !== undefined) return false;
    return (await this.ensured(intake)) === undefined;
  }

  /** The session, made now if there is none; nothing where it cannot be. */
  async ensured({ resolved }: Intake): Promise<Session | undefined> {
    return this.guarded(async () => resolved.ensure());
  }

  /**
   * Nothing where the store fails: what it would have remembered costs a cache miss and never an
   * answer.
   */
  async guarded<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#tolerate(error);
      return undefined;
    }
  }

  #tolerate(error: unknown): void {
    if (!(error instanceof ProxyError)) throw error;
    this.#options.log.warn(
      { code: error.code, reason: error.message },
      'the memory of this chat does not work; the chat goes on without',
    );
  }

  /**
   * The chat that a history was forked from by a client which gives each of its own a name; nothing
   * where it is of none that had our tools.
   */
  async originOf({ items, resolved }: Intake, session: Session): Promise<string | undefined> {
    const options = { chatId: resolved.chatId, from: 0 };
    const turns = turnsOf(items, placesOf(items), options);
    return this.#partsOf(session).memory.chatOf(turns.toReversed());
  }

  /**
   * Our tools beside the client's, and both lists in one. Made once for a list: a known envelope
   * has the same one in every turn.
   */
  toolsFor(theirs: ToolList, withLinks = false): OfferedTools {
    const known = withLinks ? this.#offeredLinked : this.#offered;
    let offered = known.get(theirs);
    if (offered === undefined) {
      const plain = withLinks ? this.toolsFor(theirs).registry : this.#registryFor(theirs);
      const registry = withLinks ? plain.linked : plain;
      offered = { registry, tools: [...theirs, ...registry.definitions] };
      known.set(theirs, offered);
    }
    return offered;
  }

  /** All of our tools with what is said of them, or the one that opens them. */
  #partsOfOffer(theirs: ToolList, offer: Offer): OfferParts {
    if (offer.kind === 'active') {
      const { registry, tools } = this.toolsFor(theirs, isLinked(offer));
      const { instructions } = offer;
      const sizeBytes = jsonBytes(registry.definitions).length + instructions.length;
      return { tools, sizeBytes, instructions };
    }
    const known = this.#dormant.get(theirs);
    if (known?.texts === offer.texts) return known.parts;
    const tool = openingTool(offer.texts);
    const parts = { tools: [...theirs, tool], sizeBytes: jsonBytes(tool).length };
    this.#dormant.set(theirs, { texts: offer.texts, parts });
    return parts;
  }

  #registryFor(tools: ToolList): ToolRegistry {
    const names = clashes(tools, this.#options.registry);
    if (names.size === 0) return this.#options.registry;
    this.#options.log.warn(
      { tools: [...names] },
      'the client has tools of these names itself; ours are withdrawn',
    );
    return this.#options.registry.without(names);
  }

  #partsOf(session: Session): SessionParts {
    let parts = this.#parts.get(session);
    if (parts === undefined) {
      parts = {
        memory: new TurnMemory(session.memory, this.#records),
        ownResults: new ProxyResults(session.store),
      };
      this.#parts.set(session, parts);
    }
    return parts;
  }

  /** What the parts of a prompt cost with this model. */
  scalesOf({ gaugeKey }: PromptTarget): Scales {
    const { gauge } = this.#options;
    return scalesFor(gaugeKey, {
      bytesPerToken: gauge.bytesPerToken(gaugeKey),
      partScale: gauge.partScale(gaugeKey),
    });
  }

  windowOf(
    target: PromptTarget,
    { windowTokens, scales }: { readonly windowTokens: number; readonly scales: Scales },
    envelope: Intake['envelope'],
  ): Window {
    const asked = [envelope['max_tokens'], envelope['max_completion_tokens']].find(
      (value) => typeof value === 'number',
    );
    const answerTokens = asked ?? target.maxOutputTokens ?? this.#options.answerTokens;
    const marks = windowMarks(windowTokens, answerTokens, this.#options.shares);
    const { bytesPerToken } = scales;
    return {
      highBytes: marks.highTokens * bytesPerToken,
      lowBytes: marks.lowTokens * bytesPerToken,
      room: { maxTokens: marks.turnTokens, scales },
      windowTokens,
      windowBytes: windowTokens * bytesPerToken,
      comfortableBytes: this.#options.shares.comfortable * windowTokens * bytesPerToken,
    };
  }
}

/** A request's list as it is to stand, from a message on; those before it as they are. */
async function showAll(
  items: readonly RequestMessage[],
  laid: LaidTexts,
  { from, session }: { readonly from: number; readonly session: Session | undefined },
): Promise<readonly HistoryMessage[]> {
  if (session === undefined) return items;
  const { store } = session;
  const shown: HistoryMessage[] = [...items];
  for (let index = from; index < items.length; index += 1) {
    const item = items[index] as RequestMessage;
    if (item.stored === undefined) continue;
    shown[index] = await showMessage(item, laid, { index, store });
  }
  return shown;
}

function standingIn(items: readonly RequestMessage[], { whole }: LaidTexts): ReadonlySet<string> {
  return whole.size === 0 ? noHashes : new Set(Array.from(whole, (index) => items[index]!.hash));
}

const noHashes: ReadonlySet<string> = new Set();

function clientBytesOf({ intake, itemBytes }: Pick<Work, 'intake' | 'itemBytes'>): number {
  return itemBytes + intake.items.length + intake.envelopeBytes;
}
