import type { Sandboxes } from '../../sandbox/sandboxes.ts';
import { linksOf } from '../../store/session/links.ts';
import type { Sessions, TextHolder } from '../../store/types.ts';

/** What a chat's sandbox is called: a session's id, and the chat's. */
export function sandboxName(sessionId: string, chatId: string): string {
  return `${sessionId}:${chatId}`;
}

/**
 * The variables of programs, which may hold forgotten texts: those of chats whose store reads them,
 * or is linked to one that does, are thrown away.
 */
export function programVariables(
  sandboxes: Pick<Sandboxes, 'chats' | 'forget'>,
  sessions: Pick<Sessions, 'byId'>,
): TextHolder {
  return {
    forget: async ({ sessionIds, isTrial }) => {
      let programs = 0;
      for (const chat of sandboxes.chats) {
        const sessionId = chat.slice(0, chat.indexOf(':'));
        const isReached =
          sessionIds.has(sessionId) ||
          linksOf((await sessions.byId(sessionId)).events.all).some((link) =>
            sessionIds.has(link.sessionId),
          );
        if (!isReached) continue;
        programs += 1;
        if (!isTrial) await sandboxes.forget(chat);
      }
      return { programs };
    },
  };
}
