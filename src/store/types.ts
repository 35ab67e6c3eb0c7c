import type { TextSpan } from '../base/text-spans.ts';
import type { ProxyError } from '../errors.ts';
import type { SharedSide } from './shared-side.ts';

/** What a stored text is. */
type EntryKind = 'tool_result' | 'user_text' | 'attachment' | 'file' | 'message';

/**
 * One stored text, immutable. All offsets are from the start of the session's context file; a
 * character is a Unicode code point; lines count from 1. A text that does not end in a newline is
 * followed by one in the file that belongs to no entry, so that entries never share a line.
 */
export interface Entry {
  /** `e` and the entry's number in the session, from 1: `e42`. */
  readonly id: string;
  readonly seq: number;
  readonly kind: EntryKind;
  /** Name of the client's tool, for a tool result. */
  readonly tool?: string;
  /** The call's arguments as JSON text, cut at 2,000 characters. */
  readonly args?: string;
  /** The file the text came from, where that is known. */
  readonly path?: string;
  /** The client's conversation. */
  readonly chatId?: string;
  readonly toolCallId?: string;
  /** What the call was: see {@link NewEntryFacts.call}. Absent in stores of earlier versions. */
  readonly call?: string;
  /** When the text came, milliseconds since 1970. */
  readonly timeMs: number;
  /** When it was stored, where that is another time: texts of earlier work bring their own. */
  readonly storedMs?: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly offsetChars: number;
  readonly lengthChars: number;
  /** 1-based number of the entry's first line. */
  readonly lineNumber: number;
  /** Lines of the text; a last line without newline counts. At least 1. */
  readonly lineCount: number;
  /** SHA-256 of the stored bytes, lower-case hexadecimal; empty where the text was forgotten. */
  readonly sha256: string;
  /** What was done to the original bytes on the way in (`decoded from UTF-16LE`, ...). */
  readonly note?: string;
  /**
   * What the text is and where in it to look, found when it was captured. Absent in entries of
   * earlier versions and of ingested files.
   */
  readonly outline?: EntryOutline;
  /** Set where the stored text is not the original byte for byte and the original is kept aside. */
  readonly original?: OriginalBytes;
  /** Set where the text is gone: the entry only says that there was one, and how much it was. */
  readonly forgotten?: Forgetting;
  /** Set where parts of the text are gone: as many other characters stand in their place. */
  readonly masked?: Forgetting;
  /** See {@link NewEntryFacts.standIn}. */
  readonly standIn?: string;
}

/** That, and why, a text is gone. */
export interface Forgetting {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  /**
   * `asked`: a person has asked for it. `secret`: it was taken for one. `quota`, `age`: for room.
   */
  readonly why: 'asked' | 'secret' | 'quota' | 'age';
  /**
   * Keyed hash of what the text was: the same text is not stored again. Absent where it may be.
   */
  readonly key?: string;
}

/** What kind of text an entry is, and what in it is worth opening. */
export interface EntryOutline {
  /** `log`, `test run`, `TypeScript`, …; `text` where nothing was found, or not in time. */
  readonly kind: string;
  /**
   * A few lines of at most 130 characters; what stands on a line of the entry begins with
   * `line N: `, N from 1.
   */
  readonly items: readonly string[];
}

/** Where the bytes are, of which the stored text is only a readable form. */
export interface OriginalBytes {
  /**
   * SHA-256 of the original bytes, lower-case hexadecimal; the name of the file that holds them.
   */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** `utf-16le`: a string with lone surrogates. `bytes`: broken UTF-8. */
  readonly encoding: 'utf-16le' | 'bytes';
}

/** A file as it was when it was read. */
export interface SourceFile {
  readonly sizeBytes: number;
  /** Milliseconds since 1970, with fractions as the file system gives them. */
  readonly mtimeMs: number;
}

/** What is known of a text that is to be stored. */
export interface NewEntryFacts {
  readonly kind: EntryKind;
  readonly tool?: string;
  readonly args?: string;
  readonly path?: string;
  readonly chatId?: string;
  readonly toolCallId?: string;
  /**
   * What the call was, tool and arguments, as a hash or any other short name: ids of calls may come
   * again for other calls.
   */
  readonly call?: string;
  readonly note?: string;
  readonly outline?: EntryOutline;
  /** When the text came, where that is not now. */
  readonly timeMs?: number;
  /** The file at `path` as it was read, so that {@link SessionStore.source} knows it. */
  readonly source?: SourceFile;
  /**
   * The name under which a prompt has shown the text before it had a number: `p` and a word. It
   * leads to the entry from then on, and the output is shown under it for ever.
   */
  readonly standIn?: string;
}

/**
 * A text to store, and what is known of it. `text` is a string, or UTF-8 bytes that nobody changes
 * until the promise is settled. What UTF-8 cannot hold (lone surrogates, invalid bytes) is stored
 * as U+FFFD with a note, the original beside it.
 */
export interface NewEntry extends NewEntryFacts {
  readonly text: string | Uint8Array;
}

/** Outlines of new texts, in their order. */
export type OutlinesOf = (
  texts: readonly NewEntry[],
) => Promise<readonly (EntryOutline | undefined)[]>;

/** A text to store that is too large to hold. */
export interface NewStream extends NewEntryFacts {
  /**
   * Valid UTF-8 in pieces of any length. Whatever the iteration throws is passed on, and nothing is
   * stored.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /**
   * The bytes as they came, where `chunks` is only a readable form of them. Read before `chunks`.
   */
  readonly original?: AsyncIterable<Uint8Array>;
  /** What `original` is (default `bytes`). */
  readonly originalEncoding?: OriginalBytes['encoding'];
}

/** Committed sizes of a session. */
export interface Totals {
  readonly bytes: number;
  readonly chars: number;
  readonly lines: number;
  readonly entries: number;
}

/** A range of text that was read back. */
export interface TextSlice {
  readonly text: string;
  readonly offsetChars: number;
  readonly lengthChars: number;
}

/** The beginning of a session's own journal, and of its own texts. */
export interface BaseRange {
  readonly sessionId: string;
  /** Lines behind its header, and behind its own `base` line where it has one. */
  readonly records: number;
  /** The totals behind the last of them. */
  readonly end: Totals;
}

/** When in a session's life: all that was stored up to there. */
export type Moment =
  /** Right behind the text of this number, from 1. */
  | { readonly seq: number }
  /** When the clock showed this, milliseconds since 1970. */
  | { readonly timeMs: number }
  /**
   * As it was written down of this session or of what it goes on from: the beginnings of journals,
   * the oldest first. Only how many lines they have in all is looked at, so it stays true where
   * others hold the same texts now. `takenMs` is when it was written down.
   */
  | { readonly ranges: readonly BaseRange[]; readonly takenMs?: number };

/** What a branch begins with, in words that hold for every copy of the stores it is made of. */
export interface BranchStart {
  /** The texts: beginnings of journals, the oldest first. */
  readonly ranges: readonly BaseRange[];
  /** When the last of them was stored; absent where an earlier version has written it. */
  readonly untilMs?: number | undefined;
  /** What was decided about the store that goes along. */
  readonly events: readonly StoreEvent[];
}

/** What is to be forgotten of one session's texts. */
export interface ForgetWanted {
  /** Numbers of entries that go whole. */
  readonly whole: readonly number[];
  /** Entries of which parts go. */
  readonly parts?: readonly {
    readonly seq: number;
    /** Bytes [start, end) of the text, ascending and disjoint, at borders of code points. */
    readonly ranges: readonly (readonly [number, number])[];
  }[];
  /** Entries of whose calls the arguments (or the path) hold secrets: these are masked there. */
  readonly calls?: readonly number[];
  /** Records of chats (hidden steps) in which a secret stands go, too. */
  readonly secretsInChats?: boolean;
  readonly why: Forgetting['why'];
  /** Whether the same text may be stored when it comes again. */
  readonly mayComeAgain: boolean;
  /** When it is said to have been, milliseconds since 1970; absent: now. */
  readonly timeMs?: number;
  /** Only says what would be done. */
  readonly isTrial?: boolean;
  /**
   * Only what lies in the session's own files goes: of others that is decided for each of them, so
   * that it is the same wherever it is carried out.
   */
  readonly isOwnOnly?: boolean;
  /** What was made in the session from texts of others that go. */
  readonly made?: MadeParts;
}

/** What of a session was made from texts that go. */
export interface MadeParts {
  /** Parts of its own texts that quote them. */
  readonly parts: NonNullable<ForgetWanted['parts']>;
  /** Keys of its chat memory. */
  readonly keys: readonly string[];
  /** Lines of its own journal, counted from 0, of which all is taken that was said of a call. */
  readonly lines: readonly number[];
}

/** Texts that are forgotten, for whoever holds them beside the stores. */
export interface ForgottenTexts {
  /** The sessions that read them. */
  readonly sessionIds: ReadonlySet<string>;
  /** Whether a text quotes one of them: 31 letters and digits in a row, or all of a shorter one. */
  readonly isQuoted: (text: string) => boolean;
  /** Only what came since then is to be looked at: the rest has gone. Absent: everything. */
  readonly sinceMs?: number;
  /** Nothing is to be changed, only counted. */
  readonly isTrial: boolean;
}

/** What holds texts beside the stores, and lets go of them. */
export interface TextHolder {
  /**
   * Is asked before the stores' bytes are overwritten, so that a crash leaves all of it or nothing,
   * and once more afterwards, for what came in between.
   */
  forget(texts: ForgottenTexts): Promise<HeldElsewhere>;
}

/** What was held beside the stores. */
export interface HeldElsewhere {
  /** Turns that were written down (traces), each with all that it has. */
  readonly traces?: number;
  /** Chats whose programs had variables. */
  readonly programs?: number;
}

/** What was forgotten, or would be. */
export interface ForgetOutcome {
  /** The sessions in whose files the texts lie. */
  readonly owners: readonly string[];
  /** Those that read them there. */
  readonly readers: readonly string[];
  readonly entries: number;
  readonly masked: number;
  /** Entries of whose calls something was masked, and nothing of the text. */
  readonly calls: number;
  readonly bytes: number;
  /** Hidden steps and other records of chats that were made from them. */
  readonly chatRecords: number;
  /** Other texts of whose calls (arguments, path, note) something quotes them and goes. */
  readonly quotes: number;
  /** Texts that we have made ourselves (earlier parts of chats, answers) and that quote them. */
  readonly madeTexts: number;
  /** How many of the entries are pinned: a person's forgetting goes before pins. */
  readonly pinned: number;
  /** Turns that were written down (traces) and quote them. */
  readonly traces: number;
  /** Chats of their stores whose programs have variables: these may hold them. */
  readonly programs: number;
}

/** How much text may be stored, for how long; absent: no such bound. What is gone counts not. */
export interface StoreBounds {
  /** Of one store in its own file, bytes. */
  readonly storeBytes?: number | undefined;
  /** Of all stores together, bytes. */
  readonly allBytes?: number | undefined;
  /** A text goes so long after it came last, milliseconds. */
  readonly maxAgeMs?: number | undefined;
}

/** Which texts went to keep the stores in their bounds, or would go. */
export interface TidyOutcome {
  /** Stores that had, or have, something to do with it. */
  readonly stores: readonly {
    readonly session: string;
    readonly directory?: string;
    /** Texts that went because there was too much. */
    readonly quota: number;
    /** Texts that went because they were too old. */
    readonly age: number;
    /** What all of these took, bytes. */
    readonly bytes: number;
    /** What stays, bytes. */
    readonly keptBytes: number;
    /** How much of that is pinned, bytes. */
    readonly pinnedBytes: number;
    /** It is as good as full, and nothing more in it may go. */
    readonly isFull?: true;
  }[];
  /** Each counted once, in how many files it may lie. */
  readonly texts: number;
  /** In all files. */
  readonly bytes: number;
  /** What stays in all stores together, bytes. */
  readonly keptBytes: number;
  /** All stores together are as good as full, and nothing more may go. */
  readonly isAllFull: boolean;
  /** Text that was copied to give the room back, bytes. */
  readonly copiedBytes: number;
  /** How much of it while whoever asked the store had to wait. */
  readonly closedBytes: number;
}

/** What was done last to keep the stores of a server in their bounds. */
export interface LastTidying {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly texts: number;
  readonly bytes: number;
  /** A quota is used up, and nothing more may go. */
  readonly isFull: boolean;
}

/** How much of something is stored. */
export interface EntryShare {
  count: number;
  /** Code points. */
  chars: number;
}

/** A text came under a path. */
export interface Naming {
  readonly path: string;
  readonly entry: Entry;
}

/**
 * What is kept of the entries as they come, so that nobody has to walk them all. Live and growing,
 * as {@link SessionStore.entries}.
 */
export interface EntryList {
  readonly kinds: ReadonlyMap<string, EntryShare>;
  /** Outputs by tool, with their entries, oldest first. */
  readonly tools: ReadonlyMap<string, EntryShare & { readonly entries: readonly Entry[] }>;
  /**
   * Every path that a text has come under, in the order of coming. The same entry may stand there
   * several times, under other paths.
   */
  readonly namings: readonly Naming[];
  /**
   * Entries in whose place a later one of the same kind and tool stands under each of their paths.
   */
  readonly replaced: ReadonlySet<Entry>;
  /** Whether no entry is older than the one before it. */
  readonly isInTimeOrder: boolean;
  /** Whether any text, or a part of one, was forgotten. */
  readonly hasGone: boolean;
  /** All paths of an entry, its own first: a text that came from several files is one entry. */
  pathsOf(entry: Entry): readonly string[];
  /** Entries that have come under exactly this path, the newest last. */
  underPath(path: string): readonly Entry[];
  /** What stands in a replaced entry's place now. */
  successorOf(entry: Entry): Entry | undefined;
}

/** One session's texts. Everything returned is committed; nothing uncommitted is ever visible. */
export interface SessionStore {
  readonly sessionId: string;
  /** The plain UTF-8 file. */
  readonly textPath: string;
  /** Folder for what can be made again: it may vanish at any time. */
  readonly indexDir: string;
  readonly totals: Totals;
  /**
   * Texts that are kept for good, but wait for their place in a store that machines share; absent
   * where texts have one at once.
   */
  readonly waitingTexts?: number | undefined;
  /** All entries, oldest first. A live, growing list: take `.length` once for a snapshot. */
  readonly entries: readonly Entry[];
  /** What is kept of them for whoever counts or chooses. */
  readonly list: EntryList;
  entry(id: string): Entry | undefined;
  /** The entry with exactly these bytes, if any. */
  entryByHash(sha256: string): Entry | undefined;
  /**
   * The outputs that came under this call id in a chat, oldest first, each once. Several where ids
   * are numbered anew.
   */
  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[];
  /**
   * Stores texts in order and commits them together with one data sync. A text that the session
   * already holds gives back its entry and writes nothing (a new tool_call_id is remembered for
   * it).
   * `outlinesOf` is asked, before anything is written, for the outlines of those that the session
   * does not hold yet: it must not reject, and they are committed with their texts or never.
   * @throws ProxyError `store_full`, `store_corrupt`, `internal`
   */
  append(entries: readonly NewEntry[], outlinesOf?: OutlinesOf): Promise<readonly Entry[]>;
  /**
   * Stores one text that arrives in pieces, in bounded memory. Other appends to this session go on
   * meanwhile, and wait for a few milliseconds of it at most, however long it is. A text of more
   * than 8 MiB needs its size on the disk twice until it is stored.
   * @throws ProxyError as {@link append}, and `invalid_request` where the pieces are not UTF-8
   */
  appendStream(stream: NewStream): Promise<Entry>;
  /** What was stored from the file at `path` when it was last read. */
  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined;
  /**
   * Any range by code points, clamped to what is stored and to 64 Mi code points. Microseconds at
   * any size; while the block table is being made anew the entries in question are read once.
   * Verified against checksums. @throws ProxyError `store_corrupt`
   */
  read(offsetChars: number, lengthChars: number): Promise<TextSlice>;
  /** The same range as bytes in UTF-8, where no string is wanted. */
  readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Whole lines `first` to `last` (1-based, inclusive) with their newlines, clamped as {@link
   * read}.
   */
  readLines(first: number, last: number): Promise<TextSlice>;
  /**
   * One entry's text, whole, verified against its hash. @throws ProxyError `store_corrupt`,
   * `limit_reached` above 256 MiB
   */
  readEntry(entry: Entry): Promise<string>;
  /**
   * The bytes as they came, in pieces of at most 1 MiB: the kept original where there is one, else
   * the text. Verified against the hash at the end of the iteration. @throws ProxyError
   * `store_corrupt`
   */
  readOriginal(entry: Entry): AsyncIterable<Uint8Array>;
  /** Reads all text and compares it with the journal's hashes: the entries that are damaged. */
  verify(): Promise<readonly Entry[]>;
  /**
   * The store as it was at a moment, to be read only: what has come since is not there, what was
   * forgotten since is gone there, too. Replays the journal up to there. @throws ProxyError
   * `store_corrupt`
   */
  at(moment: Moment): Promise<SessionStore>;
  /**
   * What a search needs: what is committed now. Cheap; the arrays are shared and only grow. Only
   * where the cached block table was missing or old, or where a text was stored while a large one
   * is on its way into the session, it waits until the table is whole (1.5 s for 1 GB). @throws
   * ProxyError `internal`, `shutting_down`
   */
  snapshot(): Promise<Snapshot>;
}

/**
 * A consistent view of a session's text; fits `Corpus` of `src/search/types.ts` by shape (the block
 * rule is written down there).
 */
export interface Snapshot {
  readonly sessionId: string;
  /** Where the text lies. */
  readonly spans: readonly TextSpan[];
  /** Folder for index files; a cache that may vanish at any time. */
  readonly indexDir: string;
  readonly totals: Totals;
  readonly blocks: {
    readonly count: number;
    readonly byteStart: Float64Array;
    readonly charStart: Float64Array;
    readonly lineStart: Float64Array;
    /** CRC-32 of each block but the last. */
    readonly crc: Uint32Array;
  };
  /** All entries, oldest first: the live list, which may be ahead of `totals`. */
  readonly entries: readonly Entry[];
  readonly checks: SnapshotChecks;
}

/** A stretch of text that is not what was stored. */
export interface DamagedText {
  readonly startBytes: number;
  readonly endBytes: number;
  /** The entry that it belongs to: `e42`. */
  readonly name: string;
}

/** What is known of the soundness of a snapshot's text. */
export interface SnapshotChecks {
  /**
   * By block: 0 nothing is known, 1 it is as its `crc` says, 2 there is damage in it. In shared
   * memory, so that who compares a block first does it for all; the last block is compared by
   * everyone, with `lastCrc`.
   */
  readonly states: Uint8Array;
  readonly lastCrc: number;
  /** What is not to be searched, ascending and disjoint. */
  readonly damaged: readonly DamagedText[];
  /**
   * Where entries start in blocks of state 2, from the journal: bytes, code points, line number,
   * three by three.
   */
  readonly anchors: Float64Array;
  /**
   * Looks into blocks that were read and are not as their checksums say: a snapshot that knows what
   * is damaged there.
   */
  recheck(blocks: readonly number[]): Promise<Snapshot>;
}

/** A value to be remembered. */
export interface ChatRecord {
  readonly key: string;
  readonly value: unknown;
  readonly timeMs?: number | undefined;
}

/**
 * All that the proxy must remember per chat, by key: hidden steps, decisions of the window guard,
 * snapshots. Append only; the newest value of a key wins.
 */
export interface ChatMemory {
  /** The newest value under `key`, of those at hand or read from disk. */
  get(key: string): Promise<unknown>;
  /** The same where no look at the disk is needed; undefined where one is. */
  atHand(key: string): unknown;
  has(key: string): boolean;
  /**
   * Writes JSON values and syncs once. `timeMs`: when they were put down first, where that is not
   * now, milliseconds since 1970.
   */
  put(records: readonly ChatRecord[]): Promise<void>;
}

/** Something that people have decided about a store as a whole. */
export type StoreEvent =
  /** From here on the store reads another one, too, under the name `as`. */
  | {
      readonly type: 'link';
      /** Milliseconds since 1970. */
      readonly timeMs: number;
      readonly sessionId: string;
      /** `[a-z0-9-]+`, of no other link of the store at the time. */
      readonly as: string;
      /** Of the other store at the time, so that it can be named when it is gone. */
      readonly directory?: string;
    }
  /** The link of this name is no more. */
  | { readonly type: 'unlink'; readonly timeMs: number; readonly as: string }
  /** Texts in the session's own files were forgotten. */
  | {
      readonly type: 'forget';
      readonly timeMs: number;
      readonly why: Forgetting['why'];
      /** Numbers of entries that went whole. */
      readonly whole: readonly number[];
      /** Numbers of those of which parts went. */
      readonly parts: readonly number[];
    }
  /** Texts that are not to go to make room, by number; until they are unpinned. */
  | {
      readonly type: 'pin' | 'unpin';
      readonly timeMs: number;
      readonly whole: readonly number[];
    }
  /** A moment has a name. */
  | {
      readonly type: 'snapshot';
      readonly timeMs: number;
      /** Of no other snapshot of the store. */
      readonly name: string;
      /** All that the store held. */
      readonly ranges: readonly BaseRange[];
    }
  /** The store itself has a name from here on. */
  | { readonly type: 'name'; readonly timeMs: number; readonly name: string };

/** A moment that has a name. */
export type SnapshotEvent = Extract<StoreEvent, { type: 'snapshot' }>;

/** What was decided about a store: from it its links follow by replay. */
export interface StoreEvents {
  /** All events, oldest first. A live, growing list. */
  readonly all: readonly StoreEvent[];
  /**
   * Adds one durably; where that fails, none is added. @throws ProxyError `store_full`,
   * `store_corrupt`, `internal`
   */
  add(event: StoreEvent): Promise<void>;
}

/**
 * A store that another one reads, one way: no text is copied, and nothing is ever written to it.
 */
export interface StoreLink {
  /** Its name among the links of the store that reads it. */
  readonly as: string;
  readonly sessionId: string;
  /** Its project directory when the link was made, where it had one. */
  readonly directory?: string | undefined;
  /** When the link was made, milliseconds since 1970. */
  readonly timeMs: number;
}

/** A text that once came as the output of a tool call. */
export interface StoredOutput {
  readonly entry: Entry;
  /** As in {@link NewEntryFacts.call}; absent where an earlier version wrote it. */
  readonly call?: string | undefined;
  /**
   * The text had come before, for another call: its stub says so. Written when it came or never, so
   * that a stub is the same for ever.
   */
  readonly isAgain?: true;
  /** See {@link NewEntryFacts.standIn}. */
  readonly standIn?: string | undefined;
}

/**
 * The store of one project directory: its texts, its memory, its place. Not a conversation: all
 * chats of a project share one session, and a chat is known by its id only (`Entry.chatId`).
 */
export interface Session {
  readonly id: string;
  /** The project directory, absent for a client that names none. */
  readonly directory?: string | undefined;
  readonly createdMs: number;
  readonly store: SessionStore;
  readonly memory: ChatMemory;
  readonly events: StoreEvents;
}

/** How far a full check has come. */
export interface CheckProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What a check of a session found. */
export interface SessionHealth {
  readonly entries: number;
  /** A sentence for each thing that is damaged; empty for a sound session. */
  readonly damage: readonly string[];
}

/** What could be saved of a damaged session. */
export interface Salvage {
  readonly session: Session;
  /** Entries of the new session. */
  readonly kept: number;
  /** Calls and files under which they came again. */
  readonly keptAliases: number;
  /** Old ids of entries whose text is not what was stored. */
  readonly lostEntries: readonly string[];
  /**
   * Lines of the journal that cannot be read; their texts are kept without what was known of them.
   */
  readonly lostRecords: number;
}

/** What there is to say of where a session lies. */
export interface ListedPlace {
  /** The directory that it had before it was moved. */
  readonly formerly?: string;
  /** Its directory was seen on this machine and is not there any more. */
  readonly isGone?: boolean;
  /**
   * Another session of what git says is the same project: one that is there (`copy`), one that is
   * not there any more (`moved`), or its main tree's (`worktree`).
   */
  readonly looksLike?:
    | {
        readonly session: string;
        readonly directory: string;
        readonly as: 'copy' | 'moved' | 'worktree';
      }
    | undefined;
}

/** A session has another directory. */
export interface MovedSession {
  readonly session: string;
  /** The directory that it had, if it had one. */
  readonly from?: string;
  /** As it is named now: links resolved. */
  readonly to: string;
  readonly entries: number;
  /** The session that `to` had, which is now known by its id alone. */
  readonly putAside?: string;
  /** The session that `to` had, which held nothing and is deleted. */
  readonly removed?: string;
}

/** How far an export or an import is. */
export interface ArchiveProgress extends CheckProgress {
  /** Every hash is compared before a store is exported, and after one was unpacked. */
  readonly doing: 'check' | 'pack' | 'unpack';
}

/** A piece of an archive, or only a word of how far it is. */
export interface ArchivePiece extends ArchiveProgress {
  readonly bytes?: Uint8Array;
}

/** A store that was exported or imported. */
export interface ArchivedStore {
  readonly session: string;
  readonly directory?: string;
  /** `base`: only what branches among the others read from it. */
  readonly role: 'store' | 'base';
  /** Texts that are read through it. */
  readonly entries: number;
}

/** What an archive holds. */
export interface ExportReport {
  readonly sessions: readonly ArchivedStore[];
  /** Of all files in it, before they were compressed. */
  readonly textBytes: number;
  readonly archiveBytes: number;
}

/** Where imported stores go. */
export interface ImportOptions {
  /** The directory of the one store that the archive holds. */
  readonly as?: string | undefined;
  /** What directories are called here; the longest that a directory lies in counts. */
  readonly map?: readonly { readonly from: string; readonly to: string }[] | undefined;
  /** A store whose directory has one already gets none; else the import is refused. */
  readonly unnamed?: boolean | undefined;
  /** Whether an archive may unpack to more than a thousand times its size. */
  readonly anySize?: boolean | undefined;
}

/** What an import has brought. */
export interface ImportReport {
  readonly sessions: readonly (ArchivedStore & {
    /** Its id in the archive. */
    readonly from: string;
  })[];
  readonly textBytes: number;
}

/** The data directory: finds and opens sessions. One process at a time writes (owner lock). */
export interface Sessions {
  /**
   * Why nothing can be stored at present, where that is known: the disk was full or read-only when
   * the server started.
   */
  readonly fault?: ProxyError | undefined;
  /** What there is beside, where machines share the stores; absent where they do not. */
  readonly shared?: SharedSide | undefined;
  /**
   * Says that a request has come, before its body has: where others write to the same stores, what
   * they have written till now is there when a session is found.
   */
  arriving?(): void;
  /**
   * What is remembered beside all sessions: which project a chat belongs to, and by which answers
   * one without a name is known again.
   */
  readonly chats: ChatMemory;
  /**
   * The session of a project directory, made on first use when `create` is set. The directory need
   * not exist on this machine. One that was renamed here has the session that it had before.
   * @param options.part A folder of the project: another name of its session from then on, unless
   * it has one of its own
   * @param options.project What the request calls its project, where stores are shared
   */
  forDirectory(
    directory: string,
    options: {
      readonly create: boolean;
      readonly part?: string;
      readonly project?: string | undefined;
    },
  ): Promise<Session | undefined>;
  /** The session of a project by its name, where stores are shared; absent where they are not. */
  readonly forProject?:
    | ((project: string, options: { readonly create: boolean }) => Promise<Session | undefined>)
    | undefined;
  /**
   * @throws ProxyError `unknown_session` for an id that does not exist or is not a session id
   * (`../`, …).
   */
  byId(sessionId: string): Promise<Session>;
  /**
   * The session of a conversation without a directory, found by a key and kept in the directory map
   * as `key:<key>`.
   */
  forKey(key: string, options: { readonly create: boolean }): Promise<Session | undefined>;
  list(): Promise<
    readonly (ListedPlace & {
      readonly id: string;
      readonly directory?: string;
      readonly totals: Totals;
      readonly createdMs: number;
      readonly updatedMs: number;
      /** What it goes on from, where it is a branch. */
      readonly bases?: readonly BaseRange[];
      /**
       * Whose texts it holds a copy of, where it is only there to be read by branches: no chat and
       * no command uses it otherwise.
       */
      readonly copyOf?: readonly BaseRange[];
      /** The directory that it had until another session was restored in its place. */
      readonly earlierDirectory?: string;
      /** Why the session cannot be opened, where that is known without opening it. */
      readonly damage?: string;
      /** The other stores that it reads, oldest link first; absent where there is none. */
      readonly links?: readonly StoreLink[];
    })[]
  >;
  /**
   * Compares a session with its checksums, but for text that was compared before and whose file is
   * the same since; never throws because of damage. @throws ProxyError `unknown_session`
   */
  check(sessionId: string): Promise<SessionHealth>;
  /** The same with every hash there is, whatever is known; yields how far it is. */
  checkDeeply(sessionId: string): AsyncGenerator<CheckProgress, SessionHealth>;
  /**
   * Copies what is sound in a damaged session to a new one, which then takes over its directory,
   * all at once: until then the directory keeps the old one, and what an attempt has left that did
   * not come to its end is thrown away by the next. Who asks for the directory meanwhile waits. The
   * damaged one stays under its id, unchanged, until it is removed. Of a branch what is sound in
   * its bases is copied, too, and those stay as they are. Its links are taken over, and that texts
   * were forgotten; what chats remembered is not: it names entries by their old ids. @throws
   * ProxyError `unknown_session`, `store_full`
   */
  salvage(sessionId: string): Promise<Salvage>;
  /**
   * Gives a session another directory, which need not be on this machine; texts stay where they
   * are. A session that this directory has is deleted if it holds no text; else it is put aside
   * with `replace`, and without that the call is refused.
   * @throws ProxyError `unknown_session`, `invalid_request`
   */
  move(
    sessionId: string,
    directory: string,
    options: { readonly replace: boolean },
  ): Promise<MovedSession>;
  /**
   * Gives what a session holds now a name. @throws ProxyError `unknown_session`, `invalid_request`
   * where the session has that name already, `store_full`
   */
  nameMoment(sessionId: string, name: string): Promise<SnapshotEvent>;
  /**
   * Makes a store that goes on from what another held at a moment (now, where none is given),
   * without copying its text. Its links go along, and the snapshots of up to there. No directory
   * has it until {@link restore}. `name` is its own.
   * @throws ProxyError `unknown_session`, `store_full`, `store_corrupt`
   */
  branch(sessionId: string, moment?: Moment, name?: string): Promise<Session>;
  /**
   * Gives the directory of a session to another: its next turn finds that one. The first stays as
   * it is, under its id. @throws ProxyError `unknown_session`
   */
  restore(fromId: string, toId: string): Promise<void>;
  /**
   * Overwrites texts, or parts of them, in every session that reads or copies the same bytes, with
   * what was made from them; the entries keep their places, and say that they are gone. Whatever
   * happens in the middle of it, it is carried out when the data directory is opened next. @throws
   * ProxyError `unknown_session`, `store_full`, `store_corrupt`
   */
  forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome>;
  /**
   * Has texts go, as far as the bounds ask for it: what is too old, then the oldest; with `isTrial`
   * only says which. Pinned ones stay, and those that came within the last hour. @throws ProxyError
   * as {@link forget}
   */
  tidy(options: { readonly isTrial: boolean }): Promise<TidyOutcome>;
  /** What was done last in the background to keep the bounds, if anything was. */
  readonly lastTidying?: LastTidying | undefined;
  /** Sessions whose files are open, or are being opened. */
  readonly openCount: number;
  /** The bounds that hold. */
  readonly bounds: StoreBounds;
  /** Lets a text come again that was forgotten; false where it may already. */
  allowAgain(sessionId: string, seq: number): Promise<boolean>;
  /**
   * Stores as one archive (`docs/design/archive.md`), as they are when it begins, with whatever
   * their branches read from others; each is checked first. Holds a few megabytes; chats go on.
   * Yields the archive's pieces.
   * @throws ProxyError `unknown_session`, `store_corrupt`; `too_busy` where texts were forgotten
   * meanwhile
   */
  export(sessionIds: readonly string[]): AsyncGenerator<ArchivePiece, ExportReport>;
  /**
   * Brings in the stores of an archive, all or nothing: it is unpacked beside the others, verified
   * whole, and then there at once. A store keeps its id where that is free; never is anything
   * overwritten. Yields how far it is. @throws ProxyError `invalid_request` where the archive is
   * damaged or a directory has a store already, `store_newer`, `store_full`
   */
  import(
    packed: AsyncIterable<Uint8Array>,
    options: ImportOptions,
  ): AsyncGenerator<ArchiveProgress, ImportReport>;
  /** The sessions that read texts of this one: its branches, and theirs. */
  branchesOf(sessionId: string): Promise<readonly string[]>;
  /**
   * Deletes a session with all its files. What becomes of its branches: without them nothing is
   * deleted while there are any (`keep`); they are deleted, too (`remove`); or they get copies of
   * the texts that they read from it (`detach`). @throws ProxyError `unknown_session`,
   * `invalid_request` that names the branches
   */
  remove(sessionId: string, branches?: 'keep' | 'remove' | 'detach'): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
