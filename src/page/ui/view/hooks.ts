import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import { fragmentOf, type PageRoute, routeOf } from '../model/route.ts';
import { AskFault } from './server-calls.ts';

/** The time, again and again while it matters. */
export function useNow(everyMs: number | undefined): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (everyMs === undefined) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** What the address says. */
export function useRoute(): PageRoute {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const read = (): void => setRoute(routeOf(location.hash));
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  return route;
}

/**
 * Goes there; the browser's own way back leads here. Who is there, and has scrolled away, is led
 * back.
 */
export function goTo(route: PageRoute): void {
  const fragment = fragmentOf(route);
  // Of the place where it is already a browser says nothing.
  if (location.hash === fragment) dispatchEvent(new HashChangeEvent('hashchange'));
  else location.hash = fragment;
}

/** Something that is asked for: not there yet, there, or refused. */
export interface Asked<Answer> {
  readonly answer?: Answer;
  readonly fault?: string;
}

/** Asks whenever `key` changes; an answer to an earlier question is let go. */
export function useAsked<Answer>(
  key: string,
  ask: (signal: AbortSignal) => Promise<Answer>,
): Asked<Answer> {
  const [asked, setAsked] = useState<Asked<Answer> & { readonly key?: string }>({});
  useEffect(() => {
    const leaving = new AbortController();
    ask(leaving.signal).then(
      (answer) => setAsked({ answer, key }),
      (error: unknown) => {
        if (!leaving.signal.aborted) setAsked({ fault: faultWords(error), key });
      },
    );
    return () => leaving.abort();
  }, [key]);
  return asked.key === key ? asked : {};
}

/** What went wrong, for people. */
export function faultWords(error: unknown): string {
  return error instanceof AskFault ? error.message : 'Something in this page went wrong.';
}

/** Size of an element's inside, pixels; 0 before it is there. */
export function useHeight(element: RefObject<HTMLElement | null>): number {
  const [height, setHeight] = useState(0);
  useEffect(() => {
    if (element.current === null) return;
    const observer = new ResizeObserver(([entry]) => setHeight(entry?.contentRect.height ?? 0));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return height;
}

/** Whether the system says so: `(prefers-color-scheme: dark)`. */
export function useMedia(query: string): boolean {
  const [media] = useState(() => matchMedia(query));
  const [matches, setMatches] = useState(media.matches);
  useEffect(() => {
    const read = (): void => setMatches(media.matches);
    media.addEventListener('change', read);
    return () => media.removeEventListener('change', read);
  }, [media]);
  return matches;
}

/** The row of a list that keys move: j, k, arrows, Home, End. */
export interface RovingRow {
  readonly row: number;
  /** For the list's element. */
  readonly onKeyDown: (event: KeyboardEvent) => void;
  /** A row got the focus by other means. */
  readonly setRow: (row: number) => void;
}

/**
 * One row of a list can be reached by Tab; keys move on from there.
 *
 * @param rows So many there are
 * @param onMove Shows the row and gives it the focus
 */
export function useRovingRow(rows: number, onMove: (row: number) => void): RovingRow {
  const [row, setRow] = useState(0);
  const present = Math.max(0, Math.min(row, rows - 1));
  const latest = useRef({ present, rows, onMove });
  latest.current = { present, rows, onMove };
  const onKeyDown = useCallback((event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const { present: at, rows: count, onMove: move } = latest.current;
    const next = rowAfterKey(event.key, at, count);
    if (next === undefined || count === 0) return;
    event.preventDefault();
    setRow(next);
    move(next);
  }, []);
  return { row: present, onKeyDown, setRow };
}

const pageRows = 10;

function rowAfterKey(key: string, row: number, rows: number): number | undefined {
  const within = (next: number): number => Math.max(0, Math.min(rows - 1, next));
  switch (key) {
    case 'j':
    case 'ArrowDown':
      return within(row + 1);
    case 'k':
    case 'ArrowUp':
      return within(row - 1);
    case 'PageDown':
      return within(row + pageRows);
    case 'PageUp':
      return within(row - pageRows);
    case 'Home':
      return within(0);
    case 'End':
      return within(rows - 1);
    default:
      return undefined;
  }
}

/** Whether keys are letters there. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches('input, select, textarea');
}
