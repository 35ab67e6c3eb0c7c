/** An output of a tool call in the history that a client keeps. */
export interface PastOutput {
  /** The client's own id of the call. */
  readonly callId: string;
  readonly tool: string;
  /** The call's arguments as JSON text. */
  readonly args: string;
  /** When it came, milliseconds since 1970; absent where the history does not say. */
  readonly timeMs?: number | undefined;
  readonly text: string;
  /** A text to take instead of {@link text} where the file that its note names is gone. */
  readonly instead?: string;
}

/** Something in a history that could not be read, in words for a person. */
export interface PastFault {
  readonly place: string;
  readonly reason: string;
}

/** One conversation in a history. */
export interface PastSession {
  /** As the client names it in requests, too: then what came by way of the proxy is known. */
  readonly chatId: string;
  readonly directory: string;
  /** In order. May be read once. */
  outputs(): AsyncIterable<PastOutput | PastFault>;
}

/** Whether something that was found is a fault. */
export function isFault(found: object): found is PastFault {
  return 'reason' in found;
}

/** Where a client keeps its history, and what to do with it. */
export interface PastPlace {
  /** The client's own folder; absolute. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** Reads a history: its conversations, oldest first where it has an order, and what is damaged. */
export type ReadHistory = (place: PastPlace) => AsyncGenerator<PastSession | PastFault, void, void>;

/** Why a file or folder could not be read, in words. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words = code === undefined ? undefined : reasons[code];
  return words ?? message;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  ENOTDIR: 'it is no folder',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  ELOOP: 'it is a symbolic link, and links are not followed',
  EISDIR: 'it is a folder',
};
