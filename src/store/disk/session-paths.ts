import { dirname, join } from 'node:path';
import { ProxyError } from '../../errors.ts';

/** Where a session's files are. */
export interface SessionPaths {
  readonly metadata: string;
  readonly text: string;
  readonly journal: string;
  readonly chats: string;
  /** What was decided about the store as a whole; there from the first such decision on. */
  readonly events: string;
  readonly indexDir: string;
  readonly originalsDir: string;
  /** Large texts on their way into the session. */
  readonly incomingDir: string;
}

/** The folder of all sessions. */
export function sessionsDir(dataDir: string): string {
  return join(dataDir, 'sessions');
}

/** The files of one session. `sessionId` has passed {@link isSessionId}. */
export function sessionPaths(dataDir: string, sessionId: string): SessionPaths {
  return pathsIn(sessionsDir(dataDir), sessionId);
}

/** The files of another session, beside those of one. */
export function siblingPaths(paths: SessionPaths, sessionId: string): SessionPaths {
  return pathsIn(dirname(paths.journal), sessionId);
}

function pathsIn(folder: string, sessionId: string): SessionPaths {
  const base = join(folder, sessionId);
  return {
    metadata: `${base}.json`,
    text: `${base}_context.txt`,
    journal: `${base}_entries.jsonl`,
    chats: `${base}_chats.jsonl`,
    events: `${base}_events.jsonl`,
    indexDir: `${base}_index`,
    originalsDir: `${base}_originals`,
    incomingDir: `${base}_incoming`,
  };
}

/** `sess_` and 8 to 32 lower-case hexadecimal digits; nothing else ever becomes part of a path. */
export function isSessionId(text: string): boolean {
  return /^sess_[0-9a-f]{8,32}$/.test(text);
}

/**
 * The error for an id that names no session here. @param dataDir Where it was looked for, if the
 * user may have meant another place
 */
export function unknownSession(sessionId: string, dataDir?: string): ProxyError {
  const shown = JSON.stringify(sessionId.slice(0, 64));
  const where = dataDir === undefined ? '' : ` in ${dataDir}`;
  return new ProxyError('unknown_session', `There is no session ${shown}${where}.`, {
    hint: '`rlm-opencode sessions` lists them.',
  });
}
