/**
 * What the page asks the server, and what it is told: the one file that both sides share. Types
 * only, so that neither loads the other. Everything is read-only; times are milliseconds since 1970
 * where they end in `AtMs`, else milliseconds since the turn began.
 *
 * ```
 * GET  /                                            the page, the same for everybody
 * POST /page/login           {"code"}               the one-time code for a cookie: 204, or 401
 * GET  /page/assets/{file}                          scripts and styles; hold nothing of anybody
 * GET  /page/events                                 server-sent events, see PageEvent
 * GET  /page/sessions                               SessionView[]
 * GET  /page/sessions/{id}/entries?from&count       EntriesPage
 * GET  /page/sessions/{id}/entries/{entry}          EntryDetail
 * GET  /page/sessions/{id}/entries/{entry}/lines?from&count   LinesPage
 * GET  /page/sessions/{id}/search?query&from&count&regex&caseSensitive    SearchPage
 * ```
 *
 * The page itself is built into `dist/page/ui`: `index.html`, and `assets/`, whose names carry
 * hashes. It holds nothing of anybody; where it is answered 401, it says how to get in and nothing
 * else.
 *
 * The link that `rlm-opencode open` prints is `/#code=…`: what stands behind `#` is never sent by a
 * browser, so the code is in no log and no `referer`; the page posts it. A refusal has OpenAI's
 * shape, as everywhere.
 */

/** Where a turn is. `aborted`: the client has left, or the server stops. */
type TurnPhase = 'running' | 'done' | 'failed' | 'aborted';

/** One request of a client to its answer, as far as it is. */
export interface TurnView {
  /** That of the request, as in the log and in `x-request-id`. */
  readonly id: string;
  readonly startedAtMs: number;
  readonly state: TurnPhase;
  /** How long it took, or has taken when this was sent. */
  readonly elapsedMs: number;
  /** The client's name, as far as it is known. */
  readonly client?: string;
  readonly directory?: string;
  /** Id of the store; absent where the turn has none. */
  readonly session?: string;
  /** Names the conversation within its store; the same for all turns of one. */
  readonly chat?: string;
  /** Provider and model. */
  readonly model?: string;
  /** What of our tools the model is offered. */
  readonly tools: 'none' | 'dormant' | 'active';
  readonly steps: readonly StepView[];
  /** Texts that this turn has moved into the store. */
  readonly storedTexts: number;
  /** Times that older material was moved out of the prompt in this turn: 0 or 1 as a rule. */
  readonly demotions: number;
  /** What the upstream has counted, summed over the steps that have ended. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Of the step with the largest prompt: what the chart of prompts shows. */
  readonly largestPromptTokens: number;
  /** What the client's own history would have cost once, sent as it came. An estimate. */
  readonly estimatedPromptTokensWithout: number;
  /** Why it failed, in the words that the client got. */
  readonly error?: string;
  /** The limit at which the turn was ended, in words. */
  readonly limit?: string;
}

/** One completion of the upstream. */
export interface StepView {
  readonly startedMs: number;
  /** When its first chunk came. */
  readonly firstChunkMs?: number;
  readonly endedMs?: number;
  /** JSON of the request, bytes. */
  readonly sentBytes: number;
  readonly promptTokens?: number;
  readonly cachedTokens?: number;
  readonly completionTokens?: number;
  /** Calls of our tools: where there are any, the client does not see this step. */
  readonly calls: readonly CallView[];
}

/** A call of one of our tools. */
export interface CallView {
  /** Such as `rlm_search`. */
  readonly name: string;
  /** What it does, in a few words: `searching 60M characters for "x"`. */
  readonly words: string;
  readonly startedMs: number;
  readonly endedMs?: number;
  /** Length of the result, code units. */
  readonly resultChars?: number;
  /** What it has told on its way, newest last, at most 20: searches of a program, slices read. */
  readonly reports: readonly string[];
  /** Questions put to a sub-model so far. */
  readonly subCalls: number;
}

/** Sums since the server was started. */
export interface TotalsView {
  readonly turns: number;
  readonly steps: number;
  readonly toolCalls: number;
  readonly storedTexts: number;
  /** JSON of all requests sent upstream, bytes. */
  readonly upstreamBytes: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly estimatedTokensWithout: number;
  readonly demotions: number;
}

/** The server. */
export interface ServerView {
  readonly version: string;
  readonly startedAtMs: number;
  readonly status: 'ok' | 'degraded';
  /** What is wrong, where it is degraded. */
  readonly fault?: string;
  readonly upstreams: readonly string[];
  readonly totals: TotalsView;
}

/** The store of a project. */
export interface SessionView {
  readonly id: string;
  readonly directory?: string;
  /** The project's name in a shared store. */
  readonly project?: string;
  readonly entries: number;
  /** Code points. */
  readonly chars: number;
  /** On disk: text, index and all else. */
  readonly bytes: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Why it cannot be read, if so. */
  readonly damage?: string;
}

/** One line of a list of entries. Newest first. */
export interface EntryView {
  /** `e42`. */
  readonly id: string;
  readonly kind: string;
  /** A path, a command, a question: text of anybody. */
  readonly title: string;
  readonly chars: number;
  readonly lines: number;
  readonly addedAtMs: number;
  /** Set where its text was forgotten: when, and why. */
  readonly forgotten?: string;
}

/** Entries `from` to `from + entries.length` of `total`, newest first. */
export interface EntriesPage {
  readonly total: number;
  readonly from: number;
  readonly entries: readonly EntryView[];
}

/** One entry. */
export interface EntryDetail extends EntryView {
  /**
   * What the text is made of, in no order: `line` counts from 1, and is absent where something is
   * said of the whole. Empty where nothing is known of it.
   */
  readonly outline: readonly { readonly line?: number; readonly text: string }[];
  readonly outlineKind?: string;
}

/**
 * Lines `from` (counted from 1) to `from + lines.length` of an entry. A line longer than 2,000 code
 * units is cut; `cutLines` names it. At most 1,000 lines a page.
 */
export interface LinesPage {
  readonly from: number;
  readonly total: number;
  readonly lines: readonly string[];
  readonly cutLines: readonly number[];
}

/** What a search has found. */
export interface SearchPage {
  /** Of all hits where `isExact`, else at least so many. */
  readonly total: number;
  readonly isExact: boolean;
  /** How long the search took. */
  readonly tookMs: number;
  /** What is to be said of it: a zero, a partial answer, a stale text. */
  readonly notes: readonly string[];
  readonly from: number;
  readonly hits: readonly HitView[];
}

/** One hit: a line of an entry, with what is around it. */
export interface HitView {
  readonly entry: EntryView;
  /** Of the entry, counted from 1. */
  readonly line: number;
  readonly before: readonly string[];
  /** Some hundred characters around the hit where its line is longer; ends in `…` then. */
  readonly text: string;
  /** Where in `text` the hits are, code units: `[start, end)`. */
  readonly marks: readonly (readonly [number, number])[];
  readonly after: readonly string[];
}

/**
 * What `/page/events` sends, one JSON object a message: first `hello`, then what changes. A turn is
 * sent whole each time it changes, at most four times a second.
 */
export type PageEvent =
  | {
      readonly type: 'hello';
      readonly server: ServerView;
      readonly sessions: readonly SessionView[];
      /** Running ones and the last 500 that ended, oldest first. */
      readonly turns: readonly TurnView[];
    }
  | { readonly type: 'turn'; readonly turn: TurnView }
  | { readonly type: 'server'; readonly server: ServerView }
  | { readonly type: 'sessions'; readonly sessions: readonly SessionView[] };
