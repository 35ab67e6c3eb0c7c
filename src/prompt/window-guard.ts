import { ProxyError } from '../errors.ts';
import type { UpstreamMessage } from '../wire/types.ts';
import { findState, saveState } from './demotion-state.ts';
import { Layout, type GuardedChat } from './window-layout.ts';

/**
 * What the list must fit into: bytes that all messages together may have, before anything is
 * demoted and after.
 */
export interface Room {
  readonly highBytes: number;
  readonly lowBytes: number;
}

/** What the window has done to a chat. */
export interface WindowReport {
  /** Demotion steps in this chat so far, and whether this request made one. */
  readonly steps: number;
  readonly demoted: boolean;
  /** How many messages of the history have left the prompt, from its beginning. */
  readonly evictedBefore: number;
}

/** The list that goes upstream. */
export interface Fitted {
  readonly messages: readonly UpstreamMessage[];
  readonly window: WindowReport;
  /** Of all messages, bytes. */
  readonly sizeBytes: number;
  /** Whether something stands outside that the model would have to open. */
  readonly leavesOut: boolean;
}

/**
 * Keeps a chat inside the upstream's window: applies what was demoted before, and if the list is
 * still over the high mark, demotes in one step to the low one. Nothing that is taken out is lost:
 * all of it is in the store.
 */
export async function fitWindow(chat: GuardedChat, room: Room): Promise<Fitted> {
  const { branch, steps } = (await guarded(chat, async () =>
    findState(chat.session.memory, chat.chatId, chat.chains),
  )) ?? { branch: {}, steps: 0 };
  const layout = new Layout(chat, branch);
  await layout.build();
  const demoted =
    layout.sizeBytes > room.highBytes && (await layout.demote(room.lowBytes, room.highBytes));
  if (demoted)
    await guarded(chat, async () =>
      saveState(chat.session.memory, chat.chatId, { from: branch, to: layout.branch }),
    );
  const { sizeBytes, leavesOut, evictedBefore } = layout;
  return {
    messages: layout.messages(),
    window: { steps: demoted ? steps + 1 : steps, demoted, evictedBefore },
    sizeBytes,
    leavesOut,
  };
}

/** What a failing memory would have said is done without. */
async function guarded<Result>(
  chat: GuardedChat,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    chat.onStoreFault(error);
    return undefined;
  }
}
