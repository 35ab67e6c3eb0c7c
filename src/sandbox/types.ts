/**
 * What a program may cost. Reaching a limit ends the program with a sentence for the model; the
 * next call works.
 */
export interface SandboxLimits {
  /** Memory of one chat's variables, bytes. */
  readonly memoryBytes: number;
  /**
   * Stack of the program's own calls, bytes: 256 KB are about 2,000 nested calls. At most 256 KB is
   * safe in a 32 MB thread stack.
   */
  readonly stackBytes: number;
  /** CPU time of one call, milliseconds: waits for reads, searches and sub-calls do not count. */
  readonly computeMs: number;
  /** Code points of printed text and of the last value that come back; the middle is left out. */
  readonly maxOutputChars: number;
  /** Longest text given to `answer`, UTF-16 units. */
  readonly maxAnswerChars: number;
  /** Questions that one `llm_query_batched` may hold. */
  readonly maxQuestions: number;
  /** Most that one read may return, code points. */
  readonly maxReadChars: number;
}

/** One question of a program to a sub-model. */
export interface SandboxQuestion {
  readonly prompt: string;
  readonly text?: string;
}

/** What a sub-model said, or why it did not. */
export type SandboxReply =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly error: string };

/**
 * All that a program can reach. Everything that crosses is text or plain JSON data. An operational
 * failure is thrown as an `Error`; its message becomes an error inside the program, nothing else of
 * it does.
 */
export interface SandboxHost {
  /** Length of the context when the call began, code points. */
  readonly lengthChars: number;
  /**
   * Text at code point `offsetChars`, at most `lengthChars` long, shorter at the end. Bytes are
   * UTF-8, and handed over.
   */
  read(
    offsetChars: number,
    lengthChars: number,
    signal: AbortSignal,
  ): Promise<string | Uint8Array<ArrayBuffer>>;
  /** One entry's text, whole, by its id, its number or a path that only one has. */
  text(entry: string, signal: AbortSignal): Promise<string | Uint8Array<ArrayBuffer>>;
  /** Whole lines of the context, or of one entry, 1-based and inclusive, clamped. */
  lines(
    asked: { readonly first: number; readonly last: number; readonly entry: string | undefined },
    signal: AbortSignal,
  ): Promise<string | Uint8Array<ArrayBuffer>>;
  /** `options` is whatever the program gave: check it. The result is plain JSON data. */
  search(pattern: string, options: unknown, signal: AbortSignal): Promise<unknown>;
  /** `filter` is whatever the program gave: check it. */
  entries(filter: unknown, signal: AbortSignal): Promise<readonly unknown[]>;
  /**
   * What capture groups hold, of all occurrences. `options` is whatever the program gave: check it.
   */
  records(pattern: string, options: unknown, signal: AbortSignal): Promise<SandboxRecords>;
  /**
   * The context as it was at a moment, for the calls that read. Throws where there is no such
   * moment.
   */
  at?(moment: string): Promise<SandboxHost>;
  /**
   * Further calls by their names. Arguments are whatever the program gave: check them. Results are
   * plain JSON data.
   */
  readonly methods: Readonly<
    Record<string, (args: readonly unknown[], signal: AbortSignal) => Promise<unknown>>
  >;
  /**
   * What a linked store has, by its name. Absent where no other store can be reached. Rejects where
   * this one cannot.
   */
  of?(name: string): Promise<SandboxHost>;
  /** Asks all, side by side; replies in the order of the questions. */
  query(
    questions: readonly SandboxQuestion[],
    signal: AbortSignal,
  ): Promise<readonly SandboxReply[]>;
}

/** Records as they cross: fields in the order of the text, and what is needed to read them. */
export interface SandboxRecords {
  readonly count: number;
  /** Of the fields of a record; `null` for one without a name. */
  readonly names: readonly (string | null)[];
  /** What the last field of a record stands for, by number, where it is a label. */
  readonly labels?: readonly string[];
  /** Stands between two fields. Absent: the text is a JSON list of all fields. */
  readonly separator?: string;
  /** All fields of all records, UTF-8. Handed over. */
  readonly text: Uint8Array<ArrayBuffer>;
}

/** Remembers which variables a chat had, so that lost ones can be named after a restart. */
export interface NameRecord {
  load(): Promise<readonly string[]>;
  save(names: readonly string[]): Promise<void>;
}

/** What became of one program. Texts are for the model. */
export interface SandboxResult {
  /** What `print` wrote, in order, cut in the middle. */
  readonly output: string;
  /** The value of the last expression as text; absent when it is undefined. */
  readonly value?: string | undefined;
  /** Why the program stopped early, with line and column where known. */
  readonly error?: string | undefined;
  /** What `answer` was given last. */
  readonly answer?: string | undefined;
  /** Variables of earlier calls that no longer exist. */
  readonly lostNames: readonly string[];
  /** Set where they are gone because texts were forgotten that may have been in them. */
  readonly areForgotten?: true;
  /** Other things the model should know. */
  readonly notes: readonly string[];
  readonly work: SandboxWork;
}

/** What a program did. */
export interface SandboxWork {
  /** CPU time of the program, milliseconds. */
  readonly computeMs: number;
  readonly hostCalls: number;
  readonly subCalls: number;
  readonly charsRead: number;
}
