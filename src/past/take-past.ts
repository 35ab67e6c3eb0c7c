import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { ClientKind } from '../clients/client.ts';
import { cutNote, isCutByClient } from '../clients/cut-output.ts';
import { isPruned } from '../clients/known-clients.ts';
import { fittingNote, type OwnFolder, readSpillFile, spillNoteOf } from '../clients/spill-file.ts';
import { ProxyError } from '../errors.ts';
import { isRandomId } from '../history/answer-memory.ts';
import { hashCall } from '../history/identity.ts';
import { endLength } from '../history/message-texts.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { NewEntry, Session, SessionStore } from '../store/types.ts';
import { isFault, type PastFault, type PastOutput, type PastSession } from './past-session.ts';

/** Shorter outputs are not worth an entry, characters: as they come through the proxy. */
const minChars = 500;

/** Texts committed together, bytes and number. */
const batchBytes = 4 * 1024 * 1024;
const batchTexts = 256;

/** Files of whole outputs that are read at most, bytes. */
const maxSpillBytes = 1024 * 1024 * 1024;

/** Faults that are told one by one. */
const maxTold = 100;

/** Whose history it is, and what of it is wanted. */
export interface PastWork {
  readonly client: ClientKind;
  readonly sessions: AsyncIterable<PastSession | PastFault>;
  /** Only conversations of this directory, links aside; absent: of all. */
  readonly directory?: string | undefined;
  /** The store of a directory; with `create` it is made if there is none. */
  readonly storeOf: (
    directory: string,
    options: { readonly create: boolean },
  ) => Promise<Session | undefined>;
  /** Nothing is stored: what would be is counted. */
  readonly isDry: boolean;
  readonly signal: AbortSignal;
  readonly ownFolders: readonly OwnFolder[];
  /** Absent where secrets stay as they are. */
  readonly secrets?: SecretGuard | undefined;
  /** Called after each conversation. */
  readonly onProgress: (counts: PastCounts) => void;
}

/** What has come of it so far. */
export interface PastCounts {
  /** Conversations of the directory. */
  readonly conversations: number;
  /** Outputs that were stored, or would be. */
  readonly stored: number;
  /** Characters of these. */
  readonly chars: number;
  /** Outputs that the store had already, from earlier runs or as they came through the proxy. */
  readonly held: number;
  /** Outputs under 500 characters. */
  readonly short: number;
  /** Of the stored: those whose whole text came from a file that the client saved. */
  readonly whole: number;
  /** Of the stored: those of which the client has kept a part. */
  readonly cut: number;
}

/** What came of it in the end. */
export interface PastReport extends PastCounts {
  /** Of all conversations that were found; those that are wanted have their numbers. */
  readonly directories: readonly PastDirectory[];
  readonly faults: number;
  /** The first 100 of them. */
  readonly told: readonly PastFault[];
}

/** The conversations of one directory. */
interface PastDirectory {
  readonly directory: string;
  readonly conversations: number;
  readonly stored: number;
  readonly chars: number;
}

/**
 * Takes the outputs of a client's history into the stores of their directories, each once however
 * often it runs: what came under the same call of the same conversation is known, whichever way it
 * came, and the same text is stored once. Stopped anywhere, it goes on where it was when it runs
 * again.
 * @throws ProxyError `cancelled`, `store_full`, `store_corrupt`; what was stored until then stays
 */
export async function takePast(work: PastWork): Promise<PastReport> {
  const taking = new Taking(work);
  try {
    for await (const found of work.sessions) {
      work.signal.throwIfAborted();
      if (isFault(found)) taking.fail(found);
      else await taking.take(found);
    }
  } catch (error) {
    if (work.signal.aborted) throw new ProxyError('cancelled', 'The ingest was stopped.');
    throw error;
  }
  return taking.report();
}

class Taking {
  readonly #work: PastWork;
  readonly #counts = {
    conversations: 0,
    stored: 0,
    chars: 0,
    held: 0,
    short: 0,
    whole: 0,
    cut: 0,
  };
  readonly #directories = new Map<
    string,
    { conversations: number; stored: number; chars: number }
  >();
  readonly #real = new Map<string, Promise<string>>();
  readonly #told: PastFault[] = [];
  #faults = 0;

  constructor(work: PastWork) {
    this.#work = work;
  }

  fail(fault: PastFault): void {
    this.#faults += 1;
    if (this.#told.length < maxTold) this.#told.push(fault);
  }

  report(): PastReport {
    const directories = [...this.#directories].map(([directory, own]) => {
      const { conversations, stored, chars } = own;
      return { directory, conversations, stored, chars };
    });
    return { ...this.#counts, directories, faults: this.#faults, told: this.#told };
  }

  async take(session: PastSession): Promise<void> {
    const { directory: wanted, storeOf, isDry, onProgress } = this.#work;
    const directory = await this.#realOf(session.directory);
    const own = this.#directories.get(directory) ?? { conversations: 0, stored: 0, chars: 0 };
    own.conversations += 1;
    this.#directories.set(directory, own);
    if (wanted !== undefined && directory !== (await this.#realOf(wanted))) return;
    this.#counts.conversations += 1;
    const { stored, chars } = this.#counts;
    const store = (await storeOf(directory, { create: !isDry }))?.store;
    const taker = new SessionTaker(session, this.#work, { store, counts: this.#counts });
    for await (const found of session.outputs()) {
      if (isFault(found)) this.fail(found);
      else {
        const fault = await taker.take(found);
        if (fault !== undefined) this.fail(fault);
      }
    }
    await taker.commit();
    own.stored += this.#counts.stored - stored;
    own.chars += this.#counts.chars - chars;
    onProgress({ ...this.#counts });
    await setImmediate();
  }

  async #realOf(path: string): Promise<string> {
    let real = this.#real.get(path);
    // Of a directory that is gone the name is all there is.
    if (real === undefined) this.#real.set(path, (real = realpath(path).catch(() => path)));
    return real;
  }
}

/** A text that is to be stored. */
interface PastEntry {
  readonly entry: NewEntry;
  readonly isWhole: boolean;
  readonly isCut: boolean;
}

/** Why an output is not taken. */
type Refusal = Pick<PastFault, 'reason'>;

function isRefusal(found: string | Uint8Array | Refusal): found is Refusal {
  return typeof found === 'object' && 'reason' in found;
}

/** Takes the outputs of one conversation. */
class SessionTaker {
  readonly #session: PastSession;
  readonly #work: PastWork;
  readonly #store: SessionStore | undefined;
  readonly #counts: { -readonly [Name in keyof PastCounts]: PastCounts[Name] };
  readonly #entriesBefore: number;
  #batch: PastEntry[] = [];
  #batchBytes = 0;

  constructor(
    session: PastSession,
    work: PastWork,
    into: {
      readonly store: SessionStore | undefined;
      readonly counts: { -readonly [Name in keyof PastCounts]: PastCounts[Name] };
    },
  ) {
    this.#session = session;
    this.#work = work;
    this.#store = into.store;
    this.#counts = into.counts;
    this.#entriesBefore = into.store?.totals.entries ?? 0;
  }

  /** @returns Why it may not be taken, where that is so */
  async take(output: PastOutput): Promise<PastFault | undefined> {
    const { tool, text } = output;
    // Neither a client's mark of what it has thrown away, nor a stub of ours is an output.
    if (tool.startsWith('rlm_') || isPruned(text) || text.startsWith('[rlm] ')) return undefined;
    if (Math.max(text.length, output.instead?.length ?? 0) < minChars) {
      this.#counts.short += 1;
      return undefined;
    }
    const { callId } = output;
    const known = await this.#guarded(output.args);
    if (isRefusal(known)) return { ...known, place: `${tool} ${callId}` };
    const args = known.toString();
    const call = hashCall({
      id: callId,
      type: 'function',
      function: { name: tool, arguments: args },
    });
    if (this.#isHeld(callId, call)) {
      this.#counts.held += 1;
      return undefined;
    }
    const found = await this.#textOf(output);
    const guarded = await this.#guarded(found.text);
    if (isRefusal(guarded)) return { ...guarded, place: `${tool} ${callId}` };
    const from = `from the history of ${this.#work.client.name}`;
    const entry: NewEntry = {
      kind: 'tool_result',
      tool,
      args,
      call,
      chatId: this.#session.chatId,
      toolCallId: callId,
      note: found.isCut ? `${cutNote}; ${from}` : from,
      text: guarded,
      ...(found.path === undefined ? {} : { path: found.path }),
      ...(output.timeMs === undefined ? {} : { timeMs: output.timeMs }),
    };
    this.#batch.push({ entry, isWhole: found.path !== undefined, isCut: found.isCut });
    this.#batchBytes += found.text.length;
    if (this.#batchBytes >= batchBytes || this.#batch.length >= batchTexts) await this.commit();
    return undefined;
  }

  /** A text with its secrets masked, or why it may not be taken. */
  async #guarded(text: string | Uint8Array): Promise<string | Uint8Array | Refusal> {
    const { secrets } = this.#work;
    const found = await secrets?.stored(text);
    if (found === undefined) return text;
    if (secrets?.does === 'mask') return found.content;
    return {
      reason: `it holds what looks like a secret (${found.kinds.join(', ')}), and capture.secrets is refuse`,
    };
  }

  /** Stores what has been taken, all at once. */
  async commit(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    if (batch.length === 0) return;
    this.#work.signal.throwIfAborted();
    const before = this.#store?.totals.entries ?? 0;
    const entries =
      this.#work.isDry || this.#store === undefined
        ? undefined
        : await this.#store.append(batch.map(({ entry }) => entry));
    const seen = new Set<string>();
    const isKnown = (text: string | Uint8Array): boolean =>
      this.#store?.entryByHash(createHash('sha256').update(text).digest('hex')) !== undefined;
    for (const [index, { entry, isWhole, isCut }] of batch.entries()) {
      const stored = entries?.[index];
      const isNew =
        stored === undefined ? !isKnown(entry.text) : stored.seq > before && !seen.has(stored.id);
      if (stored !== undefined) seen.add(stored.id);
      if (!isNew) {
        this.#counts.held += 1;
        continue;
      }
      this.#counts.stored += 1;
      this.#counts.chars += stored?.lengthChars ?? entry.text.length;
      if (isWhole) this.#counts.whole += 1;
      if (isCut) this.#counts.cut += 1;
    }
  }

  /**
   * Whether the store has an output of this call of this conversation from before. Of calls that
   * are numbered anew in every turn the text must tell: that is the store's matter.
   */
  #isHeld(callId: string, call: string): boolean {
    if (!isRandomId(callId)) return false;
    const outputs = this.#store?.outputsOf(this.#session.chatId, callId) ?? [];
    return outputs.some(
      ({ entry, call: known }) => known === call && entry.seq <= this.#entriesBefore,
    );
  }

  /** The whole text of an output where it is to be had, else what there is of it. */
  async #textOf({ text, instead }: PastOutput): Promise<{
    readonly text: string | Uint8Array;
    readonly path?: string;
    readonly isCut: boolean;
  }> {
    const { client, ownFolders } = this.#work;
    const ends = { head: text.slice(0, endLength), tail: text.slice(-endLength) };
    const note = spillNoteOf(text, ends, ownFolders);
    if (note === undefined) return { text, isCut: isCutByClient(text, client) };
    const bytes = await readSpillFile(note, {
      maxBytes: maxSpillBytes,
      projectDirectory: this.#session.directory,
      ownFolders,
    });
    const fitting = bytes === undefined ? undefined : fittingNote(note, bytes);
    if (bytes !== undefined && fitting !== undefined) {
      const whole = fitting.added.length === 0 ? bytes : Buffer.concat([bytes, fitting.added]);
      return { text: whole, path: note.path, isCut: false };
    }
    const longer = instead !== undefined && instead.length > text.length ? instead : text;
    return { text: longer, isCut: bytes === undefined };
  }
}
