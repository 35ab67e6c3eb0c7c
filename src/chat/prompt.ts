import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Session } from '../store/types.ts';
import type { ToolRegistry } from '../tools/registry.ts';
import { jsonBytes } from '../wire/message-json.ts';
import type { ChatRequest } from '../wire/types.ts';
import {
  activate,
  becomesActive,
  clashes,
  readActivation,
  withInstructions,
  type Activation,
  type InjectMode,
} from './activation.ts';
import { settle } from './history.ts';
import type { Intake } from './intake.ts';
import type { Identity } from './identity.ts';
import { restoreTexts } from './moved-texts.ts';
import { OwnResults } from './own-results.ts';
import { memoryOf } from './recent-memory.ts';
import type { TurnRoom } from './turn-room.ts';
import { TurnMemory, type Place, type TurnRecord } from './turn-memory.ts';
import { placesOf, weave, type Places } from './weave.ts';
import { type TokenGauge, windowMarks } from './window.ts';
import { fitWindow, type Fitted, type Room } from './window-guard.ts';

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
    readonly registry: ToolRegistry;
    readonly memory: TurnMemory;
    readonly place: Place;
    readonly ownResults: OwnResults;
  };
  /** How large the request may become by the turn's own steps; absent where the window is not known. */
  readonly room?: TurnRoom;
  /** Demotion steps of this chat so far, and whether this request made one. */
  readonly window: { readonly steps: number; readonly demoted: boolean };
  /** Bytes that the client's messages and tools would have had upstream without us. */
  readonly clientBytes: number;
}

/** How prompts are made. */
export interface PromptOptions {
  readonly inject: InjectMode;
  readonly registry: ToolRegistry;
  readonly gauge: TokenGauge;
  readonly shares: { readonly highWater: number; readonly lowWater: number };
  /** Tokens kept free for the answer where the client does not say how long it may get. */
  readonly answerTokens: number;
  readonly log: Logger;
}

/** What is made once for each session. */
interface SessionParts {
  readonly memory: TurnMemory;
  readonly ownResults: OwnResults;
}

type ToolList = NonNullable<ChatRequest['tools']>;

interface OfferedTools {
  readonly registry: ToolRegistry;
  readonly tools: ToolList;
}

/** Of a client that has none. */
const noTools: ToolList = [];

/** Hidden turns kept in memory per session besides the disk: those of a long chat. */
const maxCachedRecords = 500;

/** Turns a taken-in request into what goes upstream: stubs, hidden turns, instructions and tools, within the window. */
export class PromptMaker {
  readonly #options: PromptOptions;
  readonly #parts = new WeakMap<Session, SessionParts>();
  readonly #offered = new WeakMap<ToolList, OfferedTools>();

  constructor(options: PromptOptions) {
    this.#options = options;
  }

  /** `windowTokens` overrides the target's window after the upstream has refused a prompt. */
  async make(
    intake: Intake,
    target: PromptTarget,
    windowTokens = target.windowTokens,
  ): Promise<Prompt> {
    const { envelope, items } = intake;
    const clientBytes = items.reduce(
      (total, item) => total + item.sizeBytes + 1,
      intake.envelopeBytes,
    );
    const plain = async (): Promise<Prompt> => {
      const { session } = intake.whose;
      if (session !== undefined) await restoreTexts(items, session.store);
      const messages = items.map((item) => item.message());
      return {
        request: { ...envelope, model: target.model, messages },
        window: { steps: 0, demoted: false },
        clientBytes,
      };
    };
    if (intake.isHelper || this.#options.inject === 'never') {
      for (const item of items) item.useNoStubs();
      return plain();
    }
    const window =
      windowTokens === undefined ? undefined : this.#windowOf(target, windowTokens, envelope);
    const active = await this.#activation(intake, window?.highBytes);
    if (active === undefined) return plain();
    const { session, activation } = active;
    const { registry, tools } = this.#toolsFor(envelope.tools ?? noTools);
    const overhead =
      intake.envelopeBytes +
      jsonBytes(registry.definitions).length +
      activation.instructions.length;
    settle(items);
    const places = placesOf(items);
    const fitted = await this.#layOut(session, intake, places, {
      highBytes: (window?.highBytes ?? Infinity) - overhead,
      lowBytes: (window?.lowBytes ?? Infinity) - overhead,
    });
    const place = {
      chatId: intake.whose.chatId,
      chain: places.chains.at(-1) ?? '',
      userTextHash: places.questions.at(-1) ?? '',
    };
    return {
      request: {
        ...envelope,
        model: target.model,
        tools,
        messages: withInstructions(fitted.messages, activation.instructions),
      },
      own: { session, registry, place, ...this.#partsOf(session) },
      window: { steps: fitted.steps, demoted: fitted.demoted },
      ...(window === undefined ? {} : { room: window.room }),
      clientBytes,
    };
  }

  async #activation(
    intake: Intake,
    highBytes: number | undefined,
  ): Promise<{ session: Session; activation: Activation } | undefined> {
    const { whose, items } = intake;
    const { chatId } = whose;
    const known =
      whose.session === undefined ? undefined : await readActivation(whose.session, chatId);
    if (known !== undefined && whose.session !== undefined)
      return { session: whose.session, activation: known };
    const hasStub = items.some((item) => item.wantsStub);
    const isOverflowing =
      highBytes !== undefined &&
      items.reduce((total, item) => total + item.sizeBytes, 0) > highBytes;
    const signs = {
      mode: this.#options.inject,
      hasStub: hasStub || isOverflowing,
      isFirstRequest: !items.some((item) => item.identity.role === 'assistant'),
      entriesBefore: intake.entriesBefore,
    };
    if (!becomesActive(signs)) return undefined;
    try {
      const session = await whose.ensure();
      const { registry } = this.#toolsFor(intake.envelope.tools ?? noTools);
      const own = new Set(
        items.flatMap(({ known: { stored } }) => stored?.captured ?? []).map(({ entry }) => entry),
      );
      const from = signs.isFirstRequest ? signs.entriesBefore : 0;
      return { session, activation: await activate(session, chatId, registry, { from, own }) };
    } catch (error) {
      // Without a store there is nothing to offer tools for.
      this.#tolerate(error);
      return undefined;
    }
  }

  /** Weaves, and where a window is known or something was demoted before, fits. */
  async #layOut(session: Session, intake: Intake, places: Places, room: Room): Promise<Fitted> {
    const { items, whose } = intake;
    const { memory, ownResults } = this.#partsOf(session);
    const find = async (place: Place, identity: Identity): Promise<TurnRecord | undefined> => {
      try {
        return await memory.find(place, identity);
      } catch (error) {
        this.#tolerate(error);
        return undefined;
      }
    };
    const chat = {
      session,
      chatId: whose.chatId,
      items,
      chains: places.chains,
      ownResults,
      weave: async (from: number) =>
        weave(items, places, {
          chatId: whose.chatId,
          from,
          find: (place, identity) =>
            memory.mayKnow(place, identity) ? find(place, identity) : undefined,
        }),
      onStoreFault: (error: ProxyError) => this.#tolerate(error),
    };
    return fitWindow(chat, room);
  }

  /** What a failing store would have remembered costs a cache miss and never an answer. */
  #tolerate(error: unknown): void {
    if (!(error instanceof ProxyError)) throw error;
    this.#options.log.warn(
      { code: error.code, reason: error.message },
      'the memory of this chat does not work; the chat goes on without',
    );
  }

  /** Our tools beside the client's, and both lists in one. Made once for a list: a known envelope has the same one in every turn. */
  #toolsFor(theirs: ToolList): OfferedTools {
    let offered = this.#offered.get(theirs);
    if (offered === undefined) {
      const registry = this.#registryFor(theirs);
      offered = { registry, tools: [...theirs, ...registry.definitions] };
      this.#offered.set(theirs, offered);
    }
    return offered;
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
        memory: new TurnMemory(memoryOf(session), { maxCachedRecords }),
        ownResults: new OwnResults(session.store),
      };
      this.#parts.set(session, parts);
    }
    return parts;
  }

  #windowOf(
    target: PromptTarget,
    windowTokens: number,
    envelope: Intake['envelope'],
  ): Room & { readonly room: TurnRoom } {
    const asked = [envelope['max_tokens'], envelope['max_completion_tokens']].find(
      (value) => typeof value === 'number',
    );
    const answerTokens = asked ?? target.maxOutputTokens ?? this.#options.answerTokens;
    const marks = windowMarks(windowTokens, answerTokens, this.#options.shares);
    const bytesPerToken = this.#options.gauge.bytesPerToken(target.gaugeKey);
    return {
      highBytes: marks.highTokens * bytesPerToken,
      lowBytes: marks.lowTokens * bytesPerToken,
      room: { maxTokens: marks.turnTokens, bytesPerToken },
    };
  }
}
