import type { ChatMemory } from '../store/types.ts';

/**
 * How far a kind of demotion has gone: the chain hashes of the last messages that it covers, newest
 * first. Several, so that it still holds for a history whose end a client has taken back.
 */
export type Mark = readonly string[];

/** What has been demoted in one branch of a chat. */
export interface BranchState {
  /** Our own results up to here are shortened. */
  readonly own?: Mark;
  /**
   * Stored texts up to here are stubs, whatever their size: tool outputs, then old pasted texts.
   */
  readonly outputs?: Mark;
  readonly pasted?: Mark;
  /** Whole turns up to here are in the store. */
  readonly turns?: MovedTurns;
}

/** Old turns that have left the prompt. */
interface MovedTurns {
  /** Chain hash of the last message that was moved. */
  readonly chain: string;
  /** Stands in their place and says where they are. */
  readonly note: string;
  /** Their entries, oldest first. */
  readonly entries: readonly string[];
  /**
   * What kinds of parts that are no text have left with them, each by its noun; absent in what was
   * written before.
   */
  readonly parts?: readonly string[];
  /** Messages of the client that were moved. */
  readonly count: number;
  /**
   * Chain hash of a user message among them that stayed: the newest one, when its own long turn
   * outgrew the window.
   */
  readonly kept?: string;
}

/** All that is remembered of a chat. */
interface ChatState {
  /** Demotion steps so far: each breaks the cached prefix once. */
  readonly steps: number;
  /** Branches of the conversation, the one demoted last first. */
  readonly branches: readonly BranchState[];
}

/** Branches remembered per chat. */
const maxBranches = 4;
/** Messages that a client may take back before a mark is lost. */
const maxMarkLength = 48;

/** What was demoted in the branch that a history belongs to, and the chat's demotion steps. */
export interface FoundState {
  readonly branch: BranchState;
  readonly steps: number;
}

/**
 * The state for a history, given by its chain hashes; empty where none was made for it: it is
 * edited, compacted, or another branch.
 */
export async function findState(
  memory: ChatMemory,
  chatId: string,
  chains: readonly string[],
): Promise<FoundState> {
  const { steps, branches } = await readState(memory, chatId);
  const fits = (branch: BranchState): boolean => {
    const { own, outputs, pasted, turns } = branch;
    if (turns !== undefined && !chains.includes(turns.chain)) return false;
    return [own, outputs, pasted].every((mark) => mark === undefined || endOf(mark, chains) > 0);
  };
  return { branch: branches.length === 0 ? {} : (branches.find(fits) ?? {}), steps };
}

/**
 * Remembers a branch that has been demoted, in place of what it was before. @throws ProxyError
 * `store_full`
 */
export async function saveState(
  memory: ChatMemory,
  chatId: string,
  change: { readonly from: BranchState; readonly to: BranchState },
): Promise<void> {
  const { steps, branches } = await readState(memory, chatId);
  const from = JSON.stringify(change.from);
  const others = branches.filter((branch) => JSON.stringify(branch) !== from);
  const value: ChatState = {
    steps: steps + 1,
    branches: [change.to, ...others].slice(0, maxBranches),
  };
  await memory.put([{ key: stateKey(chatId), value }]);
}

/** Index after the last message that a mark covers in a history; 0 where it covers none. */
export function endOf(mark: Mark | undefined, chains: readonly string[]): number {
  for (const chain of mark ?? []) {
    const at = chains.lastIndexOf(chain);
    if (at >= 0) return at + 1;
  }
  return 0;
}

/** The mark that covers a history up to `end`, exclusive. */
export function markAt(end: number, chains: readonly string[]): Mark {
  return [...new Set(chains.slice(Math.max(0, end - maxMarkLength), end))].toReversed();
}

async function readState(memory: ChatMemory, chatId: string): Promise<ChatState> {
  const stored = (await memory.get(stateKey(chatId))) as ChatState | undefined;
  return stored ?? { steps: 0, branches: [] };
}

/** Where it is remembered what was demoted in a chat. */
export function stateKey(chatId: string): string {
  return `window:${chatId}`;
}
