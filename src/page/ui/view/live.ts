import { codeIn } from '../model/route.ts';
import { afterEvent, type LiveEvent, type LiveState, nothingYet } from '../model/live-state.ts';
import type { PageEvent } from '../../page-protocol.ts';
import { AskFault, askSessions, handInCode } from './server-calls.ts';

/** After a connection was refused, so long until the next try, milliseconds. */
const retryMs = 3_000;

const usedUp = 'This link has been used already, or is older than a minute. Ask for another one.';

/** What the server tells, for as long as the page is open. */
export class Live {
  #state: LiveState = nothingYet;
  #events: EventSource | undefined;
  readonly #watchers = new Set<() => void>();

  get state(): LiveState {
    return this.#state;
  }

  /** @returns What ends it */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Hands in the code of the address, if there is one, takes it out of there, and listens. */
  async open(): Promise<void> {
    const code = codeIn(location.hash);
    if (code !== undefined) {
      // Before anything else: nobody is to find it in the history, or to send it on.
      history.replaceState(undefined, '', '/');
      try {
        if (!(await handInCode(code))) return this.#lock(usedUp);
      } catch (error) {
        // A page that is in already stays so.
        if (error instanceof AskFault && error.status !== undefined)
          return this.#lock(error.message);
      }
    }
    this.#listen();
  }

  /** Asks again, where we were not let in: another tab may have the cookie by now. */
  tryAgain(): void {
    if (this.#state.connection === 'locked') void this.#askWhy(0);
  }

  #listen(): void {
    this.#events?.close();
    const events = new EventSource('/page/events');
    this.#events = events;
    events.addEventListener('message', ({ data }: MessageEvent<string>) => {
      this.#take(JSON.parse(data) as PageEvent);
    });
    events.addEventListener('error', () => {
      if (this.#events !== events) return;
      if (this.#state.connection !== 'locked')
        this.#take({ type: 'connection', connection: 'lost' });
      // Else the browser tries again by itself.
      if (events.readyState === EventSource.CLOSED) void this.#askWhy(retryMs);
    });
  }

  /**
   * An event source does not tell why it was refused.
   * @param pauseMs Where we are let in it was something else, such as too many pages: then it is
   * tried again after so long
   */
  async #askWhy(pauseMs: number): Promise<void> {
    try {
      await askSessions();
      setTimeout(() => this.#listen(), pauseMs);
    } catch (error) {
      if (error instanceof AskFault && (error.status === 401 || error.status === 403)) this.#lock();
      else setTimeout(() => void this.#askWhy(pauseMs), retryMs);
    }
  }

  #lock(refusal?: string): void {
    this.#events?.close();
    this.#events = undefined;
    this.#take({
      type: 'connection',
      connection: 'locked',
      ...(refusal === undefined ? {} : { refusal }),
    });
  }

  #take(event: LiveEvent): void {
    this.#state = afterEvent(this.#state, event);
    for (const watch of this.#watchers) watch();
  }
}
