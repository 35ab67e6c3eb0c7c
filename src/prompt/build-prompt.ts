import { ProxyError } from '../errors.ts';
import type { ChatMemory, Session } from '../store/types.ts';
import { activate, becomesActive, readActivation, type Activation } from './activation.ts';
import {
  allStubs,
  asItCame,
  ChatTexts,
  isReduced,
  tellingIndex,
  type LaidTexts,
  type Way,
} from './chat-texts.ts';
import { cutsFor } from './cut-text.ts';
import { hiddenCallsIn } from './hidden-calls.ts';
import type { RequestMessage } from '../history/request-message.ts';
import type { Intake } from '../capture/intake.ts';
import type { Scales } from './prompt-cost.ts';
import {
  type Chat,
  type Prompt,
  PromptLayout,
  type PromptOptions,
  type PromptTarget,
  type Window,
  type Work,
  noTools,
} from './prompt-layout.ts';
import { UnstoredCuts } from './unstored-cuts.ts';
import { placesOf } from './weave.ts';

/** An estimate of what is cut away may be wrong; so often it is corrected. */
const maxCutRounds = 4;

const cutHint =
  'Let the model call tools (`tool_choice: "auto"`), send less text at once, or choose a model with a larger window.';

/**
 * Turns a taken-in request into what goes upstream: stubs, hidden turns, instructions and tools,
 * within the window.
 */
export class PromptMaker {
  readonly #options: PromptOptions;
  readonly #layout: PromptLayout;
  readonly #chats = new WeakMap<Intake, Chat>();
  readonly #unstored = new UnstoredCuts();

  constructor(options: PromptOptions) {
    this.#options = options;
    this.#layout = new PromptLayout(options);
  }

  /**
   * `windowTokens` overrides what is known of the target's window after the upstream has refused a
   * prompt.
   * @throws ProxyError `context_length_exceeded` where the model may call no tool and the texts do
   * not fit whatever is left out
   */
  async make(
    intake: Intake,
    target: PromptTarget,
    windowTokens = this.#options.gauge.windowTokens(target.gaugeKey, target.windowTokens),
  ): Promise<Prompt> {
    const { envelope } = intake;
    if (intake.isHelper || this.#options.inject === 'never') {
      return this.#layout.plain({ intake, target }, asItCame);
    }
    const chat = await this.#chatOf(intake);
    const window =
      windowTokens === undefined
        ? undefined
        : this.#layout.windowOf(target, windowTokens, envelope);
    const scales = this.#layout.scalesOf(target);
    const takesTools = !this.#options.toolless.has(target.gaugeKey, envelope);
    const work = {
      intake,
      target,
      chat,
      takesTools,
      scales,
      ...(window === undefined ? {} : { window }),
    };
    return this.#bounded(work, await this.#make(work));
  }

  async #make(work: Work): Promise<Prompt> {
    const { takesTools, intake } = work;
    const { envelope } = intake;
    const { registry } = this.#layout.toolsFor(envelope.tools ?? noTools);
    const calls = hiddenCallsIn(envelope, takesTools ? registry.names : []);
    if (calls.kind === 'possible') {
      const open = await this.#withCalls(work, calls.changed);
      if (open !== undefined) return open;
    }
    const whole = await this.#withoutCalls(work, { kind: 'whole' });
    if (whole.excessBytes <= 0) return whole.prompt;
    if (calls.kind === 'before') {
      const prompt = await this.#withCalls(work, {});
      if (prompt?.own !== undefined) return { ...prompt, handOver: calls.handOver };
    }
    return this.#cut(work, whole);
  }

  /**
   * While nothing can be stored, texts are cut that would not fit: the guard had nowhere to put
   * them.
   */
  async #bounded({ intake, window, scales, target }: Work, prompt: Prompt): Promise<Prompt> {
    if (window === undefined) return prompt;
    const isOver = sizeOf(intake.items, scales) + intake.envelopeBytes > window.highBytes;
    if (!(await this.#layout.storeFails(intake, isOver))) return prompt;
    const { request } = prompt;
    const { weigh } = scales;
    const { chatId } = intake.resolved;
    const { messages } = request;
    const textBytes = messages.reduce((total, message) => total + weigh(message) + 1, 0);
    const overheadBytes = scales.weighRequest(request) - textBytes;
    const room = {
      highBytes: window.highBytes - overheadBytes,
      lowBytes: window.lowBytes - overheadBytes,
    };
    const cut = this.#unstored.fit(messages, { chatId, room, weigh });
    if (cut.count === 0) return prompt;
    this.#options.log.warn(
      { chat: chatId, model: target.model, messages: cut.count },
      'nothing can be stored: texts were cut to fit the window, and what was left out is kept nowhere',
    );
    return { ...prompt, request: { ...request, messages: cut.messages } };
  }

  /** What the parts of a prompt cost with this model. */
  scalesOf(target: PromptTarget): Scales {
    return this.#layout.scalesOf(target);
  }

  /** What is known of the chat that a request belongs to; of each request once. */
  async #chatOf(intake: Intake): Promise<Chat> {
    const known = this.#chats.get(intake);
    if (known !== undefined) return known;
    const { resolved, items } = intake;
    const isStored = items.some((item) => item.facts.stored !== undefined);
    const session = resolved.session ?? (isStored ? await this.#layout.ensured(intake) : undefined);
    const memory = session?.memory;
    const activation =
      session === undefined
        ? undefined
        : await this.#layout.guarded(async () => readActivation(session, resolved.chatId));
    const isActive = activation !== undefined;
    const places = lazily(() => placesOf(items));
    const texts = ChatTexts.mayMatter(items, memory, resolved.chatId)
      ? await this.#layout.guarded(async () => readTexts(intake, { isActive, places, memory }))
      : undefined;
    const chat = { session, isActive, texts, places };
    this.#chats.set(intake, chat);
    return chat;
  }

  /**
   * With our tools, if there is something to open; as the client sent it where there is not.
   * Nothing where stubs would stand that cannot be opened.
   */
  async #withCalls(
    work: Work,
    changed: Readonly<Record<string, unknown>>,
  ): Promise<Prompt | undefined> {
    const { intake, window, chat } = work;
    const overflows = window !== undefined && sizeOf(intake.items, work.scales) > window.highBytes;
    const stubs: Way = { kind: 'stubs' };
    let way = chat.isActive ? stubs : await this.#roomyWay(work, await this.#plainBytes(work));
    const signs = { hasStub: isReduced(lay(work, way)), overflows };
    const active = await this.#activation(intake, signs);
    if (active === undefined) {
      if (signs.hasStub) return undefined;
      if (chat.session !== undefined) await this.#remember(chat.session, work, { way });
      return this.#layout.plain(work, lay(work, way));
    }
    let laidOut = await this.#layout.layOut(work, lay(work, way), { ...active, changed });
    // In an active chat hidden steps take room, too: what there is shows when all is laid out.
    if (chat.isActive && !laidOut.prompt.window.demoted) {
      way = await this.#roomyWay(work, laidOut.sizeBytes);
      if (way.kind === 'stubs' && way.roomy !== undefined)
        laidOut = await this.#layout.layOut(work, lay(work, way), { ...active, changed });
    }
    await this.#remember(active.session, work, { way });
    return laidOut.prompt;
  }

  /**
   * Stubs for the long texts that are new, but for those with which a prompt that has so many bytes
   * with all stubs stays comfortably small: these stand whole until the window guard demotes them.
   * The oldest come first.
   */
  async #roomyWay(work: Work, stubbedBytes: number): Promise<Way> {
    const { window, chat } = work;
    const roomy = new Set<number>();
    let sizeBytes = stubbedBytes;
    for (const index of chat.texts?.openForRoom ?? []) {
      if (window === undefined || sizeBytes > window.comfortableBytes) break;
      const moreBytes = await this.#layout.stubSavings(work, index);
      if (sizeBytes + moreBytes > window.comfortableBytes) continue;
      sizeBytes += moreBytes;
      roomy.add(index);
    }
    return roomy.size === 0 ? { kind: 'stubs' } : { kind: 'stubs', roomy };
  }

  /** Of the prompt with all stubs and without our tools; not asked for where nothing is open. */
  async #plainBytes(work: Work): Promise<number> {
    const isAsked = work.window !== undefined && (work.chat.texts?.openForRoom.length ?? 0) > 0;
    return isAsked ? this.#layout.plainBytes(work, lay(work, { kind: 'stubs' })) : 0;
  }

  /**
   * Without a look outside: what is new stands whole, or by its ends. Our tools and what is said of
   * them are only there in a chat that has them already.
   */
  async #withoutCalls(
    work: Work,
    way: Way,
  ): Promise<{ readonly prompt: Prompt; readonly excessBytes: number }> {
    const { intake, chat, window } = work;
    const { items } = intake;
    const laid = lay(work, way);
    const { session } = chat;
    const activation =
      session === undefined || !work.takesTools
        ? undefined
        : await this.#layout.guarded(async () => readActivation(session, intake.resolved.chatId));
    const overflows = window !== undefined && sizeOf(items, work.scales) > window.highBytes;
    const holder =
      activation === undefined && overflows ? await this.#layout.ensured(intake) : session;
    if (session !== undefined && activation === undefined && isFirst(items))
      await this.#noteDue(session, intake);
    if (holder === undefined || (activation === undefined && !overflows && !isReduced(laid))) {
      if (holder !== undefined) await this.#remember(holder, work, { way });
      const excessBytes = sizeOf(items, work.scales) + intake.envelopeBytes - maxBytes(window);
      return { prompt: await this.#layout.plain(work, laid), excessBytes };
    }
    const tellAt = tellingIndex(items);
    const { prompt, sizeBytes, leavesOut } = await this.#layout.layOut(work, laid, {
      session: holder,
      activation,
      kept: new Set(chat.texts?.fresh),
      ...(tellAt === undefined ? {} : { tellAt }),
      changed: {},
    });
    const toldAt = leavesOut && tellAt !== undefined ? { toldAt: tellAt } : {};
    await this.#remember(holder, work, { way, ...toldAt });
    return { prompt, excessBytes: sizeBytes - maxBytes(window) };
  }

  /**
   * Where nothing can be opened and all of it does not fit: the two ends of the longest texts.
   * @throws ProxyError `context_length_exceeded`
   */
  async #cut(
    work: Work,
    whole: { readonly prompt: Prompt; readonly excessBytes: number },
  ): Promise<Prompt> {
    const { intake, chat, window } = work;
    let { prompt, excessBytes } = whole;
    let wantedBytes = 0;
    for (let round = 0; round < maxCutRounds && excessBytes > 0; round += 1) {
      wantedBytes += excessBytes;
      const cuts = cutsFor(intake.items, chat.texts?.fresh ?? [], wantedBytes);
      if (cuts.size === 0) break;
      ({ prompt, excessBytes } = await this.#withoutCalls(work, { kind: 'cut', cuts }));
    }
    if (chat.session === undefined || (await this.#layout.storeFails(intake, false))) return prompt;
    // Between this and what was tried for, there is the answer's room and an estimate's error: the
    // upstream knows.
    if (window !== undefined && excessBytes + maxBytes(window) > window.windowBytes)
      throw new ProxyError(
        'context_length_exceeded',
        `The request does not fit into the window of ${Math.round(window.windowTokens)} tokens, and as no tool may be called in it, nothing of it can be left in the context store to be opened later.`,
        { param: 'messages', hint: cutHint },
      );
    this.#options.log.info(
      { chat: intake.resolved.chatId },
      'texts that no tool could open in this request were cut to fit the window',
    );
    return prompt;
  }

  async #remember(
    session: Session,
    { intake, chat }: Work,
    done: { readonly way: Way; readonly toldAt?: number },
  ): Promise<void> {
    await this.#layout.guarded(async () => {
      const memory = session.memory;
      // Without a stub of its own the chat may have been told of what the guard moved out.
      const isNew = chat.texts === undefined && done.toldAt !== undefined;
      const texts = isNew ? await readTexts(intake, { ...chat, memory }) : chat.texts;
      await texts?.save(memory, done);
    });
  }

  async #activation(
    intake: Intake,
    { hasStub, overflows }: { readonly hasStub: boolean; readonly overflows: boolean },
  ): Promise<{ session: Session; activation: Activation } | undefined> {
    const { resolved, items } = intake;
    const { chatId } = resolved;
    const known =
      resolved.session === undefined ? undefined : await readActivation(resolved.session, chatId);
    if (known !== undefined && resolved.session !== undefined)
      return { session: resolved.session, activation: known };
    const signs = {
      mode: this.#options.inject,
      hasStub: hasStub || overflows,
      isFirstRequest: isFirst(items) || resolved.session?.memory.has(dueKey(chatId)) === true,
      entriesBefore: intake.entriesBefore,
    };
    if (!becomesActive(signs)) return undefined;
    return this.#layout.guarded(async () => {
      const session = await resolved.ensure();
      const { registry } = this.#layout.toolsFor(intake.envelope.tools ?? noTools);
      const own = new Set(
        items.flatMap(({ facts: { stored } }) => stored?.captured ?? []).map(({ entry }) => entry),
      );
      const from = signs.isFirstRequest ? signs.entriesBefore : 0;
      const nowMs = this.#options.clock.now();
      return {
        session,
        activation: await activate(session, chatId, registry, { from, own, nowMs }),
      };
    });
  }

  /**
   * A chat whose first request lets the model call nothing is told of what the store holds in the
   * first one that does.
   */
  async #noteDue(session: Session, { resolved, entriesBefore }: Intake): Promise<void> {
    const memory = session.memory;
    const key = dueKey(resolved.chatId);
    if (entriesBefore === 0 || memory.has(key)) return;
    await this.#layout.guarded(async () => memory.put([{ key, value: true }]));
  }
}

/**
 * What was decided about the texts of a request's chat. @throws ProxyError what the memory throws
 */
async function readTexts(
  { items, resolved }: Intake,
  {
    isActive,
    places,
    memory,
  }: Pick<Chat, 'isActive' | 'places'> & { readonly memory: ChatMemory | undefined },
): Promise<ChatTexts> {
  return ChatTexts.read(items, {
    chains: places().chains,
    chatId: resolved.chatId,
    memory,
    isActive,
  });
}

/** How each text of a request is to stand. */
function lay({ intake, chat: { texts } }: Work, way: Way): LaidTexts {
  return texts === undefined ? allStubs(intake.items) : texts.lay(way);
}

function dueKey(chatId: string): string {
  return `due:${chatId}`;
}

/** What a turn with hidden steps may fill, and a text that cannot be opened otherwise; bytes. */
function maxBytes(window: Window | undefined): number {
  return window === undefined ? Infinity : window.room.maxTokens * window.room.scales.bytesPerToken;
}

function sizeOf(items: readonly RequestMessage[], { weigh }: Scales): number {
  return items.reduce((total, item) => total + weigh(item), 0);
}

/** Whether nothing was answered yet. */
function isFirst(items: readonly RequestMessage[]): boolean {
  return !items.some((item) => item.identity.role === 'assistant');
}

function lazily<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
