import crypto from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { randomIds, systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { openSessions } from '../store/sessions.ts';
import type { Sessions, SessionStore } from '../store/types.ts';
import { requestBody } from '../wire/message-json.ts';
import { AnswerMemory } from '../history/answer-memory.ts';
import type { CaptureLimits } from './capture.ts';
import { RequestIntake, type Intake } from './intake.ts';
import { noteEvicted, rehydrate } from './rehydrate.ts';
import { SessionResolver } from '../history/session-resolver.ts';

let dataDir: string;
let sessions: Sessions;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rlm-intake-'));
  sessions = await openSessions({
    dataDir,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
});

afterEach(async () => {
  await sessions[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

function intakeOf(usesStubs = true, limits: Partial<CaptureLimits> = {}): RequestIntake {
  return new RequestIntake({
    finder: new SessionResolver({
      sessions,
      answers: new AnswerMemory(sessions.chats, systemClock),
      ids: randomIds,
      log: silentLogger(),
    }),
    limits: {
      captureMinChars: 500,
      stripMinChars: 10_000,
      stripMinCharsByTool: {},
      maxSpillBytes: 0,
      ...limits,
    },
    usesStubs,
    log: silentLogger(),
  });
}

const turns = 40;
const messages = Array.from({ length: turns }, (_, turn) => [
  { role: 'user', content: `Question ${turn}?` },
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: `c${turn}`, type: 'function', function: { name: 'bash', arguments: '{}' } }],
  },
  { role: 'tool', tool_call_id: `c${turn}`, content: `line of ${turn}\n`.repeat(4_000) },
]).flat();
const body = JSON.stringify({ model: 'm', messages, tools: [] });
const inProject = { 'x-rlm-directory': '/project' };

async function* inPieces(text: string, sizeBytes = 65_536): AsyncGenerator<Buffer, void> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += sizeBytes)
    // A buffer of its own, as from a socket.
    yield Buffer.from(Uint8Array.from(bytes.subarray(at, at + sizeBytes)).buffer);
}

/** Bytes of buffers that the items of a request keep alive. */
function heldBytes({ items }: Intake): number {
  const buffers = new Set(items.flatMap((item) => item.pieces.map((piece) => piece.buffer)));
  return [...buffers].reduce((total, { byteLength }) => total + byteLength, 0);
}

function sentBy({ envelope, items }: Intake): string {
  return String(requestBody({ ...envelope, messages: items.map((item) => item.message()) }));
}

describe('a history that is known', () => {
  it('holds nothing of the texts that stubs stand for, nor of the pieces they came in', async () => {
    const intake = intakeOf();
    const longer = Array.from({ length: 4 }, () => messages).flat();
    const long = JSON.stringify({ model: 'm', messages: longer, tools: [] });
    const first = await intake.take(inPieces(long), inProject);
    const second = await intake.take(inPieces(long), inProject);
    expect(first.newlyStored).toBe(turns);
    expect(second.newlyStored).toBe(0);
    // What is kept of a list's first megabyte for all requests, and one or two of the pools that
    // small buffers share.
    expect(long.length).toBeGreaterThan(4_000_000);
    expect(heldBytes(second)).toBeLessThan(1_048_576 + 3 * 65_536);
    expect(sentBy(second)).toBe(sentBy(first));
    expect(sentBy(second).length).toBeLessThan(long.length / 10);
  });

  it('gives back the pieces in which it came', async () => {
    const longer = Array.from({ length: 4 }, () => messages).flat();
    const long = JSON.stringify({ model: 'm', messages: longer, tools: [] });
    const intake = intakeOf();
    const first = await intake.take(inPieces(long), inProject);
    const came: Buffer[] = [];
    async function* watched(): AsyncGenerator<Buffer, void> {
      for await (const piece of inPieces(long)) {
        came.push(piece);
        yield piece;
      }
    }
    const second = await intake.take(watched(), inProject);
    expect(came.length).toBeGreaterThan(80);
    // The first message has no stub, and what it lies in stays; so does the end, which no block has
    // closed.
    expect(came.filter(({ length }) => length > 0).length).toBeLessThan(6);
    expect(sentBy(second)).toBe(sentBy(first));
  });

  it('goes as it came where it goes untouched: to a client’s helper, or where stubs are not wanted', async () => {
    const intake = intakeOf();
    await intake.take(inPieces(body), { ...inProject, 'x-session-id': 'chat' });
    const helper = await intake.take(inPieces(body), { 'x-session-id': 'chat' });
    expect(helper.isHelper).toBe(true);
    expect(helper.items.every((item) => item.pieces.length > 0)).toBe(true);
    expect(sentBy(helper)).toBe(JSON.stringify({ model: 'm', tools: [], messages }));
    const plain = intakeOf(false);
    await plain.take(inPieces(body), inProject);
    const again = await plain.take(inPieces(body), inProject);
    expect(again.items.every((item) => item.pieces.length > 0)).toBe(true);
  });

  it('in another project is stored there, too', async () => {
    const intake = intakeOf();
    await intake.take(inPieces(body), inProject);
    const other = await intake.take(inPieces(body), { 'x-rlm-directory': '/other' });
    expect(other.newlyStored).toBe(turns);
  });
});

describe('a history that has left the prompt', () => {
  const storeOf = ({ resolved }: Intake): SessionStore => resolved.session?.store as SessionStore;

  /** Takes it in twice with a first chat, notes that all of it has left, and takes it in again. */
  async function moved(
    text: string,
    limits?: Partial<CaptureLimits>,
  ): Promise<{ intake: RequestIntake; sent: string; second: Intake }> {
    const intake = intakeOf(true, limits);
    await intake.take(inPieces(text), inProject);
    const first = await intake.take(inPieces(text), inProject);
    const sent = sentBy(first);
    noteEvicted(first.items, first.items.length, first.resolved.chatId);
    const second = await intake.take(inPieces(text), inProject);
    return { intake, sent, second };
  }

  it('keeps neither stubs nor bytes of what is in the store, and has all again when it is wanted', async () => {
    const { sent, second } = await moved(body);
    const outputs = second.items.filter(({ role }) => role === 'tool');
    expect(outputs.length).toBe(turns);
    expect(outputs.filter((item) => item.stripped !== undefined || !item.isDropped)).toEqual([]);
    await rehydrate(second.items, storeOf(second));
    expect(sentBy(second)).toBe(sent);
  });

  it('has its stubs in the prompt of another chat', async () => {
    const { intake, sent } = await moved(body);
    const fork = { ...inProject, 'x-session-id': 'fork' };
    const other = await intake.take(inPieces(body), fork);
    await rehydrate(other.items, storeOf(other));
    // What happens in the first chat meanwhile is nothing to this one.
    noteEvicted(other.items, other.items.length, 'first');
    expect(sentBy(other)).toBe(sent);
  });

  it('keeps its texts where a stub cannot be made again', async () => {
    const { intake, second } = await moved(body);
    const fault = new ProxyError('store_corrupt', 'The store is damaged.');
    const damaged: SessionStore = Object.assign(Object.create(storeOf(second)), {
      read: async () => Promise.reject(fault),
    });
    await expect(rehydrate(second.items, damaged)).rejects.toBe(fault);
    // The client tries again, and now its texts are needed.
    const third = await intake.take(inPieces(body), inProject);
    await rehydrate(third.items, damaged);
    expect(sentBy(third)).toBe(JSON.stringify({ model: 'm', tools: [], messages }));
  });

  it('has large texts again that settings keep out of the store', async () => {
    const parts = [150_000, 1_200_000].map((size) => ({ type: 'text', text: 'x'.repeat(size) }));
    const tool = { role: 'tool', tool_call_id: 'c0', content: parts };
    const text = JSON.stringify({ model: 'm', messages: [...messages.slice(0, 2), tool] });
    const limits = { captureMinChars: 200_000, stripMinChars: 5_000_000 };
    const { sent, second } = await moved(text, limits);
    expect(sent).toBe(text);
    expect(second.items[2]?.isDropped).toBe(true);
    await rehydrate(second.items, storeOf(second));
    expect(sentBy(second)).toBe(text);
  });
});

describe('bytes of a message', () => {
  it('go on as they came, odd spelling and all', async () => {
    const odd = '{ "content":"\\u00e4 \\/", "role":"user", "x":1.0 }';
    const taken = await intakeOf().take(inPieces(`{"messages":[${odd}],"model":"m"}`, 7), {});
    expect(sentBy(taken)).toBe(`{"model":"m","messages":[${odd}]}`);
  });

  it('that are no UTF-8, or a null that some providers refuse, are written anew', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"model":"m","messages":[{"role":"user","content":"a'),
      Buffer.from([0xff]),
      Buffer.from('"},{"role":"assistant","content":"b","tool_calls":null}]}'),
    ]);
    const intake = intakeOf();
    for (const round of [1, 2]) {
      const taken = await intake.take([bytes] as unknown as AsyncIterable<Buffer>, {});
      expect(sentBy(taken), `round ${round}`).toBe(
        '{"model":"m","messages":[{"role":"user","content":"a\uFFFD"},{"role":"assistant","content":"b"}]}',
      );
    }
  });
});

describe('an ordinary chat', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });

  /** What reading a request costs beside receiving it. */
  async function costOf<Result>(work: () => Promise<Result>) {
    const parse = vi.spyOn(JSON, 'parse');
    const spies = [vi.spyOn(crypto, 'hash'), vi.spyOn(crypto, 'createHash')];
    syncBuiltinESMExports();
    const result = await work();
    const hashes = spies.reduce((total, { mock }) => total + mock.calls.length, 0);
    return { result, parses: parse.mock.calls.length, hashes };
  }

  it.each([100, 1_000])(
    'of %i known messages makes, parses and hashes none of them',
    async (count) => {
      const intake = intakeOf();
      const list = Array.from({ length: count }, (_, at) => ({
        role: at % 2 === 0 ? 'user' : 'assistant',
        content: `${at} ${'word '.repeat(80)}`,
      }));
      const take = async (added: number): Promise<Intake> => {
        const more = list.slice(0, added).map(({ role }) => ({ role, content: 'and more' }));
        return intake.take(
          inPieces(JSON.stringify({ model: 'm', messages: [...list, ...more] })),
          {},
        );
      };
      await take(0);
      const before = await take(0);
      const { result, parses, hashes } = await costOf(async () => take(2));
      const made = result.items.filter((item, at) => item !== before.items[at]);
      expect(result.items).toHaveLength(count + 2);
      expect(made.length).toBe(2);
      // The two that are new, and the envelope.
      expect(parses).toBeLessThanOrEqual(3);
      expect(hashes).toBeLessThan(20);
    },
  );
});
