import { ProxyError } from '../errors.ts';
import type { ChatMemory, Entry, Session } from '../store/types.ts';
import { storeMap } from '../tools/listing/store-map.ts';
import { counted } from '../tools/result-form.ts';
import {
  activate,
  type Activation,
  entriesBefore,
  makeDormant,
  nextOffer,
  type Offer,
  offerKeys,
  type OfferSigns,
  readOffer,
} from './activation.ts';
import {
  allStubs,
  asItCame,
  ChatTexts,
  isReduced,
  tellingIndex,
  textsKey,
  type LaidTexts,
  type Way,
} from './chat-texts.ts';
import { LruMap } from '../base/lru-map.ts';
import { cutsFor } from './cut-text.ts';
import { stateKey } from './demotion-state.ts';
import { type Opened, openingToolName } from './dormant-tool.ts';
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
  type Subject,
  type Window,
  type Work,
  noTools,
} from './prompt-layout.ts';
import { UnstoredCuts } from './unstored-cuts.ts';
import { placesOf } from './weave.ts';

/** Chats of which it is known that they are no forks. */
const maxNoForks = 10_000;

/** An estimate of what is cut away may be wrong; so often it is corrected. */
const maxCutRounds = 4;

const cutHint =
  'Let the model call tools (`tool_choice: "auto"`), send less text at once, or choose a model with a larger window.';

/** How the model may call our tools in a request. */
interface AskedCalls {
  /** Members that go up in place of the client's. */
  readonly changed: Readonly<Record<string, unknown>>;
  /** Whether a chat that has called none of them can have one instead of all. */
  readonly mayBeDormant: boolean;
}

/**
 * Turns a taken-in request into what goes upstream: stubs, hidden turns, instructions and tools,
 * within the window.
 */
export class PromptMaker {
  readonly #options: PromptOptions;
  readonly #layout: PromptLayout;
  readonly #unstored = new UnstoredCuts();
  /** Chats that were not forked from any that had our tools, by session and chat. */
  readonly #noForks = new LruMap<string, true>(maxNoForks);
  /** Activations that are being made, by session and chat. */
  readonly #activating = new Map<string, Promise<Activation>>();

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
    subject: Subject,
    target: PromptTarget,
    windowTokens = this.#options.gauge.windowTokens(target.gaugeKey, target.windowTokens),
  ): Promise<Prompt> {
    const { intake } = subject;
    const { envelope, items } = intake;
    const scales = this.#layout.scalesOf(target);
    const itemBytes = items.reduce((total, item) => total + scales.weigh(item), 0);
    if (intake.isHelper || this.#options.inject === 'never') {
      return this.#layout.plain({ intake, target, itemBytes }, asItCame);
    }
    const chat = (subject.chat ??= await this.#chatOf(intake));
    const window =
      windowTokens === undefined
        ? undefined
        : this.#layout.windowOf(target, { windowTokens, scales }, envelope);
    const takesTools =
      intake.takesOurTools && !this.#options.toolless.has(target.gaugeKey, envelope);
    const work = {
      subject,
      intake,
      target,
      chat,
      takesTools,
      scales,
      itemBytes,
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
      const { changed, namesOurs } = calls;
      const mayBeDormant = !namesOurs && registry.has(openingToolName);
      const open = await this.#withCalls(work, { changed, mayBeDormant });
      if (open !== undefined) return open;
    }
    const whole = await this.#withoutCalls(work, { kind: 'whole' });
    if (whole.excessBytes <= 0) return whole.prompt;
    if (calls.kind === 'before') {
      const prompt = await this.#withCalls(work, { changed: {}, mayBeDormant: false });
      if (prompt?.own !== undefined) return { ...prompt, handOver: calls.handOver };
    }
    return this.#cut(work, whole);
  }

  /**
   * While nothing can be stored, texts are cut that would not fit: the guard had nowhere to put
   * them.
   */
  async #bounded(work: Work, prompt: Prompt): Promise<Prompt> {
    const { subject, intake, window, scales, target, itemBytes } = work;
    if (window === undefined) return prompt;
    const isOver = itemBytes + intake.envelopeBytes > window.highBytes;
    if (!(await this.#layout.storeFails(subject, isOver))) return prompt;
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

  /** What is known of the chat that a request belongs to. */
  async #chatOf(intake: Intake): Promise<Chat> {
    const { resolved, items } = intake;
    const isStored = items.some((item) => item.stored !== undefined);
    const session = resolved.session ?? (isStored ? await this.#layout.ensured(intake) : undefined);
    const memory = session?.memory;
    const offer =
      session === undefined
        ? undefined
        : await this.#layout.guarded(async () => this.#offerOf(session, intake));
    const isActive = offer?.kind === 'active';
    const places = lazily(() => placesOf(items));
    const texts = ChatTexts.mayMatter(items, memory, resolved.chatId)
      ? await this.#layout.guarded(async () => readTexts(intake, { isActive, places, memory }))
      : undefined;
    return { session, isActive, texts, places };
  }

  /** What the chat is offered so far; a fork begins with what it was forked from. */
  async #offerOf(session: Session, intake: Intake): Promise<Offer | undefined> {
    const { memory } = session;
    const { items, resolved } = intake;
    const { chatId } = resolved;
    const offer = await readOffer(session, chatId);
    const name = nameOf(session, chatId);
    if (offer !== undefined || isFirst(items) || this.#noForks.get(name) === true) return offer;
    const origin = await this.#layout.originOf(intake, session);
    if (origin === undefined || origin === chatId) {
      this.#noForks.set(name, true);
      return undefined;
    }
    const copies = await copiesOf(memory, recordsOf(origin), recordsOf(chatId));
    if (copies.length > 0) await memory.put(copies);
    return readOffer(session, chatId);
  }

  /**
   * With our tools, if there is something to open; as the client sent it where there is not.
   * Nothing where stubs would stand that cannot be opened.
   */
  async #withCalls(work: Work, asked: AskedCalls): Promise<Prompt | undefined> {
    const { window, chat } = work;
    const { changed } = asked;
    const overflows = window !== undefined && work.itemBytes > window.highBytes;
    const stubs: Way = { kind: 'stubs' };
    let way = chat.isActive ? stubs : await this.#roomyWay(work, await this.#plainBytes(work));
    const hasStub = isReduced(lay(work, way));
    let offered = await this.#offer(work, { ...asked, hasStub: hasStub || overflows });
    if (offered === undefined) {
      if (hasStub) return undefined;
      if (chat.session !== undefined) await this.#remember(chat.session, work, { way });
      return this.#layout.plain(work, lay(work, way));
    }
    let laidOut = await this.#layout.layOut(work, lay(work, way), { ...offered, changed });
    if (offered.offer.kind === 'dormant' && laidOut.leavesOut) {
      // With what stands in the prompt beside the client's messages something had to leave it.
      offered = await this.#offer(work, { ...asked, hasStub: true });
      if (offered === undefined) return undefined;
      laidOut = await this.#layout.layOut(work, lay(work, way), { ...offered, changed });
    }
    // In an active chat hidden steps take room, too: what there is shows when all is laid out.
    if (chat.isActive && !laidOut.prompt.window.demoted) {
      way = await this.#roomyWay(work, laidOut.sizeBytes);
      if (way.kind === 'stubs' && way.roomy !== undefined)
        laidOut = await this.#layout.layOut(work, lay(work, way), { ...offered, changed });
    }
    await this.#remember(offered.session, work, { way });
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
    const offer =
      session === undefined || !work.takesTools
        ? undefined
        : await this.#layout.guarded(async () => readOffer(session, intake.resolved.chatId));
    const overflows = window !== undefined && work.itemBytes > window.highBytes;
    const holder = offer === undefined && overflows ? await this.#layout.ensured(intake) : session;
    if (session !== undefined && offer === undefined && isFirst(items))
      await this.#noteDue(session, intake);
    if (holder === undefined || (offer === undefined && !overflows && !isReduced(laid))) {
      if (holder !== undefined) await this.#remember(holder, work, { way });
      const excessBytes = work.itemBytes + intake.envelopeBytes - maxBytes(window);
      return { prompt: await this.#layout.plain(work, laid), excessBytes };
    }
    const tellAt = tellingIndex(items);
    const { prompt, sizeBytes, leavesOut } = await this.#layout.layOut(work, laid, {
      session: holder,
      offer,
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
    if (chat.session === undefined || (await this.#layout.storeFails(work.subject, false)))
      return prompt;
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

  /**
   * What the chat is offered from this request on, remembered; nothing where that is nothing, or
   * cannot be remembered.
   */
  async #offer(
    { intake }: Work,
    { hasStub, mayBeDormant }: Pick<OfferSigns, 'hasStub' | 'mayBeDormant'>,
  ): Promise<{ readonly session: Session; readonly offer: Offer } | undefined> {
    const { resolved, items } = intake;
    const { chatId, session: known } = resolved;
    const before = known === undefined ? undefined : await readOffer(known, chatId);
    if (before?.kind === 'active' && known !== undefined) return { session: known, offer: before };
    const isFirstRequest = isFirst(items) || known?.memory.has(dueKey(chatId)) === true;
    const own = ownEntries(intake);
    const openable =
      intake.entriesBefore - [...own].filter(({ seq }) => seq <= intake.entriesBefore).length;
    const next = nextOffer({
      mode: intake.asksForTools ? 'always' : this.#options.inject,
      hasStub,
      isFirstRequest,
      openable,
      isDormant: before !== undefined,
      mayBeDormant,
    });
    if (next === undefined) return undefined;
    return this.#layout.guarded(async () => {
      const session = await resolved.ensure();
      if (next === 'active') return { session, offer: await this.#activated(session, intake) };
      const counts = { texts: openable, entries: intake.entriesBefore };
      return { session, offer: before ?? (await makeDormant(session, chatId, counts)) };
    });
  }

  /**
   * The chat's activation, made now if there is none; by one of several requests that want it at
   * the same time. @throws ProxyError what the memory throws
   */
  async #activated(session: Session, intake: Intake): Promise<Activation> {
    const name = nameOf(session, intake.resolved.chatId);
    const begun = this.#activating.get(name);
    if (begun !== undefined) return begun;
    const made = this.#activate(session, intake);
    this.#activating.set(name, made);
    try {
      return await made;
    } finally {
      this.#activating.delete(name);
    }
  }

  async #activate(session: Session, intake: Intake): Promise<Activation> {
    const { chatId } = intake.resolved;
    const offer = await readOffer(session, chatId);
    if (offer?.kind === 'active') return offer;
    const { registry } = this.#layout.toolsFor(intake.envelope.tools ?? noTools);
    const before = earlierEntries(session, intake, offer);
    return activate(session, chatId, { registry, before, nowMs: this.#options.clock.now() });
  }

  /**
   * The same request in a chat that has just called its one tool, and is active from now on;
   * nothing where that could not be remembered. `windowTokens` as in {@link make}.
   */
  async wake(
    subject: Subject,
    target: PromptTarget,
    windowTokens?: number,
  ): Promise<{ readonly prompt: Prompt; readonly opened: Opened } | undefined> {
    const { intake } = subject;
    const { session, chatId } = intake.resolved;
    if (session === undefined) return undefined;
    const dormant = await this.#layout.guarded(async () => readOffer(session, chatId));
    const before = earlierEntries(session, intake, dormant);
    const active = await this.#layout.guarded(async () => this.#activated(session, intake));
    if (active === undefined) return undefined;
    // What fails here fails no turn: the next request has all tools.
    const prompt = await this.#layout.guarded(async () => this.make(subject, target, windowTokens));
    if (prompt?.own?.offer !== 'active') return undefined;
    const map = await this.#layout.guarded(async () =>
      storeMap(session.store, before, this.#options.clock.now()),
    );
    const overview = `${counted(before.length, 'text')} of earlier work:\n${map ?? ''}`;
    return { prompt, opened: { toolNames: prompt.own.registry.names, overview } };
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

function nameOf({ id }: Session, chatId: string): string {
  return `${id} ${chatId}`;
}

/** All that was decided for a chat: its later prompts begin with the same bytes. */
function recordsOf(chatId: string): readonly string[] {
  return [...offerKeys(chatId), textsKey(chatId), stateKey(chatId)];
}

/** What is remembered under some keys, for others. */
async function copiesOf(
  memory: ChatMemory,
  from: readonly string[],
  to: readonly string[],
): Promise<{ key: string; value: unknown }[]> {
  const copies: { key: string; value: unknown }[] = [];
  for (const [at, key] of from.entries()) {
    const value = await memory.get(key);
    if (value !== undefined) copies.push({ key: to[at] as string, value });
  }
  return copies;
}

/** Entries that stand for texts of a request's history. */
function ownEntries({ items }: Intake): ReadonlySet<Entry> {
  const entries = new Set<Entry>();
  for (const { stored } of items)
    if (stored !== undefined) for (const { entry } of stored.captured) entries.add(entry);
  return entries;
}

/** What a store holds of earlier work, for a chat that becomes active with this request. */
function earlierEntries(
  { store, memory }: Session,
  intake: Intake,
  offer: Offer | undefined,
): readonly Entry[] {
  const { chatId } = intake.resolved;
  const isFirstRequest = isFirst(intake.items) || memory.has(dueKey(chatId));
  return entriesBefore(
    store,
    chatId,
    { from: isFirstRequest ? intake.entriesBefore : 0, own: ownEntries(intake) },
    offer?.kind === 'dormant' ? offer : undefined,
  );
}

function dueKey(chatId: string): string {
  return `due:${chatId}`;
}

/** What a turn with hidden steps may fill, and a text that cannot be opened otherwise; bytes. */
function maxBytes(window: Window | undefined): number {
  return window === undefined ? Infinity : window.room.maxTokens * window.room.scales.bytesPerToken;
}

/** Whether nothing was answered yet. */
function isFirst(items: readonly RequestMessage[]): boolean {
  return !items.some((item) => item.role === 'assistant');
}

function lazily<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
