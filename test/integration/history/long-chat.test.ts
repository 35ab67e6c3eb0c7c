import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Message } from '../../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../../support/conversation.ts';
import { heldBytes } from '../../support/held-memory.ts';
import { postPieces } from '../../support/pieces.ts';
import { startPair } from '../../support/proxy.ts';
import { answer } from '../../support/scripted-upstream.ts';

const turns = 60;
const messagesPerTurn = 4;
/** From here on outputs are large; before, there are many turns of little. */
const smallTurns = 40;
const chat = { 'x-session-id': 'long-chat' };

/** The messages of one turn before its answer, and that. */
function turnOf(turn: number, output = outputOf(turn)): readonly Message[] {
  return [
    user(`Question ${turn}: what did the run say?`),
    calling(`call-${turn}`, 'bash', { command: `run ${turn}` }),
    resultOf(`call-${turn}`, output),
    { role: 'assistant', content: `It said that all is well, ${turn} times.` },
  ];
}

function outputOf(turn: number): string {
  return longText(turn <= smallTurns ? 20_000 : 960_000, `run-${turn}-says "ok"\t`);
}

/** Messages of the chat as they are sent: made once, so that what the test holds stays the same. */
const encoded: readonly (readonly Buffer[])[] = Array.from({ length: turns }, (_, at) =>
  turnOf(at + 1).map(encode),
);

function encode(message: Message): Buffer {
  return Buffer.from(`,${JSON.stringify(message)}`);
}

/** The body of a turn's request in pieces. */
function* bodyOf(turn: number, history = encoded): Generator<Buffer, void> {
  yield Buffer.from(`{"model":"m","tools":${JSON.stringify(clientTools)},"messages":[`);
  yield Buffer.from(JSON.stringify(systemFor('/work/long')));
  for (let number = 1; number <= turn; number += 1) {
    const messages = history[number - 1]!;
    yield* number === turn ? messages.slice(0, -1) : messages;
  }
  yield Buffer.from(']}');
}

type Setup = Awaited<ReturnType<typeof startPair>>;

/** What one turn did. */
interface Turn {
  readonly parsed: number;
  readonly stored: number;
  /**
   * Bytes held beside those after the small turns: when nearly all has arrived, when the upstream has
   * been asked, and afterwards.
   */
  readonly held?: { readonly arriving: number; readonly asked: number; readonly after: number };
}

describe('a chat that grows to 20 MB in 60 turns', () => {
  let setup: Setup;
  let base = 0;
  /** Bytes that the upstream of this test holds while it answers. */
  let asked = 0;
  let isMeasured = false;
  const played: Turn[] = [];
  let list = '';

  async function play(turn: number, history = encoded): Promise<Turn> {
    const before = await setup.proxy.health();
    let arriving = 0;
    async function* pieces(): AsyncGenerator<Buffer, void> {
      for (const piece of bodyOf(turn, history)) {
        if (isMeasured && piece.includes(`"call-${turn}"`) && arriving === 0) {
          // What was sent has been read, or waits in the sockets.
          arriving = await heldBytes();
        }
        yield piece;
      }
    }
    const { status } = await postPieces({ baseURL: setup.proxy.baseURL, headers: chat }, pieces());
    expect(status).toBe(200);
    const [request] = setup.upstream.requests.splice(0);
    list = JSON.stringify(request!.body.messages);
    const { parsedMessages, storedTexts, live } = await setup.proxy.health();
    expect(live).toBe(0);
    const parsed = parsedMessages - before.parsedMessages;
    const stored = storedTexts - before.storedTexts;
    if (!isMeasured) return { parsed, stored };
    const after = (await heldBytes()) - base;
    return { parsed, stored, held: { arriving: arriving - base, asked: asked - base, after } };
  }

  beforeAll(async () => {
    setup = await startPair();
    setup.upstream.otherwise(async ({ rawBody }) => {
      // The test's own copies, as bytes and as an object.
      if (isMeasured) asked = (await heldBytes()) - 3 * rawBody.length;
      return answer('It said that all is well.');
    });
    for (let turn = 1; turn <= turns; turn += 1) {
      isMeasured = turn === 50 || turn === 60;
      if (turn === smallTurns) base = await heldBytes();
      played.push(await play(turn));
      isMeasured = false;
    }
  });

  afterAll(async () => setup[Symbol.asyncDispose]());

  it('has of its messages only the new ones parsed, and each text stored once', () => {
    // The first turn begins with the system message and has no answer before it.
    expect(played.map(({ parsed }) => parsed)).toEqual(played.map(() => messagesPerTurn));
    expect(played.map(({ stored }) => stored)).toEqual(played.map(() => 1));
  });

  it('is held in part while a turn arrives and is answered, and not at all between turns', () => {
    const held = played.flatMap((turn) => turn.held ?? []);
    // Stubs, what is known of each message, and some of the list’s beginning, by which it is known.
    const partBytes = 4_000_000;
    expect(held).toHaveLength(2);
    expect(Buffer.concat(encoded.flat()).length).toBeGreaterThan(5 * partBytes);
    for (const { arriving, asked: whileAsked, after } of held) {
      expect(arriving).toBeLessThan(partBytes);
      expect(whileAsked).toBeLessThan(partBytes);
      expect(after).toBeLessThan(partBytes);
    }
    const [middle, last] = held;
    expect(last!.after - middle!.after).toBeLessThan(1_000_000);
  });

  it('in which one byte is edited goes up as before but for the message that has it', async () => {
    const before = list;
    const edited = outputOf(50).replace('"ok"', '"oK"');
    const turn = turnOf(50, edited).map(encode);
    const { parsed, stored } = await play(turns, encoded.with(49, turn));
    expect({ parsed, stored }).toEqual({ parsed: 1, stored: 1 });
    const [was, is] = [before, list].map((text) => JSON.parse(text) as readonly Message[]);
    const at = was!.findIndex(({ tool_call_id: id }) => id === 'call-50');
    expect(at).toBeGreaterThan(0);
    expect(is!.toSpliced(at, 1)).toEqual(was!.toSpliced(at, 1));
    // The new text has a stub of its own; both can be read.
    const stub = String(is![at]!.content);
    expect(stub).toContain('"oK"');
    expect(stub).not.toBe(was![at]!.content);
    const { store } = (await setup.proxy.app.sessions.forDirectory('/work/long', {
      create: false,
    }))!;
    const [old, last] = [store.entries[49]!, store.entries.at(-1)!];
    expect(await store.readEntry(old)).toBe(outputOf(50));
    expect(await store.readEntry(last)).toBe(edited);
    // And back again: nothing is new.
    expect(await play(turns)).toEqual({ parsed: 0, stored: 0 });
    expect(list).toBe(before);
  });
});

describe('an ordinary chat', () => {
  function uncounted(): void {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  }

  afterEach(uncounted);

  /** Counts what the process parses and hashes from here on, on both sides of the proxy. */
  function counted(): () => { readonly parses: number; readonly hashes: number } {
    const parse = vi.spyOn(JSON, 'parse');
    const hashes = (['hash', 'createHash', 'createHmac', 'createCipheriv'] as const).map((name) =>
      vi.spyOn(crypto, name),
    );
    syncBuiltinESMExports();
    return () => ({
      parses: parse.mock.calls.length,
      hashes: hashes.reduce((total, { mock }) => total + mock.calls.length, 0),
    });
  }

  it('costs no parse and no hash for a message that is known, however many there are', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Yes.'));
    const costs: { readonly parses: number; readonly hashes: number }[] = [];
    for (const count of [50, 1_000]) {
      const list = Array.from({ length: count }, (_, at) => ({
        role: at % 2 === 0 ? 'user' : 'assistant',
        content: `${at} of ${count}: ${'word '.repeat(80)}`,
      }));
      const ask = async (more: number): Promise<void> => {
        const added = list.slice(0, more).map(({ role }) => ({ role, content: `more ${count}` }));
        const body = JSON.stringify({ model: 'm', messages: [...list, ...added] });
        expect((await postPieces(proxy, [Buffer.from(body)])).status).toBe(200);
      };
      await ask(0);
      await ask(0);
      const before = await setup.proxy.health();
      const cost = counted();
      await ask(2);
      costs.push(cost());
      uncounted();
      expect((await setup.proxy.health()).parsedMessages - before.parsedMessages).toBe(2);
    }
    const [few, many] = costs;
    expect(many!.parses).toBe(few!.parses);
    expect(many!.hashes).toBeLessThan(few!.hashes + 20);
  });

  it('stays known however many others begin meanwhile', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Yes.'));
    const ask = async (name: string, count: number): Promise<void> => {
      const messages = Array.from({ length: count }, (_, at) => ({
        role: at % 2 === 0 ? 'user' : 'assistant',
        content: `${name} ${at}: ${'word '.repeat(80)}`,
      }));
      const body = Buffer.from(JSON.stringify({ model: 'm', messages }));
      expect((await postPieces(proxy, [body])).status).toBe(200);
    };
    const costs: { readonly parses: number; readonly hashes: number }[] = [];
    await ask('own', 100);
    await ask('own', 100);
    for (let round = 0; round < 4; round += 1) {
      for (let other = 0; other < 30; other += 1) await ask(`${round}-${other}`, 30);
      const cost = counted();
      await ask('own', 100);
      costs.push(cost());
      uncounted();
    }
    for (const { parses, hashes } of costs) {
      expect(parses).toBeLessThan(15);
      expect(hashes).toBeLessThan(30);
    }
  });
});
