import { describe, expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import type { Session, Sessions } from '../store/types.ts';
import { randomIds } from '../clock.ts';
import { silentLogger, type Logger } from '../log.ts';
import type { Message } from '../wire/types.ts';
import { hashText } from './message-texts.ts';
import { identityOf } from './identity.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { AnswerMemory } from './answer-memory.ts';
import { SessionResolver, type RequestFacts, type ResolvedSession } from './session-resolver.ts';

/** Sessions that are made when asked for, and say by what. */
function sessionsOf(): Sessions & { readonly made: string[] } {
  const made: string[] = [];
  const remembered = new Map<string, unknown>();
  const known = new Map<string, Session>();
  const open = (key: string, create: boolean): Session | undefined => {
    if (!known.has(key) && create) {
      made.push(key);
      known.set(key, { id: `sess_${known.size}` } as Session);
    }
    return known.get(key);
  };
  const sessions: Pick<Sessions, 'byId' | 'chats' | 'forDirectory' | 'forKey'> = {
    chats: {
      has: (key) => remembered.has(key),
      atHand: () => undefined,
      get: async (key) => remembered.get(key),
      put: async (records) => {
        for (const { key, value } of records) remembered.set(key, value);
      },
    },
    byId: async (id) => {
      if (id !== 'sess_known') throw new ProxyError('unknown_session', id);
      return { id, directory: '/by/id' } as Session;
    },
    forDirectory: async (directory, { create }) => open(directory, create),
    forKey: async (key, { create }) => open(key, create),
  };
  return { ...sessions, made } as unknown as Sessions & { readonly made: string[] };
}

/** A finder as a process has it; another over the same sessions is the process after a restart. */
class Finder {
  readonly #finder: SessionResolver;

  constructor(sessions: Sessions) {
    const answers = new AnswerMemory(sessions.chats, new ManualClock());
    this.#finder = new SessionResolver({ sessions, answers, ids: randomIds, log: silentLogger() });
  }

  async find(facts: RequestFacts): Promise<ResolvedSession> {
    const place = await this.#finder.placeNamed(facts);
    return this.#finder.find(facts, this.#finder.trail('key'), place);
  }
}

const facts: RequestFacts = { origin: {} };

describe('whose a request is', () => {
  it('the session’s name goes before the directory, the header’s before the prompt’s', async () => {
    const finder = new Finder(sessionsOf());
    const both = { ...facts, workingDirectory: '/from/prompt' };
    const origin = { sessionId: 'sess_known', directory: '/from/header' };
    expect((await finder.find({ ...both, origin })).directory).toBe('/by/id');
    expect((await finder.find({ ...both, origin: { directory: '/from/header' } })).directory).toBe(
      '/from/header',
    );
    expect((await finder.find(both)).directory).toBe('/from/prompt');
    await expect(finder.find({ ...both, origin: { sessionId: '../x' } })).rejects.toMatchObject({
      code: 'unknown_session',
    });
  });

  it('makes nothing until there is something to store', async () => {
    const sessions = sessionsOf();
    const resolved = await new Finder(sessions).find({ ...facts, workingDirectory: '/w' });
    expect(resolved.session).toBeUndefined();
    expect(sessions.made).toEqual([]);
    const made = await resolved.ensure();
    expect(await resolved.ensure()).toBe(made);
    expect(sessions.made).toEqual(['/w']);
  });

  it('is known again after a restart, if something of the chat was stored', async () => {
    const sessions = sessionsOf();
    const named = { ...facts, workingDirectory: '/w' };
    const stored = await new Finder(sessions).find({ ...named, origin: { chatId: 'a' } });
    await stored.ensure();
    const asked = new Finder(sessionsOf());
    await asked.find({ ...named, origin: { chatId: 'b' } });
    const again = new Finder(sessions);
    const found = await again.find({ ...facts, origin: { chatId: 'a' } });
    expect([found.directory, found.isNamed, found.session]).toEqual([
      '/w',
      false,
      await stored.ensure(),
    ]);
    const other = await again.find({ ...facts, origin: { chatId: 'b' } });
    expect(other.directory).toBeUndefined();
    const moved = await again.find({ ...facts, origin: { chatId: 'a', directory: '/x' } });
    await moved.ensure();
    const last = await new Finder(sessions).find({ ...facts, origin: { chatId: 'a' } });
    expect(last.directory).toBe('/x');
  });

  it('a helper request belongs to the directory of its conversation, a subagent’s to its parent’s', async () => {
    const finder = new Finder(sessionsOf());
    await finder.find({ ...facts, origin: { chatId: 'main' }, workingDirectory: '/w' });
    const title = await finder.find({ ...facts, origin: { chatId: 'main' } });
    expect([title.directory, title.isNamed]).toEqual(['/w', false]);
    const sub = await finder.find({ ...facts, origin: { chatId: 'sub', parentChatId: 'main' } });
    expect(sub.directory).toBe('/w');
  });

  it('a first request that names nothing belongs to nobody that was there before', async () => {
    const sessions = sessionsOf();
    const finder = new Finder(sessions);
    const first = await finder.find(facts);
    await first.ensure();
    const second = await finder.find(facts);
    expect(second.session).toBeUndefined();
    expect(second.chatId).not.toBe(first.chatId);
    expect(await second.ensure()).not.toBe(await first.ensure());
    expect(sessions.made).toEqual([`unnamed:${first.chatId}`, `unnamed:${second.chatId}`]);
  });

  it('a new store that no name leads to is said once, with its id', async () => {
    const said: unknown[] = [];
    const log = { info: (facts: unknown) => void said.push(facts) } as unknown as Logger;
    const sessions = sessionsOf();
    const answers = new AnswerMemory(sessions.chats, new ManualClock());
    const finder = new SessionResolver({ sessions, answers, ids: randomIds, log });
    const resolved = await finder.find(facts, finder.trail('key'), undefined);
    expect(said).toEqual([]);
    const { id } = await resolved.ensure();
    await resolved.ensure();
    expect(said).toEqual([{ session: id, chat: resolved.chatId }]);
  });

  it('a conversation without a name is still at home where its client last said', async () => {
    const sessions = sessionsOf();
    const answers = new AnswerMemory(sessions.chats, new ManualClock());
    const options = { sessions, answers, ids: randomIds, log: silentLogger() };
    const finder = new SessionResolver(options);
    const ask = async (
      origin: RequestFacts['origin'],
      history: readonly Message[],
    ): Promise<ResolvedSession> => {
      const trail = finder.trail('key');
      for (const message of history)
        trail.add({ role: message.role, facts: { identity: identityOf(message) } });
      return finder.find({ origin }, trail, await finder.placeNamed({ origin }));
    };
    const text = 'A long answer, word for word. '.repeat(10);
    const first = await ask({ directory: '/w' }, [{ role: 'user', content: 'hi' }]);
    const textHash = hashText(text);
    const sizes = { textLength: text.length, argsLength: 0 };
    await first.ensure();
    await first.delivered({ callIds: [], callHashes: [], textHash, ...sizes });
    const helper = await ask({}, [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: text },
      { role: 'user', content: 'Make a title.' },
    ]);
    expect([helper.directory, helper.isNamed, helper.chatId]).toEqual(['/w', false, first.chatId]);
  });

  it('a directory that is not absolute is refused', async () => {
    const finder = new Finder(sessionsOf());
    await expect(finder.find({ ...facts, origin: { directory: 'here' } })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect((await finder.find({ ...facts, origin: { directory: 'C:\\work' } })).directory).toBe(
      'C:\\work',
    );
  });
});
