import type {
  Entry,
  NewEntry,
  NewEntryFacts,
  Session,
  SessionStore,
  StoredOutput,
} from '../store/types.ts';
import { callName, callText } from '../wire/calls.ts';
import type { Message, ToolCall } from '../wire/types.ts';
import { isPruned } from '../clients/known-clients.ts';
import {
  isPartOf,
  readSpillFile,
  spillNoteOf,
  type SpillLimits,
  type SpillNote,
} from '../clients/spill-file.ts';
import { LruMap } from '../base/lru-map.ts';
import type { Captured } from '../history/request-message.ts';
import { hashCall } from '../history/identity.ts';
import { endLength, type Text, type TextEnds, textsOf } from '../history/message-texts.ts';
import { stubHeadChars, stubOf, stubTailChars } from './stub.ts';

/** When a text is stored and when its place is taken by a stub. Sizes in characters. */
export interface CaptureLimits {
  readonly captureMinChars: number;
  readonly stripMinChars: number;
  /** Thresholds of single tools, by the tool's name; over {@link stripMinChars}. */
  readonly stripMinCharsByTool: Readonly<Record<string, number>>;
  /** Largest spill file that is read, bytes. */
  readonly maxSpillBytes: number;
  /** The one folder of whole outputs that may lie in a repository or a project. */
  readonly spillFolder?: string;
}

/** A text that has been found worth storing and is not stored yet. */
export interface Candidate {
  readonly part: number;
  readonly entry: NewEntry;
  /** The text's ends, where a client's note about it can stand. */
  readonly ends: TextEnds;
  readonly stripMinChars: number;
}

/** Longest text of a call that is kept with its output, code units. */
const maxArgsLength = 2_000;

/** A longer text is no client's note, code units: as much as there is of its end. */
const maxNoteLength = endLength;

/** A client's note that the part after it is a file's content. */
const attachmentLead = /^Called the (?:Read|read) tool with the following input: (\{.*\})$/s;

/**
 * OpenCode's `read`: the model asked for just that text, so twice the general size stays in the
 * prompt.
 */
const readTools: ReadonlySet<string> = new Set(['read', 'Read', 'read_file', 'view']);

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
      .map(([part, text]) => candidateOf(part, text, facts, stripMinOf(tool, limits)));
  }
  if (message.role !== 'user') return [];
  let lead: string | undefined;
  const found: Candidate[] = [];
  for (const [part, text] of textsOf(message)) {
    const isNote = text.length <= maxNoteLength;
    const attached = isNote ? attachmentLead.exec(text.ends.head)?.[1] : undefined;
    if (isLong(text, limits.captureMinChars)) {
      const facts =
        lead === undefined
          ? { kind: 'user_text' as const }
          : { kind: 'attachment' as const, ...pathMember(lead) };
      found.push(candidateOf(part, text, { ...facts, chatId }, limits.stripMinChars));
    }
    lead = attached;
  }
  return found;
}

/**
 * Stores candidates. Where a result says that the client cut it, and names the file with all of it,
 * the file's text is stored in its place, if it may be read and really begins or ends with what was
 * printed; where it has been before, the same entry stands for it again, file or no file.
 * @throws ProxyError `store_full`, `store_corrupt`
 */
export async function storeCandidates(
  { store, directory }: Pick<Session, 'store' | 'directory'>,
  candidates: readonly Candidate[],
  limits: CaptureLimits,
): Promise<readonly Captured[]> {
  const wholes = await Promise.all(
    candidates.map(async (candidate) => {
      const { entry, ends } = candidate;
      const note = entry.kind === 'tool_result' ? spillNoteOf(entry.text, ends) : undefined;
      if (note === undefined) return entry;
      const whole = await wholeOf(store, entry, note, {
        maxBytes: limits.maxSpillBytes,
        projectDirectory: directory,
        ownFolder: limits.spillFolder,
      });
      return whole ?? entry;
    }),
  );
  const entries = await store.append(wholes);
  return candidates.map((candidate, index) => {
    const entry = entries[index] as Entry;
    const isVerbatim = wholes[index] === candidate.entry && entry.original === undefined;
    const stripped = entry.lengthChars >= candidate.stripMinChars;
    return { part: candidate.part, entry, stripped, isVerbatim };
  });
}

const fullTextNote = 'the whole text, from the file that the client saved';

/**
 * The whole text of which an output is a part; nothing where there is none, or the output is no
 * part of it.
 */
async function wholeOf(
  store: SessionStore,
  entry: NewEntry,
  note: SpillNote,
  limits: SpillLimits,
): Promise<NewEntry | undefined> {
  const { chatId = '', toolCallId, call } = entry;
  const { path } = note;
  const outputs = toolCallId === undefined ? [] : store.outputsOf(chatId, toolCallId);
  const before = outputs.findLast((output) => output.call === call)?.entry;
  if (before?.note === fullTextNote && before.path === path) {
    const text = await store.readEntry(before);
    if (isPartOf(note, Buffer.from(text))) return { ...entry, text, path, note: fullTextNote };
  }
  const bytes = await readSpillFile(path, limits);
  if (bytes === undefined || !isPartOf(note, bytes)) return undefined;
  const text = note.added.length === 0 ? bytes : Buffer.concat([bytes, note.added]);
  return { ...entry, text, path, note: fullTextNote };
}

/**
 * The entry that stands for the output of a call in a chat: the only text that came under this id
 * for this very tool with these arguments. None where there were several, or where it cannot be
 * told.
 */
export function outputOf(store: SessionStore, chatId: string, call: ToolCall): Entry | undefined {
  const found = new Set<Entry>();
  for (const output of store.outputsOf(chatId, call.id))
    if (answers(output, call)) found.add(output.entry);
  return found.size === 1 ? [...found][0] : undefined;
}

/**
 * What an earlier version wrote does not say for which call it came again: then it must be the call
 * for which the text came first.
 */
function answers({ entry, call: known }: StoredOutput, call: ToolCall): boolean {
  if (known !== undefined) return known === hashCall(call);
  const { tool, args = '' } = entry;
  if (tool !== callName(call)) return false;
  if (args.length >= maxArgsLength)
    return args === callText(call).slice(0, maxArgsLength).toWellFormed();
  const first = { ...call, function: { name: tool, arguments: args } };
  return hashCall(first) === hashCall(call);
}

/** Stubs kept per store: those that a long chat shows, a few KB each. */
const maxKeptStubs = 1_000;

const keptStubs = new WeakMap<SessionStore, LruMap<string, string>>();

/**
 * The stub of an entry. The same bytes whenever and wherever it is made, so those made lately are
 * kept.
 */
export async function readStub(store: SessionStore, entry: Entry): Promise<string> {
  const kept = keptStubs.get(store) ?? new LruMap<string, string>(maxKeptStubs);
  keptStubs.set(store, kept);
  let stub = kept.get(entry.id);
  if (stub === undefined) {
    stub = await makeStub(store, entry);
    kept.set(entry.id, stub);
  }
  return stub;
}

async function makeStub(store: SessionStore, entry: Entry): Promise<string> {
  const headChars = Math.min(stubHeadChars, entry.lengthChars);
  const tailChars = Math.min(stubTailChars, entry.lengthChars);
  const [head, tail] = await Promise.all([
    store.read(entry.offsetChars, headChars),
    store.read(entry.offsetChars + entry.lengthChars - tailChars, tailChars),
  ]);
  return stubOf(entry, { head: head.text, tail: tail.text });
}

function candidateOf(
  part: number,
  { content, ends }: Text,
  facts: NewEntryFacts,
  stripMinChars: number,
): Candidate {
  return { part, entry: { ...facts, text: content }, ends, stripMinChars };
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

function stripMinOf(tool: string | undefined, limits: CaptureLimits): number {
  if (tool === undefined) return limits.stripMinChars;
  const own = limits.stripMinCharsByTool[tool];
  return own ?? (readTools.has(tool) ? limits.stripMinChars * 2 : limits.stripMinChars);
}

/** The file a call is about, by the member names that clients' tools use. */
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
  for (const name of ['filePath', 'file_path', 'path', 'file', 'url']) {
    const value = (parsed as Record<string, unknown>)[name];
    if (typeof value === 'string' && value !== '') return { path: value };
  }
  return {};
}
