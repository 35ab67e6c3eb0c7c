import type { PageEvent, TurnView } from '../../src/page/page-protocol.ts';
import type { PageVisitor } from './page-visitor.ts';

/** An open page: what it has been told, event by event. */
export interface PageEars {
  /** The next event; undefined at the end. */
  readonly next: () => Promise<PageEvent | undefined>;
  /** All that it was told so far. */
  readonly told: readonly PageEvent[];
  /** The first event from here on that is so. @throws Error where there is none */
  readonly when: (is: (event: PageEvent) => boolean) => Promise<PageEvent>;
  /** The first turn from here on, greeting included, that is so. */
  readonly turn: (is: (turn: TurnView) => boolean) => Promise<TurnView>;
  readonly leave: () => void;
}

/** Opens `/page/events` as a browser does. @throws Error where it is refused, with the status */
export async function openEvents(origin: string, { cookie }: PageVisitor): Promise<PageEars> {
  const controller = new AbortController();
  const { signal } = controller;
  const response = await fetch(`${origin}/page/events`, { headers: { cookie }, signal });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const told: PageEvent[] = [];
  let rest = '';
  const next: PageEars['next'] = async () => {
    for (;;) {
      const end = rest.indexOf('\n\n');
      if (end >= 0) {
        const frame = rest.slice(0, end);
        rest = rest.slice(end + 2);
        // Anything else is a comment.
        if (!frame.startsWith('data: ')) continue;
        const event = JSON.parse(frame.slice(6)) as PageEvent;
        told.push(event);
        return event;
      }
      const { value, done } = await reader.read();
      if (done) return undefined;
      rest += value;
    }
  };
  const when: PageEars['when'] = async (is) => {
    for (let event = await next(); event !== undefined; event = await next())
      if (is(event)) return event;
    throw new Error('the page was told nothing like it');
  };
  return {
    next,
    told,
    when,
    turn: async (is) => {
      const event = await when((one) => turnsIn(one).some(is));
      return turnsIn(event).find(is)!;
    },
    leave: () => controller.abort(),
  };
}

/** The turns that an event tells of. */
export function turnsIn(event: PageEvent): readonly TurnView[] {
  if (event.type === 'turn') return [event.turn];
  return event.type === 'hello' ? event.turns : [];
}
