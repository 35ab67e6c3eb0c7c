import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../errors.ts';
import type { ChatMemory } from '../store/types.ts';
import type { Message } from '../wire/types.ts';
import {
  AnswerMemory,
  type Trail,
  isRandomId,
  placesIn,
  type DeliveredAnswer,
  type FoundChat,
} from './answer-memory.ts';
import { clientText, identityOf } from './identity.ts';

/** A memory that counts how it is used. */
function countingMemory(): ChatMemory & { reads: number; puts: number } {
  const values = new Map<string, unknown>();
  return {
    reads: 0,
    puts: 0,
    has: (key) => values.has(key),
    atHand: () => undefined,
    async get(key) {
      this.reads += 1;
      return values.get(key);
    },
    async put(records) {
      this.puts += 1;
      for (const { key, value } of records) values.set(key, value);
    },
  };
}

const user = (content: string): Message => ({ role: 'user', content });
const system = (content: string): Message => ({ role: 'system', content });
const said = (content: string): Message => ({ role: 'assistant', content });
const call = (id: string, args: string, content = ''): Message => ({
  role: 'assistant',
  content,
  tool_calls: [{ id, type: 'function', function: { name: 'bash', arguments: args } }],
});
const result = (id: string, content: string): Message => ({
  role: 'tool',
  tool_call_id: id,
  content,
});

function answerOf(message: Message): DeliveredAnswer {
  const { callIds, callHashes, textHash, textLength } = identityOf(message);
  const argsLength = message.tool_calls?.[0]?.function?.arguments.length ?? 0;
  return { callIds, callHashes, argsLength, textHash, textLength };
}

/** One process over a memory. */
class Process {
  readonly answers: AnswerMemory;
  #made = 0;
  readonly name: string;

  constructor(memory: ChatMemory, name = 'a') {
    this.answers = new AnswerMemory(memory, new ManualClock());
    this.name = name;
  }

  async chatOf(history: readonly Message[], key = 'k'): Promise<FoundChat | undefined> {
    const trail = followed(this.answers.trail(key), history);
    return this.answers.find(trail);
  }

  /** A request and its answer: the chat that it was found to be, or a new one. */
  async turn(history: readonly Message[], reply: Message, key = 'k'): Promise<string> {
    const trail = followed(this.answers.trail(key), history);
    const found = await this.answers.find(trail);
    const chatId = found?.chatId ?? `${this.name}${(this.#made += 1)}`;
    await this.answers.remember(trail, answerOf(reply), { chatId, isDurable: true });
    return chatId;
  }
}

function followed(trail: Trail, history: readonly Message[]): Trail {
  for (const message of history) {
    const facts = { identity: identityOf(message), places: placesIn(clientText(message)) };
    trail.add({ role: message.role, facts });
  }
  return trail;
}

const long = (word: string): Message => said(`${word}: ${'the quick brown fox. '.repeat(12)}`);

describe('a conversation without a name', () => {
  it('is known by an answer at its place, whatever the system prompt says by now', async () => {
    const one = new Process(countingMemory());
    const reply = long('first');
    const chat = await one.turn([system('cwd /a, Monday'), user('hi')], reply);
    const next = [system('cwd /b, Tuesday, plan mode'), user('hi'), reply, user('go on')];
    expect(await one.chatOf(next)).toEqual({ chatId: chat });
    expect(await one.chatOf([user('hello'), reply, user('go on')])).toBeUndefined();
    expect(await one.chatOf([user('hi'), long('other'), user('go on')])).toBeUndefined();
    expect(await one.chatOf(next, 'another key')).toBeUndefined();
  });

  it('is still known where the client trims, drops what stands beside a call, or turns the arguments around', async () => {
    const one = new Process(countingMemory());
    const text = String(long('first').content);
    const chat = await one.turn([user('hi')], said(text));
    expect(await one.chatOf([user('hi'), said(`${text.trim()}\n`), user('x')])).toEqual({
      chatId: chat,
    });
    const made = call('call_9aF3kQ77', '{"a":1,"b":[2]}', 'Looking.');
    const other = await one.turn([user('run')], made);
    const bare = call('call_9aF3kQ77', '{ "a": 1, "b": [2] }');
    expect(await one.chatOf([user('run'), bare, result('call_9aF3kQ77', 'x')])).toEqual({
      chatId: other,
    });
  });

  it('shares nothing with one that got the same answer: two candidates are none', async () => {
    const one = new Process(countingMemory());
    const greeting = said('Hello! How can I help you today?');
    const a = await one.turn([user('hi')], greeting);
    const b = await one.turn([user('hi')], greeting);
    expect(a).not.toBe(b);
    expect(await one.chatOf([user('hi'), greeting, user('go on')])).toBeUndefined();
    // From the first answer on that only one of them has, it is known again.
    const c = await one.turn([user('hi'), greeting, user('mine')], long('mine'));
    const later = [user('hi'), greeting, user('mine'), long('mine'), user('more')];
    expect(await one.chatOf(later)).toEqual({ chatId: c });
  });

  it('of a counted call id alone is nobody’s; of one drawn at random it is', async () => {
    const one = new Process(countingMemory());
    await one.turn([user('hi')], call('bash:0', '{"command":"ls"}'));
    const counted = [user('hi'), call('bash:0', '{"command":"ls"}'), result('bash:0', 'x')];
    expect(await one.chatOf(counted)).toBeUndefined();
    const id = 'call_k3J8sL0aQz';
    const chat = await one.turn([user('hi')], call(id, '{"command":"ls"}'));
    const drawn = [user('hi'), call(id, '{"command":"ls"}'), result(id, 'x')];
    expect(await one.chatOf(drawn)).toEqual({ chatId: chat });
  });

  it('with counted ids is known by its project, and from a few calls on without', async () => {
    const one = new Process(countingMemory());
    const here = system('Working in /home/me/here. Today is Monday.');
    const history: Message[] = [here, user('fix it')];
    const first = call('bash:0', '{"command":"ls"}');
    const chat = await one.turn(history, first);
    history.push(first, result('bash:0', 'x'));
    expect(await one.chatOf(history)).toEqual({ chatId: chat });
    const elsewhere = [system('Working in /home/me/there.'), ...history.slice(1)];
    expect(await one.chatOf(elsewhere)).toBeUndefined();
    for (let number = 1; number < 6; number += 1) {
      const next = call(
        `bash:${number}`,
        JSON.stringify({ command: `grep -rn "x" ${'a'.repeat(40)}` }),
      );
      expect(await one.turn(history, next)).toBe(chat);
      history.push(next, result(`bash:${number}`, 'x'));
    }
    expect(await one.chatOf(history.slice(1))).toEqual({ chatId: chat });
  });

  it('a greeting that a prompt for another project holds is no sign of the first', async () => {
    const one = new Process(countingMemory());
    const greeting = said('Hello! How can I help you today?');
    const chat = await one.turn([system('cwd: /home/me/a'), user('hi')], greeting);
    const reminded = `<system-reminder>I work in /home/me/b</system-reminder>hi`;
    for (const start of [[system('cwd: /home/me/b'), user('hi')], [user(reminded)]])
      expect(await one.chatOf([...start, greeting, user('what is stored?')])).toBeUndefined();
    const onTuesday = [system('cwd: /home/me/a, Tuesday'), user('hi'), greeting, user('go on')];
    expect(await one.chatOf(onTuesday)).toEqual({ chatId: chat });
  });

  it('is known after undo, fork and an aborted answer, and not when all of it was taken back or compacted', async () => {
    const one = new Process(countingMemory());
    const history = [user('hi'), long('first'), user('two'), long('second'), user('three')];
    const chat = await one.turn(history.slice(0, 1), long('first'));
    await one.turn(history.slice(0, 3), long('second'));
    for (const same of [
      [...history.slice(0, 2), user('other way')],
      [...history.slice(0, 3), said('half an ans'), user('three')],
      history,
    ])
      expect(await one.chatOf(same)).toEqual({ chatId: chat });
    for (const other of [[user('hi')], [user('Summary: …'), long('second'), user('three')]])
      expect(await one.chatOf(other)).toBeUndefined();
  });

  it('answers that are delivered at once know of each other', async () => {
    const one = new Process(countingMemory());
    await Promise.all([1, 2, 3].map(async () => one.turn([user('hi')], long('same'))));
    expect(await one.chatOf([user('hi'), long('same'), user('x')])).toBeUndefined();
  });
});

describe('the memory of answers', () => {
  it('survives a restart, doubt included', async () => {
    const memory = countingMemory();
    const before = new Process(memory);
    const chat = await before.turn([user('hi')], long('mine'));
    const doubted = [user('q'), long('both'), user('x')];
    await before.turn([user('q')], long('both'));
    await before.turn([user('q')], long('both'));
    const after = new Process(memory, 'b');
    expect(await after.chatOf([user('hi'), long('mine'), user('x')])).toEqual({ chatId: chat });
    expect(await after.chatOf(doubted)).toBeUndefined();
    await after.turn([user('hi')], long('mine'));
    const again = new Process(memory, 'c');
    expect(await again.chatOf([user('hi'), long('mine'), user('x')])).toBeUndefined();
  });

  it('of chats that stored nothing is written together, later', async () => {
    const memory = countingMemory();
    const clock = new ManualClock();
    const answers = new AnswerMemory(memory, clock);
    for (let number = 0; number < 100; number += 1) {
      const trail = answers.trail('k');
      followed(trail, [user(`question ${number}`)]);
      const chat = { chatId: `c${number}`, isDurable: false };
      await answers.remember(trail, answerOf(long('x')), chat);
    }
    expect([memory.puts, clock.waiting]).toEqual([0, 1]);
    await answers[Symbol.asyncDispose]();
    expect([memory.puts, clock.waiting]).toEqual([1, 0]);
    const after = new Process(memory);
    const history = [user('question 7'), long('x'), user('more')];
    expect(await after.chatOf(history)).toEqual({ chatId: 'c7' });
  });

  it('is asked as often for a long history as for a short one', async () => {
    const reads = await Promise.all(
      [10, 2_000].map(async (turns) => {
        const memory = countingMemory();
        const history: Message[] = [];
        const one = new Process(memory);
        for (let number = 0; number < turns; number += 1) {
          history.push(user(`question ${number}`), long(`answer ${number}`));
        }
        await one.turn([...history, user('last')], long('last'));
        const after = new Process(memory, 'b');
        await after.chatOf([...history, user('last'), long('last'), user('more')]);
        return memory.reads;
      }),
    );
    expect(reads).toEqual([1, 1]);
  });

  it('that cannot be written or read costs no answer', async () => {
    const fail = async (): Promise<never> => {
      throw new ProxyError('store_full', 'The disk is full.');
    };
    const one = new Process({ has: () => true, atHand: () => undefined, get: fail, put: fail });
    const chat = await one.turn([user('hi')], long('mine'));
    expect(await one.chatOf([user('hi'), long('mine'), user('x')])).toEqual({ chatId: chat });
  });
});

describe('what tells apart', () => {
  it.each([
    ['bash:0', false],
    ['functions.read_file:12', false],
    ['call_1', false],
    ['call_00000012', false],
    ['toolu', false],
    ['', false],
    ['call_k3J8sL0aQz', true],
    ['chatcmpl-tool-5f2b9c0d1e3a4f6b8c7d9e0f1a2b3c4d', true],
    ['call_-8712345678901234567', true],
    ['toolu_01A09q90qw90lq917835lq9', true],
  ])('the id %s: drawn at random: %s', (id, expected) => {
    expect(isRandomId(id)).toBe(expected);
  });

  it('places are paths, and neither dates nor addresses', () => {
    const places = placesIn('cwd: /home/me/a. See https://example.com/docs/x, 11/26');
    expect(places).not.toBe('');
    expect(placesIn('"/home/me/a." is it; 11/27, and/or, http://other/y')).toBe(places);
    expect(placesIn('cwd: /home/me/b.')).not.toBe(places);
    expect(placesIn('nothing here')).toBe('');
    expect(placesIn(String.raw`C:\Users\me\a`)).not.toBe('');
  });
});
