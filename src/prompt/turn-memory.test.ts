import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MapMemory } from '../../test/support/map-memory.ts';
import type { Message } from '../wire/types.ts';
import { hashText } from '../history/message-texts.ts';
import { identityOf } from '../history/identity.ts';
import { RecordCache, TurnMemory, type TurnPosition, type TurnRecord } from './turn-memory.ts';

const place: TurnPosition = { chatId: 'chat', chain: 'chain', userTextHash: 'question' };

function calling(id: string, args = '{}', content: string | null = null): Message {
  return {
    role: 'assistant',
    content,
    tool_calls: [{ id, type: 'function', function: { name: 'bash', arguments: args } }],
  };
}

function recordOf(message: Message, hidden = 'hidden'): TurnRecord {
  const shown = typeof message.content === 'string' ? message.content : '';
  return {
    before: [{ role: 'assistant', content: hidden }],
    message,
    results: {},
    shownTextHash: hashText(shown),
  };
}

async function remembering(
  ...turns: readonly (readonly [TurnPosition, Message, string])[]
): Promise<TurnMemory> {
  const memory = new TurnMemory(new MapMemory(), new RecordCache(200));
  for (const [at, message, hidden] of turns)
    await memory.remember(at, identityOf(message), recordOf(message, hidden), hidden);
  return memory;
}

async function foundBy(
  memory: TurnMemory,
  at: TurnPosition,
  copy: Message,
): Promise<string | undefined> {
  return (await allFoundBy(memory, [at, copy]))[0];
}

async function allFoundBy(
  memory: TurnMemory,
  ...turns: readonly (readonly [TurnPosition, Message])[]
): Promise<readonly (string | undefined)[]> {
  const records = await memory.findAll(
    turns.map(([at, copy]) => ({ place: at, identity: identityOf(copy) })),
    async (work) => work(),
  );
  return records.map((record) => record?.before[0]?.content as string | undefined);
}

const long = 'A text that is long enough to stand for itself in a chat.';

describe('how a long history is looked up', () => {
  const count = 50;
  const turns = Array.from({ length: count }, (_, at) => ({
    place: { ...place, chain: `chain ${at}` },
    identity: identityOf(calling(`call ${at}`)),
  }));

  /** A memory on a slow disk, which tells how many looks at it go on at once. */
  class SlowMemory extends MapMemory {
    reads = 0;
    mostAtOnce = 0;
    #atOnce = 0;
    readonly #keepsAtHand: boolean;
    constructor(keepsAtHand: boolean) {
      super();
      this.#keepsAtHand = keepsAtHand;
    }
    override atHand(key: string): unknown {
      return this.#keepsAtHand ? super.atHand(key) : undefined;
    }
    override async get(key: string): Promise<unknown> {
      this.reads += 1;
      this.#atOnce += 1;
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
      await setImmediate();
      this.#atOnce -= 1;
      return super.get(key);
    }
  }

  async function lookedUp(memory: SlowMemory, maxCachedBytes: number): Promise<void> {
    const turnMemory = new TurnMemory(memory, new RecordCache(maxCachedBytes));
    for (const [at, { place: where, identity }] of turns.entries())
      await turnMemory.remember(where, identity, recordOf(calling(`call ${at}`)), `${at}`);
    const found = await turnMemory.findAll(turns, async (work) => work());
    expect(found.map((record) => record?.message.tool_calls?.[0]?.id)).toEqual(
      turns.map(({ identity }) => identity.callIds[0]),
    );
  }

  it('waits for what is on the disk once, and not for one turn after the other', async () => {
    const memory = new SlowMemory(false);
    await lookedUp(memory, 0);
    expect(memory.mostAtOnce).toBe(count);
  });

  it('keeps at hand what it was given last, of all memories up to a number of bytes', () => {
    const [one, other] = [new MapMemory(), new MapMemory()];
    const record = recordOf(calling('call'));
    const sizeBytes = Buffer.byteLength(JSON.stringify([record.before[0], record.message])) - 3;
    const cache = new RecordCache(2 * sizeBytes);
    for (const key of ['a', 'b', 'c']) cache.set(one, key, record);
    expect(['a', 'b', 'c'].map((key) => cache.get(one, key))).toEqual([undefined, record, record]);
    expect(cache.get(other, 'c')).toBeUndefined();
    cache.set(other, 'c', record);
    expect([cache.get(one, 'b'), cache.get(other, 'c')]).toEqual([record, record]);
    cache.set(one, 'long', recordOf(calling('call', 'x'.repeat(2 * sizeBytes))));
    expect([cache.get(one, 'long'), cache.get(one, 'b')]).toEqual([undefined, record]);
  });

  it('does not look at the disk for what is at hand', async () => {
    const memory = new SlowMemory(true);
    await lookedUp(memory, 1_000_000);
    expect(memory.reads).toBe(0);
  });
});

describe('what a turn is found by', () => {
  it('is found where it was, and in a fork with another name', async () => {
    const memory = await remembering([place, calling('a'), 'one']);
    expect(await foundBy(memory, place, calling('a'))).toBe('one');
    expect(await foundBy(memory, { ...place, chatId: 'fork' }, calling('a'))).toBe('one');
  });

  it('is found by question and call where the history before it was changed', async () => {
    const memory = await remembering([place, calling('a'), 'one']);
    expect(await foundBy(memory, { ...place, chain: 'other' }, calling('a'))).toBe('one');
    expect(
      await foundBy(memory, { ...place, chain: 'second', userTextHash: 'x' }, calling('a')),
    ).toBeUndefined();
    expect(
      await foundBy(memory, { ...place, chain: 'third', chatId: 'fork' }, calling('a')),
    ).toBeUndefined();
  });

  it('is found by question and text only where the text is long enough', async () => {
    const other = { ...place, chain: 'other' };
    const memory = await remembering(
      [place, { role: 'assistant', content: 'ok' }, 'short'],
      [place, { role: 'assistant', content: long }, 'long'],
    );
    expect(await foundBy(memory, other, { role: 'assistant', content: 'ok' })).toBeUndefined();
    expect(await foundBy(memory, other, { role: 'assistant', content: long })).toBe('long');
  });

  it('a provider that numbers anew: call_0 of one turn is not call_0 of another', async () => {
    const next = { ...place, chain: 'next' };
    const memory = await remembering(
      [place, calling('call_0'), 'one'],
      [next, calling('call_0'), 'two'],
    );
    expect(await foundBy(memory, place, calling('call_0'))).toBe('one');
    expect(await foundBy(memory, next, calling('call_0'))).toBe('two');
    expect(await foundBy(memory, { ...place, chain: 'other' }, calling('call_0'))).toBeUndefined();
  });

  it('a turn that was never remembered does not take the record of one further on', async () => {
    const before = { ...place, chain: 'before' };
    const memory = await remembering([place, calling('call_0'), 'one']);
    const turns = [
      [before, calling('call_0')],
      [place, calling('call_0')],
    ] as const;
    expect(await allFoundBy(memory, ...turns)).toEqual([undefined, 'one']);
    expect(await allFoundBy(memory, ...turns)).toEqual([undefined, 'one']);
  });

  it('where neither of two alike stands where it was, one of them has the record', async () => {
    const memory = await remembering([place, calling('call_0'), 'one']);
    const turns = ['x', 'y'].map((chain) => [{ ...place, chain }, calling('call_0')] as const);
    expect(await allFoundBy(memory, ...turns)).toEqual(['one', undefined]);
    expect(await allFoundBy(memory, ...turns)).toEqual(['one', undefined]);
  });

  it('where it was found once by its call it stays, even if the call comes to name two', async () => {
    const edited = { ...place, chain: 'edited' };
    const memory = await remembering([place, calling('call_0'), 'one']);
    expect(await foundBy(memory, edited, calling('call_0'))).toBe('one');
    const again = { ...place, chain: 'later' };
    await memory.remember(
      again,
      identityOf(calling('call_0')),
      recordOf(calling('call_0'), 'two'),
      'two',
    );
    expect(await foundBy(memory, edited, calling('call_0'))).toBe('one');
  });

  it('is not found for a copy that says something else or calls something else', async () => {
    const memory = await remembering([place, calling('a', '{"n":1}', 'I call.'), 'one']);
    expect(await foundBy(memory, place, calling('a', '{"n":1}', 'I never call.'))).toBeUndefined();
    expect(await foundBy(memory, place, calling('a', '{"n":2}', 'I call.'))).toBeUndefined();
    // Some clients drop the text of a turn with calls.
    expect(await foundBy(memory, place, calling('a', '{ "n": 1 }'))).toBe('one');
  });

  it('odd ids are ids like others', async () => {
    const memory = await remembering(
      [place, calling('toString'), 'one'],
      [place, calling('__proto__'), 'two'],
    );
    expect(await foundBy(memory, place, calling('toString'))).toBe('one');
    expect(await foundBy(memory, place, calling('__proto__'))).toBe('two');
  });
});
