import { callName, callText } from '../../src/wire/calls.ts';
import * as fc from 'fast-check';
import { deepEqual, equal, ok } from 'node:assert/strict';
import type { Message, PlainRequest, ToolCall } from '../../src/wire/types.ts';
import { clientTools, longText, systemFor } from '../support/conversation.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { startScriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { bytesOf, expectPrefix, expectWellFormed, textOf } from './weave-checks.ts';
import { asked, edits, mangled, type Draw, type Edit } from './weave-client.ts';
import {
  answeringTurn,
  callingTurn,
  IdSource,
  isClosed,
  messageOf,
  replyOf,
  toolChoiceOf,
  type IdStyle,
  type PlannedStep,
  type PlannedTurn,
} from './weave-script.ts';

/** One thing that happens in a conversation. */
type Happening =
  | {
      readonly kind: 'ask';
      readonly size: number;
      readonly reminded: boolean;
      readonly turns: readonly PlannedTurn[];
      readonly answer: PlannedTurn;
    }
  | { readonly kind: 'twice'; readonly answers: readonly [PlannedTurn, PlannedTurn] }
  | { readonly kind: 'again' }
  | { readonly kind: 'edit'; readonly edit: Edit }
  | { readonly kind: 'fork' }
  | { readonly kind: 'restart' };

/** A whole conversation to be. */
interface Conversation {
  /** With all of our tools, or with the one that opens what an earlier chat has left. */
  readonly begins: 'active' | 'dormant';
  readonly ids: IdStyle;
  readonly seed: number;
  readonly happenings: readonly Happening[];
}

const ask = fc.record({
  kind: fc.constant('ask' as const),
  size: fc.constantFrom(5, 40, 700, 12_000),
  reminded: fc.boolean(),
  turns: fc.array(callingTurn, { maxLength: 3 }),
  answer: answeringTurn,
});

/** Random conversations. */
const conversations: fc.Arbitrary<Conversation> = fc.record({
  begins: fc.constantFrom('active', 'dormant'),
  ids: fc.constantFrom<IdStyle>('unique', 'repeated', 'odd', 'short'),
  seed: fc.nat(1_000_000),
  happenings: fc.array(
    fc.oneof(
      { weight: 6, arbitrary: ask },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('twice' as const),
          answers: fc.tuple(answeringTurn, answeringTurn),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ kind: 'again' as const }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('edit' as const),
          edit: fc.constantFrom(...(Object.keys(edits) as Edit[])),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ kind: 'fork' as const }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
    ),
    { minLength: 2, maxLength: 6 },
  ),
});

/** Put together, so that no scanner takes it for a real one. */
const secret = ['ghp', 'R7k2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1uYt0'].join('_');

/** What is particular to the proxy in which conversations are played. */
export interface WorldOptions {
  /** Absent where it is not known, and nothing is ever demoted. */
  readonly windowTokens?: number;
  /** Long texts stand whole while there is room. */
  readonly isRoomy?: boolean;
  /** Secrets are masked, and many a text holds one. */
  readonly hasSecrets?: boolean;
}

/** A proxy and its upstream, for many conversations one after the other. */
class World implements AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly windowTokens: number | undefined;
  readonly hasSecrets: boolean;
  proxy: TestProxy;
  /** What the upstream says next, by the `user` member of the request. */
  readonly lines = new Map<string, Message[]>();
  count = 0;

  private constructor(
    upstream: ScriptedUpstream,
    proxy: TestProxy,
    { windowTokens, hasSecrets = false }: WorldOptions,
  ) {
    this.windowTokens = windowTokens;
    this.hasSecrets = hasSecrets;
    this.upstream = upstream;
    this.proxy = proxy;
    upstream.otherwise(({ body, rawBody }) => {
      const next = this.lines.get(String(body['user']))?.shift();
      if (next === undefined) throw new Error('the upstream was asked once too often');
      return replyOf(next, Math.round(rawBody.length / 3.6));
    });
  }

  static async open(options: WorldOptions): Promise<World> {
    const { windowTokens, isRoomy, hasSecrets } = options;
    const upstream = await startScriptedUpstream();
    const env = {
      ...(windowTokens === undefined ? {} : { RLM_UPSTREAM_CONTEXT_WINDOW: String(windowTokens) }),
      ...(isRoomy === true ? { RLM_STRIP_MIN_CHARS: '' } : {}),
      ...(hasSecrets === true ? { RLM_CAPTURE_SECRETS: 'mask' } : {}),
    };
    return new World(upstream, await startProxy({ upstream, env }), options);
  }

  /** Demotion steps of the proxy that runs now. */
  async demotions(): Promise<number> {
    return (await this.proxy.health()).demotions;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

/** Plays one conversation and checks at every request what has to hold. */
async function play(world: World, conversation: Conversation): Promise<void> {
  const player = new Player(world, conversation);
  await player.begin();
  for (const happening of conversation.happenings) await player.live(happening);
}

/** A list that went up, with so many tools of ours. */
interface Sent {
  readonly messages: readonly Message[];
  readonly own: number | undefined;
}

class Player {
  readonly #world: World;
  readonly #ids: IdSource;
  readonly #draw: Draw;
  readonly #begins: Conversation['begins'];
  #name: string;
  #history: readonly Message[];
  /** So many messages have been through an edit. */
  #settled = 0;
  /** What the upstream saw last in this unbroken history, and how many tools of ours with it. */
  #before: Sent | undefined;
  /** So many of our tools were in what the upstream saw last. */
  #own = 0;
  /** All tools that went up last with so many of ours, as JSON. */
  #tools = new Map<number, string>();
  /** The newest answer is in the history as it was given. */
  #isUntouched = false;
  /** The history has another name since the last request. */
  #isNewFork = false;
  /** Each question is another one: what had a stub in its place once keeps it. */
  #questions = 0;
  /** All hidden turns that there ever were, as they have to come back. */
  readonly #hidden = new Set<string>();
  #seed: number;

  constructor(world: World, { ids, seed, begins }: Conversation) {
    this.#world = world;
    this.#begins = begins;
    this.#ids = new IdSource(ids);
    this.#seed = seed;
    this.#draw = (below) => {
      this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
      return (this.#seed >>> 8) % below;
    };
    world.count += 1;
    this.#name = `chat-${world.count}`;
    this.#history = [systemFor(`/work/${this.#name}`)];
  }

  /** An earlier chat of the project leaves a text, where this one is to begin dormant. */
  async begin(): Promise<void> {
    if (this.#begins === 'active') return;
    const { proxy, lines } = this.#world;
    const line = `${this.#name}-earlier`;
    lines.set(line, [{ role: 'assistant', content: 'Kept.' }]);
    const messages = [...this.#history, asked(longText(1_500, 'earlier'), false)];
    await proxy.ask({ messages, tools: clientTools, user: line }, { 'x-session-id': line });
  }

  async live(happening: Happening): Promise<void> {
    switch (happening.kind) {
      case 'restart':
        this.#world.proxy = await this.#world.proxy.restart();
        return;
      case 'edit':
        this.#edit(happening.edit);
        return;
      case 'fork':
        // What the proxy has not seen as it is now, or never with our tools, is another chat; and
        // where no directory is named any more, a chat of another name has another store.
        if (this.#isUntouched && this.#own > 0 && this.#namesDirectory()) {
          this.#name += '-fork';
          this.#isNewFork = true;
        }
        return;
      case 'again':
        await this.#sendAgain();
        return;
      case 'twice':
        await this.#askTwice(happening.answers);
        return;
      case 'ask': {
        this.#questions += 1;
        const word = `q${this.#draw(99)}-${this.#questions}`;
        const question = `${longText(happening.size, word)}${this.#told()} What is it?`;
        this.#history = [...this.#history, asked(question, happening.reminded)];
        for (const turn of happening.turns) {
          const copy = await this.#send(turn);
          const results = (copy.tool_calls ?? []).map((call): Message => {
            const size = [3, 300, 2_000, 15_000][this.#draw(4)] as number;
            const content = `${longText(size, `out${this.#draw(1_000)}`)}${this.#told()}`;
            return { role: 'tool', tool_call_id: call.id, content };
          });
          this.#history = [...this.#history, copy, ...results];
        }
        this.#history = [...this.#history, await this.#send(happening.answer)];
        // The reminder of plan mode is gone once it was answered.
        this.#history = this.#history.map((message) =>
          message.role === 'user' && Array.isArray(message.content)
            ? { role: 'user', content: message.content[0].text as string }
            : message,
        );
        if (happening.reminded) this.#before = undefined;
      }
    }
  }

  /** At times a secret, where there are any. */
  #told(): string {
    return this.#world.hasSecrets && this.#draw(3) === 0 ? ` TOKEN=${secret} is mine.` : '';
  }

  /** What the model says, at times with a secret in its words, its thoughts and its arguments. */
  #telling(step: PlannedStep): PlannedStep {
    if (!this.#world.hasSecrets || this.#draw(2) === 0) return step;
    const { content, reasoning, calls } = step;
    return {
      content: content === '' ? '' : `${content} it is ${secret} there`,
      reasoning: reasoning && { ...reasoning, text: `${reasoning.text} so ${secret} it is` },
      calls: calls.map(({ name, args, extra }) => ({
        name,
        args: args.replace(/fox|ls/, secret),
        extra,
      })),
    };
  }

  #edit(name: Edit): void {
    // A history that begins elsewhere, with answers in it, is offered nothing before its first stub:
    // also one that is not as it was when its chat was forked.
    if (this.#begins === 'dormant' && (this.#history.length === 1 || this.#isNewFork)) return;
    const edited = edits[name](this.#history, this.#draw);
    if (JSON.stringify(edited) === JSON.stringify(this.#history)) return;
    // Turns that are not known any more go upstream as the client spells them: it may not spell
    // them anew each time.
    this.#history = edited.map((message) => mangled(message, this.#draw));
    this.#settled = edited.length;
    this.#before = undefined;
    this.#isUntouched = false;
    // Nobody has seen this history under its new name: it may be a chat that has no tools yet.
    if (this.#isNewFork) this.#own = 0;
  }

  /** Whether its system prompt still says where the client works. */
  #namesDirectory(): boolean {
    return this.#history.some(
      (message) => message.role === 'system' && textOf(message).includes('/work/'),
    );
  }

  /** The history as the client sends it this time. */
  #spelled(history: readonly Message[]): readonly Message[] {
    return history.map((message, at) =>
      at < this.#settled ? message : mangled(message, this.#draw),
    );
  }

  /** One request of the client to its answer, checked on both sides. */
  async #send(turn: PlannedTurn): Promise<Message> {
    const sent = this.#spelled(this.#history);
    const demotionsBefore = await this.#world.demotions();
    const { copy, bodies, owns } = await this.#exchange(sent, turn);
    const [first] = bodies;
    const isDemoted = (await this.#world.demotions()) > demotionsBefore;
    if (this.#before !== undefined && !isDemoted)
      this.#expectGoesOn(this.#before, { messages: first as readonly Message[], own: owns[0] });
    this.#before = { messages: bodies.at(-1) as readonly Message[], own: this.#own };
    // What was answered without us goes up as the client spells it: it may not spell it anew each
    // time.
    if (this.#own === 0) this.#settled = this.#history.length + 1;
    this.#isUntouched = true;
    return copy;
  }

  /**
   * One list is the beginning of the next; where the chat has got other tools in between, all of it
   * but the system message, which has instructions now.
   */
  #expectGoesOn(before: Sent, after: Sent): void {
    if (after.own === before.own) expectPrefix(after.messages, bytesOf(before.messages));
    else if (before.own !== 0 && this.#world.windowTokens === undefined)
      expectPrefix(after.messages.slice(1), bytesOf(before.messages.slice(1)));
  }

  /** The same history gives the same list, however the client spells it. */
  async #sendAgain(): Promise<void> {
    if (this.#history.at(-1)?.role !== 'assistant') return;
    const asking = [...this.#history, asked(`Again ${this.#draw(1_000)}?`, false)];
    const lists: string[] = [];
    for (let times = 0; times < 2; times += 1) {
      const last = { content: `Answer ${times}.`, reasoning: undefined, calls: [] };
      const sent = this.#spelled(asking);
      const { bodies } = await this.#exchange(sent, { hidden: [], last });
      lists.push(bytesOf(bodies[0] as readonly Message[]));
    }
    equal(lists[1], lists[0]);
    // What was demoted for the sake of this question stays so without it.
    if (this.#world.windowTokens !== undefined) this.#before = undefined;
  }

  /** Two requests of one chat at the same time; the client goes on with the first. */
  async #askTwice(answers: readonly [PlannedTurn, PlannedTurn]): Promise<void> {
    const asking = [...this.#history, asked(`Both ${this.#draw(1_000)}?`, false)];
    const [first, second] = await Promise.all(
      answers.map(async (turn, index) => {
        // Different words, so that one can tell which of the two the client kept.
        const last = { ...turn.last, content: `${turn.last.content} (${index})` };
        return this.#exchange(asking, { ...turn, last, choice: 'absent' });
      }),
    );
    // Unless one of them has opened the store before the other one began.
    if (first?.owns[0] === second?.owns[0])
      equal(bytesOf(second?.bodies[0] as Message[]), bytesOf(first?.bodies[0] as Message[]));
    this.#history = [...asking, first?.copy as Message];
    this.#before = {
      messages: first?.bodies.at(-1) as readonly Message[],
      own: first?.owns.at(-1) as number,
    };
    this.#isUntouched = true;
  }

  async #exchange(
    sent: readonly Message[],
    turn: PlannedTurn,
  ): Promise<{
    readonly copy: Message;
    readonly bodies: readonly (readonly Message[])[];
    /** Tools of ours in each request. */
    readonly owns: readonly number[];
  }> {
    const { upstream, proxy, lines } = this.#world;
    const ownBefore = this.#own;
    this.#isNewFork = false;
    const line = `${this.#name}-${(this.#world.count += 1)}`;
    const planned = [...turn.hidden, turn.last].map((step) =>
      messageOf(this.#telling(step), this.#ids),
    );
    const said = planned.map(asSentBack).map(masked);
    for (const message of said) if (hasOwnCalls(message)) this.#hidden.add(canonical(message));
    lines.set(line, [...planned]);
    const choice = toolChoiceOf(turn);
    const asking = choice === undefined ? {} : { tool_choice: choice };
    const { message } = await proxy.ask(
      { messages: sent, tools: clientTools, user: line, ...asking },
      {
        'x-session-id': this.#name,
        ...(this.#begins === 'active' ? { 'x-rlm-inject': 'always' } : {}),
      },
    );
    deepEqual(lines.get(line), [], 'every planned step was asked for');
    const asks = upstream.requests.filter(({ body }) => body['user'] === line);
    for (const { rawBody } of asks) ok(!rawBody.includes(secret), 'a secret is upstream');
    const requests = asks.map(({ body }) => body);
    const bodies = requests.map(({ messages }) => messages);
    const owns = requests.map(({ tools }) => (tools ?? []).length - clientTools.length);
    this.#check(bodies, { said, sent, owns });
    this.#checkTools(ownBefore, requests, owns);
    if (this.#world.windowTokens === undefined) {
      for (const request of requests) deepEqual(request.tool_choice, choice);
      if (isClosed(turn)) expectWhole(bodies[0] as readonly Message[], sent);
    }
    const shown = message.tool_calls ?? [];
    ok(!shown.some((call) => isOwn(callName(call))));
    const given = planned.at(-1)?.tool_calls ?? [];
    const theirs = given.filter((call) => !isOwn(callName(call)));
    deepEqual(
      shown.map((call) => [call.id, callText(call)]),
      theirs.map((call) => [call.id, callText(call)]),
    );
    return { copy: message, bodies, owns };
  }

  /** Nothing, then perhaps one of our tools, then all six; the same bytes until it is more. */
  #checkTools(
    ownBefore: number,
    requests: readonly Pick<PlainRequest, 'tools'>[],
    owns: readonly number[],
  ): void {
    const steps = [ownBefore, ...owns];
    deepEqual(
      steps,
      steps.toSorted((a, b) => a - b),
    );
    const allowed = this.#begins === 'active' ? [0, 6] : [0, 1, 6];
    for (const [at, { tools }] of requests.entries()) {
      const own = owns[at] as number;
      ok(allowed.includes(own), `${own} tools of ours`);
      const json = JSON.stringify(tools);
      equal(json, this.#tools.get(own) ?? json);
      this.#tools.set(own, json);
      // The first call of ours opens the store for the step behind it.
      if (at > 0) equal(own, 6);
    }
    this.#own = Math.max(this.#own, ...owns);
  }

  #check(
    bodies: readonly (readonly Message[])[],
    {
      said,
      sent,
      owns,
    }: {
      readonly said: readonly Message[];
      readonly sent: readonly Message[];
      readonly owns: readonly number[];
    },
  ): void {
    for (const [step, messages] of bodies.entries()) {
      expectWellFormed(messages);
      // What the model said in this turn stands there as it said it.
      if (step > 0) {
        const previous = bodies[step - 1] as readonly Message[];
        deepEqual(messages[previous.length], said[step - 1]);
        // In a small window older results of the same turn may have been shortened.
        if (this.#world.windowTokens === undefined)
          this.#expectGoesOn(
            { messages: previous, own: owns[step - 1] },
            { messages, own: owns[step] },
          );
      }
      for (const message of messages)
        if (
          hasOwnCalls(message) &&
          (message.tool_calls ?? []).every((call) => isOwn(callName(call)))
        )
          ok(this.#hidden.has(canonical(message)), JSON.stringify(message));
      const question = masked(textOf(sent.findLast(({ role }) => role === 'user') as Message));
      const newest = messages.findLast(({ role }) => role === 'user') as Message;
      ok(textOf(newest).includes(question.split('\n').at(-1) as string));
    }
  }
}

/** What a request brings for the first time stands whole where the model could open nothing. */
function expectWhole(messages: readonly Message[], sent: readonly Message[]): void {
  const from = sent.findLastIndex(({ role }) => role === 'assistant') + 1;
  const texts = messages.map(textOf);
  for (const message of sent.slice(from).map(masked))
    ok(
      texts.some((text) => text.startsWith(textOf(message))),
      textOf(message).slice(0, 80),
    );
}

/**
 * As it goes back upstream: servers refuse arguments that are empty or no JSON, so a call of ours
 * has `{}` instead.
 */
function asSentBack(message: Message): Message {
  const calls = message.tool_calls;
  return calls === undefined ? message : { ...message, tool_calls: calls.map(callAsSentBack) };
}

/** A text or a message as it is upstream where secrets are masked. */
function masked<Value>(value: Value): Value {
  const json = JSON.stringify(value).replaceAll(secret, '#'.repeat(secret.length));
  return JSON.parse(json) as Value;
}

function callAsSentBack(call: ToolCall): ToolCall {
  const { function: called } = call;
  const isReadable = !['', '{"bro'].includes(callText(call));
  if (!isOwn(callName(call)) || !called || isReadable) return call;
  return { ...call, function: { ...called, name: called.name, arguments: '{}' } };
}

function isOwn(name: string): boolean {
  return name.startsWith('rlm_');
}

function hasOwnCalls(message: Message): boolean {
  return (message.tool_calls ?? []).some((call) => isOwn(callName(call)));
}

/**
 * Hidden turns are compared as they were; a mixed one may come back with fewer of the client's
 * calls.
 */
function canonical(message: Message): string {
  return JSON.stringify(Object.entries(message).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Plays so many random conversations, each with its own directory and chat. */
export async function playMany(numRuns: number, options: WorldOptions = {}): Promise<void> {
  await using world = await World.open(options);
  await fc.assert(
    fc.asyncProperty(conversations, async (conversation) => play(world, conversation)),
    {
      numRuns,
      // Only so that a loaded machine ends at all: of no conversation played it would be a failure.
      interruptAfterTimeLimit: 60_000 * Math.ceil(numRuns / 25),
      markInterruptAsFailure: false,
    },
  );
}
