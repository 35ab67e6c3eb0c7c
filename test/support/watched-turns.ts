import { LiveTurns } from '../../src/page/live-turns.ts';
import type { TurnWatch } from '../../src/turn/turn-watch.ts';
import { ManualClock } from './manual-clock.ts';

/** Turns that the owner's page is told of, and a clock that stands still. */
export function watchedTurns(): {
  readonly clock: ManualClock;
  readonly turns: LiveTurns;
  /** A turn begins; it is broken off by the controller. */
  readonly begin: (requestId: string, controller?: AbortController) => TurnWatch;
} {
  const clock = new ManualClock();
  const turns = new LiveTurns(clock);
  const begin = (requestId: string, controller = new AbortController()): TurnWatch => {
    const watch = turns.begin({ requestId, signal: controller.signal });
    if (watch === undefined)
      throw new Error(`no more turns are watched than there are: ${requestId}`);
    return watch;
  };
  return { clock, turns, begin };
}
