import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { MapMemory } from '../../test/support/map-memory.ts';
import { memorySession } from '../../test/support/memory-session.ts';
import type { SessionStore } from '../store/types.ts';
import type { ContentPart, Message } from '../wire/types.ts';
import { parsed, shapeOf } from '../wire/unparsed-message.ts';
import {
  ChatTexts,
  showMessage,
  tellingIndex,
  withCannotOpen,
  type LaidTexts,
  type Way,
} from './chat-texts.ts';
import { RequestMessage } from '../history/request-message.ts';
import { identityOf } from '../history/identity.ts';
import { placesOf } from './weave.ts';

const texts = ['one', 'two', 'three'].map((word) => `${`${word} `.repeat(3_000)}\n`);
const stored = memorySession(texts.map((text) => ({ text }))).store;
const store: SessionStore = {
  ...stored,
  readEntry: async ({ offsetChars, lengthChars }) =>
    (await stored.read(offsetChars, lengthChars)).text,
};

function itemOf(message: Message, stored?: RequestMessage['facts']['stored']): RequestMessage {
  const bytes = Buffer.from(JSON.stringify(message));
  const hash = createHash('sha256').update(bytes).digest('hex');
  const known = { identity: identityOf(message), shape: shapeOf(message) };
  return new RequestMessage(
    { hash, json: [bytes], sizeBytes: bytes.length },
    stored === undefined ? known : { ...known, stored },
  );
}

/** A user's message with the text at this index, which has a stub. */
function large(index: number): RequestMessage {
  const content = texts[index]!;
  return itemOf(
    { role: 'user', content },
    {
      sessionId: store.sessionId,
      hasStub: true,
      isFixed: false,
      captured: [
        {
          part: -1,
          entry: store.entries[index]!,
          stripped: true,
          isFixed: false,
          isVerbatim: true,
          isAgain: false,
        },
      ],
      stub: { role: 'user', content: `stub ${index}` },
      frame: { role: 'user', content: '' },
    },
  );
}

const said = (): RequestMessage => itemOf({ role: 'assistant', content: 'Well.' });

/** One chat, its requests one after the other. */
class Asked {
  readonly memory = new MapMemory();
  last: ChatTexts | undefined;

  /** What stands in the prompt: `stub 0`, a whole text's first word, or `cut`. */
  async shown(
    items: readonly RequestMessage[],
    way: Way,
    options: { isActive?: boolean } = {},
  ): Promise<readonly string[]> {
    return (await this.messages(items, way, options)).map(({ content }) => {
      const text = String(content);
      if (text.includes('are left out here')) return 'cut';
      return text.startsWith('stub') ? text : text.trim().split(' ')[0]!;
    });
  }

  async messages(
    items: readonly RequestMessage[],
    way: Way,
    options: { isActive?: boolean } = {},
  ): Promise<readonly Message[]> {
    const laid = await this.lay(items, way, options);
    const shown = items.map(async (item, index) => showMessage(item, laid, { index, store }));
    return (await Promise.all(shown)).map((each) => parsed(each.message()));
  }

  async lay(
    items: readonly RequestMessage[],
    way: Way,
    { isActive = true }: { isActive?: boolean } = {},
  ): Promise<LaidTexts> {
    const { chains } = placesOf(items);
    const given = { chains, chatId: 'chat', memory: this.memory, isActive };
    this.last = await ChatTexts.read(items, given);
    return this.last.lay(way);
  }

  async keep(way: Way, toldAt?: number): Promise<void> {
    await this.last?.save(this.memory, toldAt === undefined ? { way } : { way, toldAt });
  }
}

it('what stood whole once stays so, and what comes after it has a stub again', async () => {
  const chat = new Asked();
  expect(await chat.shown([large(0)], { kind: 'whole' })).toEqual(['one']);
  await chat.keep({ kind: 'whole' });
  const next = [large(0), said(), large(1)];
  expect(await chat.shown(next, { kind: 'stubs' })).toEqual(['one', 'Well.', 'stub 1']);
  await chat.keep({ kind: 'stubs' });
  const later = [large(0), said(), large(1), said(), large(2)];
  expect(await chat.shown(later, { kind: 'whole' })).toEqual([
    'one',
    'Well.',
    'stub 1',
    'Well.',
    'three',
  ]);
});

it('what had a stub once keeps it, also where nothing can be opened', async () => {
  const chat = new Asked();
  await chat.lay([large(0)], { kind: 'stubs' });
  await chat.keep({ kind: 'stubs' });
  expect(await chat.shown([large(0)], { kind: 'whole' })).toEqual(['stub 0']);
});

it('in a chat that has been active all that was answered had a stub', async () => {
  const items = (): RequestMessage[] => [large(0), said(), large(1)];
  const whole = { kind: 'whole' } as const;
  expect(await new Asked().shown(items(), whole)).toEqual(['stub 0', 'Well.', 'two']);
  const fresh = new Asked();
  expect(await fresh.shown(items(), whole, { isActive: false })).toEqual(['one', 'Well.', 'two']);
  expect(fresh.last?.fresh).toEqual([2]);
});

it('a text of which the ends stood has the same ends in the next request', async () => {
  const chat = new Asked();
  const way = { kind: 'cut', cuts: new Map([[0, [[-1, 1_000, 500]] as const]]) } as const;
  const first = await chat.messages([large(0)], way);
  await chat.keep(way);
  const next = [large(0), said(), large(1)];
  const stubs = { kind: 'stubs' } as const;
  expect(await chat.shown(next, stubs)).toEqual(['cut', 'Well.', 'stub 1']);
  const contents = [first, await chat.messages(next, stubs)].map(([message]) => message?.content);
  expect(contents[1]).toBe(contents[0]);
  expect(contents[0]).toContain('10501 characters');
});

it('which messages say that nothing can be opened is remembered', async () => {
  const chat = new Asked();
  await chat.lay([large(0)], { kind: 'whole' });
  await chat.keep({ kind: 'whole' }, 0);
  const { told } = await chat.lay([large(0), said(), large(1)], { kind: 'stubs' });
  expect([...told]).toEqual([0]);
});

it('a decision about a message is none about the same message elsewhere', async () => {
  const chat = new Asked();
  await chat.lay([large(0)], { kind: 'whole' });
  await chat.keep({ kind: 'whole' });
  const undone = [itemOf({ role: 'user', content: 'Other.' }), large(0)];
  expect(await chat.shown(undone, { kind: 'stubs' })).toEqual(['Other.', 'stub 0']);
});

it('what has not changed is not written again', async () => {
  const chat = new Asked();
  for (let times = 0; times < 3; times += 1) {
    await chat.lay([large(0)], { kind: 'whole' });
    await chat.keep({ kind: 'whole' });
  }
  expect(chat.memory.writes).toBe(1);
});

it('a text whose bytes are gone comes from the store, byte for byte', async () => {
  const [message] = await new Asked().messages([large(0).bare()], { kind: 'whole' });
  expect(message).toEqual({ role: 'user', content: texts[0] });
});

it('matters only where something could have a stub or was decided', () => {
  const memory = new MapMemory();
  expect(ChatTexts.mayMatter([said()], memory, 'chat')).toBe(false);
  const item = large(0);
  expect(ChatTexts.mayMatter([item], memory, 'chat')).toBe(true);
  memory.values.set('texts:chat', { whole: [], cut: {}, told: [] });
  expect(ChatTexts.mayMatter([said()], memory, 'chat')).toBe(true);
  expect(ChatTexts.mayMatter([said()], undefined, 'chat')).toBe(false);
});

it('the line stands behind a message’s own text, whatever form it has, the same each time', () => {
  const plain = withCannotOpen({ role: 'user', content: 'Why?' });
  expect(plain.content).toMatch(/^Why\?\n\n\[rlm\] .*cannot be opened in this request/);
  const part = { type: 'text', text: 'Why?' };
  const listed = withCannotOpen({ role: 'user', content: [part] });
  const [own, line] = listed.content as readonly ContentPart[];
  expect(own).toBe(part);
  expect(line?.text).toMatch(/^\[rlm\] .*cannot be opened/);
  expect(withCannotOpen({ role: 'user', content: [part] })).toEqual(listed);
});

it('the newest message that is not the model’s says it', () => {
  const question = itemOf({ role: 'user', content: 'a' });
  const result = itemOf({ role: 'tool', tool_call_id: 'c', content: 'b' });
  expect(tellingIndex([question, said(), result, said()])).toBe(2);
  expect(tellingIndex([question, said()])).toBe(0);
  expect(tellingIndex([said()])).toBeUndefined();
});
