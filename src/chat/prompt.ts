import type { Logger } from '../log.ts';
import type { Session } from '../store/types.ts';
import type { ToolRegistry } from '../tools/registry.ts';
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
import type { Intake } from './intake.ts';
import { TurnMemory, type Place } from './turn-memory.ts';
import { weave, type Woven } from './weave.ts';
import { type TokenGauge, windowMarks } from './window.ts';
import { WindowGuard, type Fitted } from './window-guard.ts';

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
  };
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

/** Hidden turns kept in memory per session besides the disk: those of a long chat. */
const maxCachedRecords = 500;

/** Turns a taken-in request into what goes upstream: stubs, hidden turns, instructions and tools, within the window. */
export class PromptMaker {
  readonly #options: PromptOptions;
  readonly #guard = new WindowGuard();
  readonly #memories = new WeakMap<Session, TurnMemory>();

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
      Buffer.byteLength(JSON.stringify(envelope)),
    );
    const plain = (): Prompt => ({
      request: { ...envelope, model: target.model, messages: items.map((item) => item.message()) },
      window: { steps: 0, demoted: false },
      clientBytes,
    });
    if (intake.isHelper || this.#options.inject === 'never') {
      for (const item of items) item.usesStubs = false;
      return plain();
    }
    const marks =
      windowTokens === undefined ? undefined : this.#bytesOf(target, windowTokens, envelope);
    const active = await this.#activation(intake, marks?.high);
    if (active === undefined) return plain();
    const { session, activation } = active;
    const chatId = intake.whose.chatId;
    const registry = this.#registryFor(envelope.tools ?? []);
    const tools = [...(envelope.tools ?? []), ...registry.definitions];
    const memory = this.#memoryOf(session);
    const overhead =
      Buffer.byteLength(JSON.stringify({ ...envelope, tools })) + activation.instructions.length;
    const { fitted, woven } = await this.#layOut(session, intake, memory, {
      highBytes: (marks?.high ?? Infinity) - overhead,
      lowBytes: (marks?.low ?? Infinity) - overhead,
    });
    const messages = withInstructions(fitted.messages, activation.instructions);
    return {
      request: { ...envelope, model: target.model, tools, messages },
      own: {
        session,
        registry,
        memory,
        place: { chatId, chain: woven.chains.at(-1) ?? '', userTextHash: woven.userTextHash },
      },
      window: { steps: fitted.steps, demoted: fitted.demoted },
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
    const hasStub = items.some(
      (item) => item.usesStubs && item.known.stored?.stripped !== undefined,
    );
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
    const session = await whose.ensure();
    return {
      session,
      activation: await activate(session, chatId, this.#registryFor(intake.envelope.tools ?? [])),
    };
  }

  /** Weaves, and where a window is known or something was demoted before, fits. */
  async #layOut(
    session: Session,
    intake: Intake,
    memory: TurnMemory,
    bytes: { readonly highBytes: number; readonly lowBytes: number },
  ): Promise<{ readonly fitted: Fitted; readonly woven: Woven }> {
    const { items, whose } = intake;
    const weaveFrom = async (from: number): Promise<Woven> =>
      weave(items, {
        chatId: whose.chatId,
        from,
        find: async (place, copy, identity) => memory.find(place, copy, identity),
      });
    // Chains need no look-ups: from behind the end on, nothing is woven.
    const woven = await weaveFrom(items.length);
    const chat = { session, chatId: whose.chatId, items };
    const fitted = await this.#guard.fit({
      chat,
      chains: woven.chains,
      weave: weaveFrom,
      ...bytes,
    });
    return { fitted, woven };
  }

  #registryFor(tools: NonNullable<ChatRequest['tools']>): ToolRegistry {
    const names = clashes(tools, this.#options.registry);
    if (names.size === 0) return this.#options.registry;
    this.#options.log.warn(
      { tools: [...names] },
      'the client has tools of these names itself; ours are withdrawn',
    );
    return this.#options.registry.without(names);
  }

  #memoryOf(session: Session): TurnMemory {
    let memory = this.#memories.get(session);
    if (memory === undefined) {
      memory = new TurnMemory(session.memory, { maxCachedRecords });
      this.#memories.set(session, memory);
    }
    return memory;
  }

  #bytesOf(
    target: PromptTarget,
    windowTokens: number,
    envelope: Intake['envelope'],
  ): { readonly high: number; readonly low: number } {
    const asked = [envelope['max_tokens'], envelope['max_completion_tokens']].find(
      (value) => typeof value === 'number',
    );
    const answerTokens = asked ?? target.maxOutputTokens ?? this.#options.answerTokens;
    const marks = windowMarks(windowTokens, answerTokens, this.#options.shares);
    const bytesPerToken = this.#options.gauge.bytesPerToken(target.gaugeKey);
    return { high: marks.highTokens * bytesPerToken, low: marks.lowTokens * bytesPerToken };
  }
}
