import { ProxyError, toProxyError } from '../errors.ts';
import type { LearnedCounts } from '../prompt/token-gauge.ts';
import type { ChatMemory, Session, Sessions } from '../store/types.ts';
import { fillStore, KnownTexts } from './earlier-texts.ts';
import { readTurn, type RecordedTurn } from './recorded-turn.ts';
import { type ComparedRequest, RecordedUpstream } from './recorded-upstream.ts';
import type { TurnScrubber } from './scrub/scrub.ts';
import { ReplayClock, ReplayIds } from './replay-clock.ts';

/** A proxy over an empty data directory, as a turn is played against it. */
export interface ReplayProxy extends AsyncDisposable {
  /** Where it listens. */
  readonly origin: string;
  /** The token that it wants. */
  readonly token: string;
  readonly sessions: Sessions;
  /** From now on it takes this for what it has learnt of a model. */
  assume(gaugeKey: string, learned: LearnedCounts): void;
}

/** What a proxy is opened with. */
export interface ReplayProxyParts {
  /** As they were recorded; whoever opens it checks them. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** In place of every provider: `<origin>/<provider>/...`. */
  readonly upstreamOrigin: string;
  readonly clock: ReplayClock;
  readonly ids: ReplayIds;
}

/** What came of a recorded turn. */
export interface ReplayedTurn {
  readonly folder: string;
  /** Absent where the trace could not be read. */
  readonly requestId?: string;
  readonly receivedAtMs?: number;
  /** `unplayed`: `notes` say why. */
  readonly outcome: 'same' | 'different' | 'unplayed';
  /** Recorded ones in their order, then those that are sent now and were not. */
  readonly requests: readonly ComparedRequest[];
  /** What the trace does not hold, so that a difference may be due to that. */
  readonly notes: readonly string[];
}

/** Headers of a connection, and those that said who asks: made anew. */
const ofConnection =
  /^(connection|host|content-length|content-encoding|transfer-encoding|expect|authorization|x-api-key|cookie|origin|sec-fetch-.*)$/;

/**
 * Plays recorded turns against the present code, in their order, and compares what would go
 * upstream with what went. Nothing leaves the machine. What one turn stores and remembers the next
 * one finds; what was there before the first comes from the traces as far as they hold it.
 * @param folders Of turns, oldest first
 * @param open Opens a proxy; it is closed before the next one is opened, and over the same data
 * @param scrubber Takes the words out of the turns before they are played; then shapes are compared
 * @throws ProxyError where no proxy can be opened
 */
export async function* replayTurns(
  folders: readonly string[],
  open: (parts: ReplayProxyParts) => Promise<ReplayProxy>,
  scrubber?: TurnScrubber,
): AsyncGenerator<ReplayedTurn> {
  const read = async (folder: string): Promise<RecordedTurn> => {
    const turn = await readTurn(folder);
    return scrubber === undefined ? turn : scrubber.turn(turn);
  };
  const known = await knownTexts(folders, read);
  const upstream = new RecordedUpstream(scrubber === undefined ? 'bytes' : 'shape');
  await using player = new Player(known, upstream, open);
  for (const folder of folders) {
    try {
      const turn = await read(folder);
      yield { folder, ...(await player.play(turn)) };
    } catch (error) {
      const { message } = toProxyError(error);
      yield { folder, outcome: 'unplayed', requests: [], notes: [message] };
    }
  }
}

async function knownTexts(
  folders: readonly string[],
  read: (folder: string) => Promise<RecordedTurn>,
): Promise<KnownTexts> {
  const known = new KnownTexts();
  for (const folder of folders) {
    // What is wrong with it is said when it is its turn.
    const turn = await read(folder).catch(() => undefined);
    if (turn !== undefined) known.add(turn);
  }
  return known;
}

/** A proxy and the provider behind it, for turns one after the other. */
class Player implements AsyncDisposable {
  readonly #known: KnownTexts;
  readonly #open: (parts: ReplayProxyParts) => Promise<ReplayProxy>;
  readonly #upstream: RecordedUpstream;
  readonly #clock = new ReplayClock();
  readonly #ids = new ReplayIds();
  #upstreamOrigin: string | undefined;
  #proxy: ReplayProxy | undefined;
  /** The settings of the proxy that is open, as JSON. */
  #settings: string | undefined;

  constructor(
    known: KnownTexts,
    upstream: RecordedUpstream,
    open: (parts: ReplayProxyParts) => Promise<ReplayProxy>,
  ) {
    this.#known = known;
    this.#upstream = upstream;
    this.#open = open;
  }

  async play(turn: RecordedTurn): Promise<Omit<ReplayedTurn, 'folder'>> {
    const told = { requestId: turn.requestId, receivedAtMs: turn.receivedAtMs };
    const body = await turn.body();
    if (body === undefined) {
      const why = 'The request was not written down: `capture.secrets` is not `keep`.';
      return { ...told, outcome: 'unplayed', requests: [], notes: [why] };
    }
    if (turn.exchanges.length === 0) {
      const why = 'Nothing was sent to a provider.';
      return { ...told, outcome: 'unplayed', requests: [], notes: [why] };
    }
    this.#clock.set(turn.receivedAtMs);
    const proxy = await this.#proxyFor(turn);
    const notes = await this.#prepare(turn, proxy);
    await this.#upstream.play(turn);
    this.#ids.expectRequest(turn.requestId);
    await ask(proxy, turn, body);
    const requests = this.#upstream.compared();
    const isSame = requests.every(
      ({ number, difference, isMissing }) =>
        number !== undefined && difference === undefined && isMissing === undefined,
    );
    return { ...told, outcome: isSame ? 'same' : 'different', requests, notes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
    if (this.#upstreamOrigin !== undefined) await this.#upstream[Symbol.asyncDispose]();
  }

  /** The proxy with the settings of a turn: the one of the turn before where they are the same. */
  async #proxyFor({ settings }: RecordedTurn): Promise<ReplayProxy> {
    const text = JSON.stringify(settings);
    if (this.#proxy !== undefined && text === this.#settings) return this.#proxy;
    await this.#proxy?.[Symbol.asyncDispose]();
    this.#proxy = undefined;
    this.#upstreamOrigin ??= await this.#upstream.listen();
    const parts = { upstreamOrigin: this.#upstreamOrigin, clock: this.#clock, ids: this.#ids };
    this.#proxy = await this.#open({ settings, ...parts });
    this.#settings = text;
    return this.#proxy;
  }

  /** Brings stores and memory to where they were. @returns What the trace does not hold of them */
  async #prepare(turn: RecordedTurn, proxy: ReplayProxy): Promise<readonly string[]> {
    const notes: string[] = [];
    const { sessions } = proxy;
    const found = new Map<string, Session>();
    const unmade: string[] = [];
    for (const recorded of turn.stores ?? []) {
      const session = await this.#sessionOf(sessions, recorded);
      if (session === undefined) {
        unmade.push(recorded.id);
        if (recorded.entries > 0) notes.push(`What was in ${recorded.id} before is not known.`);
        continue;
      }
      found.set(recorded.id, session);
      const madeUp = await fillStore(session.store, recorded, this.#known);
      if (madeUp > 0)
        notes.push(
          `${madeUp} of the ${recorded.entries} texts in ${recorded.id} are not in the trace; others, as long ones, stand in for them. RLM_TRACE_TEXTS=1 writes down those that a turn reads.`,
        );
    }
    if (turn.stores === undefined)
      notes.push('The trace is of an earlier version: it does not say what the stores held.');
    this.#ids.expect(unmade);
    const memoryOf = (name: string): ChatMemory | undefined =>
      name === 'chats' ? sessions.chats : found.get(name)?.memory;
    await remember(turn, memoryOf);
    for (const { gaugeKey, learned } of turn.models)
      if (gaugeKey !== undefined && learned !== undefined) proxy.assume(gaugeKey, learned);
    return notes;
  }

  /** A store by its recorded name; made where only its directory is known. */
  async #sessionOf(
    sessions: Sessions,
    { id, directory, entries }: { id: string; directory?: string | undefined; entries: number },
  ): Promise<Session | undefined> {
    try {
      return await sessions.byId(id);
    } catch (error) {
      if (!(error instanceof ProxyError) || error.code !== 'unknown_session') throw error;
    }
    // One that was made by the turn is made by it again.
    if (directory === undefined || entries === 0) return undefined;
    this.#ids.expect([id]);
    return sessions.forDirectory(directory, { create: true });
  }
}

/** Puts what a turn has read into the memory, where the turns before it have not. */
async function remember(
  { memory }: RecordedTurn,
  memoryOf: (name: string) => ChatMemory | undefined,
): Promise<void> {
  for (const { memory: name, key, value } of memory.reads) {
    const into = memoryOf(name);
    if (into !== undefined && value !== undefined && !into.has(key))
      await into.put([{ key, value }]);
  }
  for (const { memory: name, key } of memory.present ?? []) {
    const into = memoryOf(name);
    if (into !== undefined && !into.has(key)) await into.put([{ key, value: {} }]);
  }
}

/** Sends the client's request and takes its answer, whatever it is. */
async function ask(
  { origin, token }: ReplayProxy,
  { path, headers }: RecordedTurn,
  body: Buffer,
): Promise<void> {
  const sent = new Headers();
  for (const [name, value] of Object.entries(headers))
    if (!ofConnection.test(name) && value !== '[removed]') sent.set(name, String(value));
  sent.set('authorization', `Bearer ${token}`);
  const response = await fetch(new URL(path, origin), {
    method: 'POST',
    headers: sent,
    body: new Uint8Array(body),
  });
  try {
    await response.bytes();
  } catch {
    // A stream that was cut is cut again.
  }
}
