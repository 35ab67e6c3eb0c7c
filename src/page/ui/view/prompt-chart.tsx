import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import UPlot from 'uplot';
import type { TurnView } from '../../page-protocol.ts';
import { countOf, countText, roundCountText } from '../model/figures-text.ts';
import {
  chartSentence,
  chatChoices,
  promptPoints,
  type PromptPoint,
} from '../model/prompt-history.ts';
import { useMedia } from './hooks.ts';

const heightPx = 200;

/** Prompt tokens of each turn, of one chat or of all, with the turns that made the prompt smaller. */
export function PromptChart({ turns }: { readonly turns: readonly TurnView[] }) {
  const [chat, setChat] = useState('');
  const choices = useMemo(() => chatChoices(turns), [turns]);
  const isThere = choices.some((choice) => choice.chat === chat);
  const points = useMemo(
    () => promptPoints(turns, isThere ? chat : undefined),
    [turns, chat, isThere],
  );
  return (
    <section aria-labelledby="chart">
      <div class="section-head">
        <h2 id="chart">Prompt of each turn</h2>
        {choices.length > 1 && (
          <select
            aria-label="Chat to be shown"
            value={isThere ? chat : ''}
            onChange={({ currentTarget }) => setChat(currentTarget.value)}
          >
            <option value="">all {countText(choices.length)} chats</option>
            {choices.map((choice) => (
              <option key={choice.chat} value={choice.chat}>
                {choice.name}, {countOf(choice.turns, 'turn')}, last at{' '}
                {new Date(choice.lastAtMs).toLocaleTimeString()}
              </option>
            ))}
          </select>
        )}
      </div>
      {points.length === 0 ? (
        <p class="empty">
          Here a line grows with each turn: how many tokens its largest prompt had, and where older
          material was moved out of it.
        </p>
      ) : (
        <Drawn points={points} />
      )}
    </section>
  );
}

function Drawn({ points }: { readonly points: readonly PromptPoint[] }) {
  const [pointed, setPointed] = useState<number>();
  const point = pointed === undefined ? undefined : points[pointed];
  return (
    <figure class="chart">
      <Plot points={points} onPoint={setPointed} />
      <figcaption>
        <span aria-hidden="true">
          {point === undefined ? (
            <>
              <span class="key-line" /> tokens of the largest prompt <span class="key-dot" /> older
              material was moved out
            </>
          ) : (
            <>
              turn {countText((pointed ?? 0) + 1)} · {new Date(point.atMs).toLocaleTimeString()} ·{' '}
              <strong>{countText(point.tokens)} tokens</strong>
              {point.hasDemotion && ' · older material was moved out'}
            </>
          )}
        </span>
        <span class="visually-hidden">{chartSentence(points)}</span>
      </figcaption>
      <details class="as-table">
        <summary>As a table</summary>
        {/* A table that scrolls can be scrolled by keys. */}
        <div
          class="table-box"
          tabIndex={0}
          role="region"
          aria-label="Prompt of each turn, as a table"
        >
          <table>
            <thead>
              <tr>
                <th scope="col">turn</th>
                <th scope="col">began</th>
                <th scope="col" class="number">
                  prompt tokens
                </th>
                <th scope="col">moved out</th>
              </tr>
            </thead>
            <tbody>
              {points
                .map(({ id, atMs, tokens, hasDemotion }, index) => (
                  <tr key={id}>
                    <th scope="row">{countText(index + 1)}</th>
                    <td>{new Date(atMs).toLocaleString()}</td>
                    <td class="number">{countText(tokens)}</td>
                    <td>{hasDemotion ? 'yes' : 'no'}</td>
                  </tr>
                ))
                .reverse()}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function Plot({
  points,
  onPoint,
}: {
  readonly points: readonly PromptPoint[];
  readonly onPoint: (index: number | undefined) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const isDark = useMedia('(prefers-color-scheme: dark)');
  const data = useMemo(() => dataOf(points), [points]);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new UPlot(optionsOf(element, onPoint), data, element);
    plot.current = made;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) made.setSize({ width: entry.contentRect.width, height: heightPx });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // Its colours are read once.
  }, [isDark]);
  useEffect(() => plot.current?.setData(data), [data]);
  return <div class="plot" ref={box} aria-hidden="true" />;
}

function dataOf(points: readonly PromptPoint[]): UPlot.AlignedData {
  return [
    points.map((_, index) => index + 1),
    points.map(({ tokens }) => tokens),
    points.map(({ tokens, hasDemotion }) => (hasDemotion ? tokens : null)),
  ];
}

function optionsOf(
  element: HTMLElement,
  onPoint: (index: number | undefined) => void,
): UPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis: UPlot.Axis = {
    stroke: colour('--quiet'),
    font: `12px ${style.fontFamily}`,
    ticks: { show: false },
    grid: { stroke: colour('--rule'), width: 1 },
  };
  return {
    width: element.clientWidth,
    height: heightPx,
    padding: [12, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 9 } },
    scales: { x: { time: false }, y: { range: (_, __, max) => [0, Math.max(1, max) * 1.08] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        incrs: [1, 2, 5, 10, 20, 50, 100, 200],
        values: (_, splits) => splits.map(countText),
      },
      { ...axis, size: 56, values: (_, splits) => splits.map(roundCountText) },
    ],
    series: [
      {},
      {
        stroke: colour('--ink-soft'),
        width: 1.5,
        fill: colour('--wash'),
        points: {
          show: (_, __, first, last) => last - first < 60,
          size: 4,
          fill: colour('--ink-soft'),
        },
      },
      {
        stroke: colour('--accent'),
        width: 0,
        paths: () => null,
        points: {
          show: true,
          size: 10,
          fill: colour('--accent'),
          stroke: colour('--paper'),
          width: 2,
        },
      },
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
  };
}
