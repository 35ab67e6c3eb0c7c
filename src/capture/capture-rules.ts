import {
  attachmentArguments,
  isPruned,
  isReadTool,
  pathArguments,
} from '../clients/known-clients.ts';
import type { OwnFolder } from '../clients/spill-file.ts';
import { hashCall } from '../history/identity.ts';
import { type Text, type TextEnds, endLength, textsOf } from '../history/message-texts.ts';
import type { NewEntry, NewEntryFacts } from '../store/types.ts';
import { callName, callText } from '../wire/calls.ts';
import type { Message, ToolCall } from '../wire/types.ts';

/** When a text is stored and when its place is taken by a stub. Sizes in characters. */
export interface CaptureLimits {
  readonly captureMinChars: number;
  readonly stripMinChars: number;
  /** Thresholds of single tools, by the tool's name; over {@link stripMinChars}. */
  readonly stripMinCharsByTool: Readonly<Record<string, number>>;
  /** Where these were set by somebody, they hold whatever room the prompt has. */
  readonly stripIsFixed: boolean;
  readonly stripFixedTools: readonly string[];
  /** Largest spill file that is read, bytes. */
  readonly maxSpillBytes: number;
  /** What a turn waits at most for the outlines of its new texts, milliseconds. */
  readonly outlineWaitMs: number;
  /** The folders of whole outputs that may lie in a repository or a project. */
  readonly spillFolders?: readonly OwnFolder[];
}

/** A text that has been found worth storing and is not stored yet. */
export interface Candidate {
  readonly part: number;
  readonly entry: NewEntry;
  /** The text's ends, where a client's note about it can stand. */
  readonly ends: TextEnds;
  readonly strip: StripRule;
}

/** From which length a text is replaced, characters, and whether that holds whatever room is. */
interface StripRule {
  readonly minChars: number;
  readonly isFixed: boolean;
}

/** Longest text of a call that is kept with its output, code units. */
export const maxArgsLength = 2_000;

/** A longer text is no client's note, code units: as much as there is of its end. */
const maxNoteLength = endLength;

/**
 * The texts of a message that belong in the store. Pure. `call` is the call that a tool message
 * answers; a result of one of our own tools never reaches a client, and one that looks so (name
 * `rlm_…`) is left alone.
 */
export function candidatesOf(
  message: Message,
  call: ToolCall | undefined,
  context: { readonly chatId: string; readonly limits: CaptureLimits },
): readonly Candidate[] {
  const { limits, chatId } = context;
  if (message.role === 'tool') {
    const tool = call === undefined ? undefined : callName(call);
    if (tool?.startsWith('rlm_') === true || isPruned(message.content)) return [];
    const facts = {
      kind: 'tool_result' as const,
      chatId,
      ...(tool === undefined ? {} : { tool }),
      ...(call === undefined
        ? {}
        : { args: callText(call).slice(0, maxArgsLength), call: hashCall(call) }),
      ...(message.tool_call_id === undefined ? {} : { toolCallId: message.tool_call_id }),
      ...pathMember(call === undefined ? undefined : callText(call)),
    };
    return [...textsOf(message)]
      .filter(([, text]) => isLong(text, limits.captureMinChars))
      .map(([part, text]) => candidateOf(part, text, facts, stripRule(tool, limits)));
  }
  if (message.role !== 'user') return [];
  let lead: string | undefined;
  const found: Candidate[] = [];
  for (const [part, text] of textsOf(message)) {
    const isNote = text.length <= maxNoteLength;
    const attached = isNote ? attachmentArguments(text.ends.head) : undefined;
    if (isLong(text, limits.captureMinChars)) {
      const facts =
        lead === undefined
          ? { kind: 'user_text' as const }
          : { kind: 'attachment' as const, ...pathMember(lead) };
      found.push(candidateOf(part, text, { ...facts, chatId }, stripRule(undefined, limits)));
    }
    lead = attached;
  }
  return found;
}

function candidateOf(
  part: number,
  { content, ends }: Text,
  facts: NewEntryFacts,
  strip: StripRule,
): Candidate {
  return { part, entry: { ...facts, text: content }, ends, strip };
}

/**
 * Whether a text has at least `minChars` characters, without counting where the code units tell.
 */
function isLong({ content, length }: Text, minChars: number): boolean {
  if (length < minChars) return false;
  if (length >= minChars * 2 || typeof content !== 'string') return true;
  let chars = 0;
  for (const _ of content) chars += 1;
  return chars >= minChars;
}

function stripRule(tool: string | undefined, limits: CaptureLimits): StripRule {
  const { stripMinChars, stripMinCharsByTool, stripIsFixed, stripFixedTools } = limits;
  if (tool === undefined) return { minChars: stripMinChars, isFixed: stripIsFixed };
  // Where the model asked for just that text, twice the general size stays in the prompt.
  const usual = isReadTool(tool) ? stripMinChars * 2 : stripMinChars;
  return {
    minChars: stripMinCharsByTool[tool] ?? usual,
    isFixed: stripIsFixed || stripFixedTools.includes(tool),
  };
}

/** The file a call is about. */
function pathMember(args: string | undefined): { readonly path?: string } {
  if (args === undefined || args.length > 100_000) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(args);
  } catch {
    // The model wrote broken arguments: then there is no path to know.
    return {};
  }
  if (parsed === null || typeof parsed !== 'object') return {};
  for (const name of pathArguments) {
    const value = (parsed as Record<string, unknown>)[name];
    if (typeof value === 'string' && value !== '') return { path: value };
  }
  return {};
}
