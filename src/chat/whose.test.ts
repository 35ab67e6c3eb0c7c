import { describe, expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import type { Session, Sessions } from '../store/types.ts';
import { SessionFinder, type RequestFacts } from './whose.ts';

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

const facts: RequestFacts = { origin: {}, beginning: 'hello', keyHash: 'k' };

describe('whose a request is', () => {
  it('the session’s name goes before the directory, the header’s before the prompt’s', async () => {
    const finder = new SessionFinder(sessionsOf());
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
    const whose = await new SessionFinder(sessions).find({ ...facts, workingDirectory: '/w' });
    expect(whose.session).toBeUndefined();
    expect(sessions.made).toEqual([]);
    const made = await whose.ensure();
    expect(await whose.ensure()).toBe(made);
    expect(sessions.made).toEqual(['/w']);
  });

  it('is known again after a restart, if something of the chat was stored', async () => {
    const sessions = sessionsOf();
    const named = { ...facts, workingDirectory: '/w' };
    const stored = await new SessionFinder(sessions).find({ ...named, origin: { chatId: 'a' } });
    await stored.ensure();
    const asked = new SessionFinder(sessionsOf());
    await asked.find({ ...named, origin: { chatId: 'b' } });
    const again = new SessionFinder(sessions);
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
    const last = await new SessionFinder(sessions).find({ ...facts, origin: { chatId: 'a' } });
    expect(last.directory).toBe('/x');
  });

  it('a helper request belongs to the directory of its conversation, a subagent’s to its parent’s', async () => {
    const finder = new SessionFinder(sessionsOf());
    await finder.find({ ...facts, origin: { chatId: 'main' }, workingDirectory: '/w' });
    const title = await finder.find({ ...facts, origin: { chatId: 'main' } });
    expect([title.directory, title.isNamed]).toEqual(['/w', false]);
    const sub = await finder.find({ ...facts, origin: { chatId: 'sub', parentChatId: 'main' } });
    expect(sub.directory).toBe('/w');
  });

  it('an unknown client’s chat is found again by how it began and by whose key it has', async () => {
    const sessions = sessionsOf();
    const finder = new SessionFinder(sessions);
    const first = await (await finder.find(facts)).ensure();
    expect((await finder.find(facts)).session).toBe(first);
    expect((await finder.find({ ...facts, beginning: 'bye' })).session).toBeUndefined();
    expect((await finder.find({ ...facts, keyHash: 'other' })).session).toBeUndefined();
  });

  it('a directory that is not absolute is refused', async () => {
    const finder = new SessionFinder(sessionsOf());
    await expect(finder.find({ ...facts, origin: { directory: 'here' } })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect((await finder.find({ ...facts, origin: { directory: 'C:\\work' } })).directory).toBe(
      'C:\\work',
    );
  });
});
