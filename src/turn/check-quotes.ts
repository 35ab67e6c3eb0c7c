import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { SearchEngine, SearchMatch } from '../search/types.ts';
import type { SessionStore } from '../store/types.ts';
import type { LinkedStores } from '../tools/linked/linked-stores.ts';
import { lineInEntry } from '../tools/entry-lines.ts';
import { entryAt } from '../tools/filters.ts';
import { patternsOf, type Quote, QuoteFinder } from './find-quotes.ts';

/** Quotes of one answer that are looked up at most. */
export const maxQuotes = 50;

/** Time that all of them together may take, milliseconds: the answer must not wait for more. */
export const quoteTimeMs = 20;

/** So much of a quote is told, characters. */
const toldChars = 80;

/** What the store says of the quotes in an answer; a member of `usage.rlm`. */
export interface QuoteReport {
  /** Quotes whose words are in the store. */
  readonly found: number;
  /** Quotes that were looked for in all of the store and are not in it. */
  readonly not_found: number;
  /** Quotes that were not looked up to the end: there were too many, or there was no time. */
  readonly unchecked: number;
  /** Where those that were found are: the entry, and the line in it, from 1. */
  readonly places: readonly {
    readonly quote: string;
    readonly entry: string;
    readonly line: number;
    /** Set where the words are not in the entry beside which they stand, but in another one. */
    readonly named?: string;
  }[];
  /** The beginnings of those that were not found. */
  readonly missing: readonly string[];
}

/** What looking up takes. */
interface QuoteSource {
  readonly store: SessionStore;
  /** The stores that this one is linked to at the moment. */
  readonly linked?: (() => LinkedStores | undefined) | undefined;
  readonly search: SearchEngine;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Looks up the quotes of an answer in the store while the answer is written. Changes nothing of
 * it: what is found is told beside it.
 */
export class QuoteChecker {
  readonly #source: QuoteSource;
  readonly #finder = new QuoteFinder();
  readonly #seen = new Set<string>();
  readonly #places: QuoteReport['places'][number][] = [];
  readonly #missing: string[] = [];
  #usedMs = 0;
  /** One after the other, so that a long answer takes no more than one place among searches. */
  #work: Promise<void> = Promise.resolve();

  constructor(source: QuoteSource) {
    this.#source = source;
  }

  /** Takes the next piece of what the client is shown. */
  take(text: string): void {
    this.#add(this.#finder.take(text));
  }

  /**
   * After the last piece. Waits no longer than what is left of {@link quoteTimeMs}. `undefined`
   * where nothing was quoted.
   */
  async report(): Promise<QuoteReport | undefined> {
    this.#add(this.#finder.end());
    if (this.#seen.size === 0) return undefined;
    const over = Promise.withResolvers<void>();
    const leftMs = Math.max(0, quoteTimeMs - this.#usedMs);
    const stopTimer = this.#source.clock.after(leftMs, over.resolve);
    await Promise.race([this.#work, over.promise]);
    stopTimer();
    const places = [...this.#places];
    const missing = [...this.#missing];
    return {
      found: places.length,
      not_found: missing.length,
      unchecked: this.#seen.size - places.length - missing.length,
      places,
      missing,
    };
  }

  #add(quotes: readonly Quote[]): void {
    for (const quote of quotes) {
      const key = `${quote.entry ?? ''}\0${quote.text}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      if (this.#seen.size <= maxQuotes) this.#work = this.#work.then(async () => this.#look(quote));
    }
  }

  async #look(quote: Quote): Promise<void> {
    const { clock } = this.#source;
    if (this.#usedMs >= quoteTimeMs) return;
    const startedMs = clock.elapsedMs();
    try {
      const found = await this.#find(quote, startedMs);
      const told = shortened(quote.text);
      if (found === undefined) this.#missing.push(told);
      else if (found !== 'unknown') {
        const entry = entryAt(found.store.entries, found.match.offsetBytes);
        if (entry === undefined) return;
        const line = lineInEntry(entry, found.match.line);
        const isElsewhere = quote.entry !== undefined && quote.entry !== entry.id;
        const named = isElsewhere ? { named: quote.entry } : {};
        this.#places.push({ quote: told, entry: entry.id, line, ...named });
      }
    } catch (error) {
      // A turn that ends, or a store that cannot be read, leaves a quote unchecked and no more.
      if (!(error instanceof ProxyError)) throw error;
    } finally {
      this.#usedMs += clock.elapsedMs() - startedMs;
    }
  }

  /** The linked store that an entry's name is of. */
  async #linkedStoreOf(entry: string | undefined): Promise<SessionStore | undefined> {
    const name = /^([a-z0-9-]+):e\d+$/.exec(entry ?? '')?.[1];
    const linked = name === undefined ? undefined : this.#source.linked?.();
    if (name === undefined || linked?.names.includes(name) !== true) return undefined;
    const opened = await linked.open(name);
    return opened.ok ? opened.session.store : undefined;
  }

  /**
   * In the named entry, then anywhere in its store, then in the chat's own; `unknown` where a
   * search did not come to its end.
   */
  async #find(quote: Quote, startedMs: number): Promise<Found | 'unknown' | undefined> {
    const { store: own, search, clock, signal } = this.#source;
    const linked = await this.#linkedStoreOf(quote.entry);
    const store = linked ?? own;
    const named = quote.entry === undefined ? undefined : store.entry(quote.entry);
    const ranges = named && [[named.offsetBytes, named.offsetBytes + named.lengthBytes] as const];
    const places = [
      ...(ranges === undefined ? [] : [{ store, within: ranges }]),
      { store, within: undefined },
      ...(store === own ? [] : [{ store: own, within: undefined }]),
    ];
    let isComplete = true;
    for (const { store: asked, within } of places) {
      for (const pattern of patternsOf(quote.text)) {
        const deadlineMs = quoteTimeMs - this.#usedMs - (clock.elapsedMs() - startedMs);
        if (deadlineMs <= 0) return 'unknown';
        const { matches, partial } = await search.search(
          await asked.snapshot(),
          {
            pattern,
            literal: false,
            caseSensitive: true,
            maxResults: 1,
            contextLines: 0,
            order: 'newest',
            maxLineChars: toldChars,
            ranges: within,
          },
          { signal, deadlineMs, owner: this },
        );
        if (matches[0] !== undefined) return { match: matches[0], store: asked };
        isComplete &&= !partial;
      }
    }
    return isComplete ? undefined : 'unknown';
  }
}

interface Found {
  readonly match: SearchMatch;
  /** The store that it was found in. */
  readonly store: SessionStore;
}

function shortened(text: string): string {
  return text.length > toldChars ? `${text.slice(0, toldChars - 1).toWellFormed()}…` : text;
}
