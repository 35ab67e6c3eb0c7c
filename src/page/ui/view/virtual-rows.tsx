import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import {
  boxPx,
  type Extent,
  type Position,
  type RowWindow,
  rowWindow,
  scrolled,
  settled,
  showing,
} from '../model/scroll.ts';
import { useHeight } from './hooks.ts';

/** A row to be shown; a new object shows it again. */
export interface RowToShow {
  readonly row: number;
  readonly place: 'middle' | 'edge';
  /** Its link, or what else is in it, gets the focus. */
  readonly focus?: boolean;
}

/** How a long list is shown. */
export interface VirtualRowsProps {
  readonly rows: number;
  /** Height of each row, CSS pixels. */
  readonly rowPx: number;
  readonly label: string;
  readonly className: string;
  /** Its box itself can be reached by Tab: for text, which has nothing else to reach. */
  readonly isFocusable?: boolean;
  readonly show?: RowToShow | undefined;
  /** Rows that are looked at: what is missing of them can be asked for. */
  readonly onWindow: (first: number, end: number) => void;
  readonly onKeyDown?: (event: KeyboardEvent) => void;
  readonly children: (row: number) => ComponentChildren;
}

/** A list of any length, of which only the rows that are seen are there. */
export function VirtualRows(props: VirtualRowsProps) {
  const { rows, rowPx, show, onWindow, children } = props;
  const box = useRef<HTMLDivElement>(null);
  const viewPx = useHeight(box);
  const extent: Extent = { rows, rowPx, viewPx };
  const [position, setPosition] = useState<Position>({ boxTopPx: 0, topPx: 0 });
  const latest = useRef({ extent, position });
  latest.current = { extent, position };

  const move = useCallback((next: Position) => {
    latest.current.position = next;
    setPosition(next);
  }, []);
  const onScroll = useCallback(() => {
    const boxTopPx = box.current?.scrollTop ?? 0;
    const { position: before, extent: all } = latest.current;
    if (Math.abs(boxTopPx - before.boxTopPx) >= 1) move(scrolled(before, boxTopPx, all));
  }, []);
  const onScrollEnd = useCallback(() => {
    const { position: before, extent: all } = latest.current;
    const next = settled(before, all);
    if (Math.abs(next.boxTopPx - before.boxTopPx) >= 1) move(next);
  }, []);
  useEffect(() => {
    const element = box.current;
    element?.addEventListener('scrollend', onScrollEnd);
    return () => element?.removeEventListener('scrollend', onScrollEnd);
  }, []);
  useLayoutEffect(() => {
    // Where we have moved, and not the browser.
    if (box.current !== null && Math.abs(box.current.scrollTop - position.boxTopPx) >= 1)
      box.current.scrollTop = position.boxTopPx;
  }, [position]);

  const focusRow = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    if (show === undefined || viewPx === 0 || rows === 0) return;
    const { position: before, extent: all } = latest.current;
    move(showing(before, Math.min(show.row, rows - 1), { extent: all, place: show.place }));
    if (show.focus === true) focusRow.current = show.row;
  }, [show, viewPx === 0, rows === 0]);

  const seen: RowWindow = rowWindow(position, extent);
  useEffect(() => onWindow(seen.first, seen.end), [seen.first, seen.end, onWindow]);
  useEffect(() => {
    const row = focusRow.current;
    if (row === undefined) return;
    const target = box.current?.querySelector<HTMLElement>(`[data-row="${row}"]`);
    if (target === null || target === undefined) return;
    focusRow.current = undefined;
    target.focus({ preventScroll: true });
  });

  const numbers = Array.from({ length: seen.end - seen.first }, (_, index) => seen.first + index);
  return (
    // The list is as long as it says; a reader that moves through it scrolls it.
    <div
      ref={box}
      class={`rows ${props.className}`}
      {...(props.isFocusable === true
        ? { tabIndex: 0, role: 'region', 'aria-label': props.label }
        : {})}
      onScroll={onScroll}
      onKeyDown={props.onKeyDown}
    >
      <div class="rows-box" style={{ height: `${boxPx(extent)}px` }}>
        <ol
          aria-label={props.label}
          style={{ transform: `translateY(${seen.offsetPx}px)` }}
          // Lists without bullets are lists all the same.
          role="list"
        >
          {numbers.map((row) => (
            <li
              key={row}
              aria-setsize={rows}
              aria-posinset={row + 1}
              style={{ height: `${rowPx}px` }}
            >
              {children(row)}
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}
