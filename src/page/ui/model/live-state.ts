import type { PageEvent, ServerView, SessionView, TurnView } from '../../page-protocol.ts';

/**
 * How the page and the server stand. `locked`: it wants the link first. `lost`: it was there, and
 * does not answer.
 */
export type Connection = 'opening' | 'live' | 'lost' | 'locked';

/** What the page knows of the server: all of it came by events. */
export interface LiveState {
  readonly connection: Connection;
  readonly server?: ServerView;
  readonly sessions: readonly SessionView[];
  /** In the order in which they began. */
  readonly turns: readonly TurnView[];
  /** Why there is no way in, where something was tried. */
  readonly refusal?: string;
}

/** Something that happened: the server's words, or how the connection stands. */
export type LiveEvent =
  | PageEvent
  | { readonly type: 'connection'; readonly connection: Connection; readonly refusal?: string };

/** Turns that are kept: as many as the server keeps, so an open page shows what a new one does. */
export const maxTurns = 500;

/** Before the first word. */
export const nothingYet: LiveState = { connection: 'opening', sessions: [], turns: [] };

/** What is known after an event. A state is never changed. */
export function afterEvent(state: LiveState, event: LiveEvent): LiveState {
  switch (event.type) {
    case 'connection': {
      if (event.connection === 'locked') {
        // Whoever is not the owner, or no longer, sees nothing of what was shown before.
        const { refusal } = event;
        return {
          ...nothingYet,
          connection: 'locked',
          ...(refusal === undefined ? {} : { refusal }),
        };
      }
      return { ...state, connection: event.connection };
    }
    case 'hello': {
      const { server, sessions, turns } = event;
      return { connection: 'live', server, sessions, turns: bounded(turns) };
    }
    case 'server':
      return { ...state, server: event.server };
    case 'sessions':
      return { ...state, sessions: event.sessions };
    case 'turn':
      return { ...state, turns: withTurn(state.turns, event.turn) };
    default:
      // A newer server may tell more than this page knows.
      return state;
  }
}

function withTurn(turns: readonly TurnView[], turn: TurnView): readonly TurnView[] {
  const at = turns.findLastIndex(({ id }) => id === turn.id);
  return at === -1 ? bounded([...turns, turn]) : turns.with(at, turn);
}

/** Without the oldest ones that have ended. */
function bounded(turns: readonly TurnView[]): readonly TurnView[] {
  let tooMany = turns.length - maxTurns;
  if (tooMany <= 0) return turns;
  return turns.filter(({ state }) => {
    if (tooMany <= 0 || state === 'running') return true;
    tooMany -= 1;
    return false;
  });
}
