import type { Clock } from '../clock.ts';
import type { LiveTurns } from './live-turns.ts';
import type { PageEvent, ServerView, SessionView, TurnView } from './page-protocol.ts';

/** Sums and stores are looked at so often, milliseconds: while somebody looks at a page. */
const lookMs = 2_000;

/**
 * Stores are listed again after so long at the latest, milliseconds; sooner where a turn has been
 * told. Listing reads a little of each.
 */
const listMs = 30_000;

/**
 * What may wait for a page that does not read, code units: some thousand turns. Of more it is told
 * all there is, once it does.
 */
const maxWaitingChars = 4_000_000;

/** What pages are told of. */
export interface LiveEventsParts {
  readonly turns: LiveTurns;
  readonly clock: Clock;
  readonly server: () => ServerView;
  /** The very same list where it was not made anew since it was last asked for. */
  readonly sessions: () => Promise<readonly SessionView[]>;
}

/**
 * What `/page/events` sends, for all pages that are open: what changes is looked at and written
 * down once, however many they are. Where none is open, nothing is looked at.
 */
export class LiveEvents {
  readonly #parts: LiveEventsParts;
  readonly #pages = new Set<Outbox>();
  #server = '';
  #sessions: readonly SessionView[] = [];
  #sessionsText = '';
  #listedMs = -Infinity;
  #hasNews = false;
  #stop: (() => void) | undefined;

  constructor(parts: LiveEventsParts) {
    this.#parts = parts;
  }

  /**
   * Server-sent events with their blank line, several joined where several are ready. A page that
   * reads slowly misses what has been said again since, and no more waits for it than that.
   * @throws the signal's reason
   */
  async *open(signal: AbortSignal): AsyncGenerator<string | Uint8Array, never, void> {
    const outbox = new Outbox();
    const onAbort = (): void => outbox.ring();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#pages.add(outbox);
    try {
      if (this.#pages.size === 1) this.#begin();
      for (;;) {
        signal.throwIfAborted();
        if (outbox.hasMissed) {
          await this.#list();
          // From here to the end nothing can happen in between.
          outbox.clear();
          yield this.#hello();
        } else {
          const words = outbox.take();
          if (words === undefined) await outbox.news();
          else yield words;
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#pages.delete(outbox);
      if (this.#pages.size === 0) this.#stop?.();
    }
  }

  /** The first page is there. */
  #begin(): void {
    const { turns, clock } = this.#parts;
    const end = turns.subscribe((views) => this.#tellTurns(views));
    let cancel: (() => void) | undefined;
    const arm = (): void => {
      cancel = clock.after(lookMs, () => {
        arm();
        void this.#look();
      });
    };
    arm();
    this.#stop = () => {
      cancel?.();
      end();
      this.#stop = undefined;
    };
  }

  #tellTurns(views: readonly TurnView[]): void {
    this.#hasNews = true;
    this.#tell(new Map(views.map((turn) => [turn.id, frame({ type: 'turn', turn })])));
  }

  async #look(): Promise<void> {
    const server = frame({ type: 'server', server: this.#parts.server() });
    if (server !== this.#server) this.#tell(new Map([['server', server]]));
    this.#server = server;
    const isDue = this.#parts.clock.elapsedMs() - this.#listedMs >= listMs;
    if (isDue || this.#hasNews) await this.#list();
  }

  /** Lists the stores. Where that fails, what was known of them stays until it does not. */
  async #list(): Promise<void> {
    const hadNews = this.#hasNews;
    this.#hasNews = false;
    this.#listedMs = this.#parts.clock.elapsedMs();
    try {
      const sessions = await this.#parts.sessions();
      if (sessions === this.#sessions) {
        // It may be from before the news.
        this.#hasNews ||= hadNews;
        return;
      }
      const text = frame({ type: 'sessions', sessions });
      this.#sessions = sessions;
      if (text !== this.#sessionsText) this.#tell(new Map([['sessions', text]]));
      this.#sessionsText = text;
    } catch {
      this.#hasNews = true;
    }
  }

  #tell(texts: ReadonlyMap<string, string>): void {
    const news = new News(texts);
    for (const page of this.#pages) page.put(news);
  }

  #hello(): string {
    const { server, turns } = this.#parts;
    return frame({
      type: 'hello',
      server: server(),
      sessions: this.#sessions,
      turns: turns.turns(),
    });
  }
}

/** What all pages are told at once, each thing by its name. */
class News {
  readonly texts: ReadonlyMap<string, string>;
  #bytes: Uint8Array | undefined;

  constructor(texts: ReadonlyMap<string, string>) {
    this.texts = texts;
  }

  /** All of it, made once: most pages read everything in time. */
  get bytes(): Uint8Array {
    return (this.#bytes ??= Buffer.from([...this.texts.values()].join('')));
  }
}

/** What waits for one page: of each thing its last word. */
class Outbox {
  #news: News | undefined;
  /** Where more than one piece of news waits: what stands in all of them. */
  readonly #waiting = new Map<string, string>();
  #waitingChars = 0;
  #bell = Promise.withResolvers<void>();
  /** Whether it is to be told all there is: at first, and where too much has waited. */
  hasMissed = true;

  put(news: News): void {
    if (this.hasMissed) return;
    if (this.#news === undefined && this.#waiting.size === 0) this.#news = news;
    else {
      this.#add(this.#news);
      this.#news = undefined;
      this.#add(news);
    }
    if (this.#waitingChars > maxWaitingChars) {
      this.clear();
      this.hasMissed = true;
    }
    this.ring();
  }

  take(): string | Uint8Array | undefined {
    const waiting = this.#waiting.size === 0 ? undefined : [...this.#waiting.values()].join('');
    const words = this.#news?.bytes ?? waiting;
    this.clear();
    return words;
  }

  clear(): void {
    this.#news = undefined;
    this.#waiting.clear();
    this.#waitingChars = 0;
    this.hasMissed = false;
  }

  ring(): void {
    this.#bell.resolve();
  }

  #add(news: News | undefined): void {
    for (const [name, text] of news?.texts ?? []) {
      this.#waitingChars += text.length - (this.#waiting.get(name)?.length ?? 0);
      this.#waiting.set(name, text);
    }
  }

  /** Resolves when there is something to do. */
  async news(): Promise<void> {
    this.#bell = Promise.withResolvers<void>();
    await this.#bell.promise;
  }
}

function frame(event: PageEvent): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}
