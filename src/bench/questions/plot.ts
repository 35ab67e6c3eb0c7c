import { shortSize, type BenchRow } from './bench-summary.ts';
import type { BenchSystem } from './cells.ts';

const widthPx = 720;
const panelHeightPx = 220;
const marginPx = { left: 64, right: 24, top: 44, gap: 56, bottom: 40 };

/** Colours that stay apart for the colour-blind (Okabe and Ito). */
const colors: Readonly<Record<BenchSystem, string>> = { rlm: '#0072b2', bare: '#d55e00' };

/** What one panel shows of a row. */
interface Panel {
  readonly name: string;
  readonly value: (row: BenchRow) => number;
  readonly low?: (row: BenchRow) => number;
  readonly high?: (row: BenchRow) => number;
  readonly max: number;
  readonly label: (value: number) => string;
}

/** Score and seconds over size, as an SVG picture that needs nothing else. */
export function plotOf(title: string, rows: readonly BenchRow[]): string {
  const slowest = Math.max(0.1, ...rows.map((row) => row.p95Ms / 1000));
  const panels: readonly Panel[] = [
    {
      name: 'score, % (with 95 % interval)',
      value: (row) => row.accuracy.share * 100,
      low: (row) => row.accuracy.low * 100,
      high: (row) => row.accuracy.high * 100,
      max: 100,
      label: (value) => value.toFixed(0),
    },
    {
      name: 'seconds a question, p50 to p95',
      value: (row) => row.p50Ms / 1000,
      low: (row) => row.p50Ms / 1000,
      high: (row) => row.p95Ms / 1000,
      max: slowest,
      label: (value) => value.toPrecision(2),
    },
  ];
  const heightPx = marginPx.top + panels.length * (panelHeightPx + marginPx.gap) + marginPx.bottom;
  const sizes = [...new Set(rows.map((row) => row.sizeChars))];
  const drawn = panels.map((panel, index) =>
    drawPanel(panel, rows, {
      sizes,
      topPx: marginPx.top + marginPx.gap / 2 + index * (panelHeightPx + marginPx.gap),
    }),
  );
  const legend = [...new Set(rows.map((row) => row.system))].map(
    (system, index) =>
      `<text x="${widthPx - 120 + index * 56}" y="24" fill="${colors[system]}">${system}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${widthPx} ${heightPx}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<text x="${marginPx.left}" y="24" font-size="16">${escapeXml(title)}</text>
${legend.join('\n')}
${drawn.join('\n')}
</svg>
`;
}

function drawPanel(
  panel: Panel,
  rows: readonly BenchRow[],
  { sizes, topPx }: { readonly sizes: readonly number[]; readonly topPx: number },
): string {
  const bottomPx = topPx + panelHeightPx;
  const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
  const spanPx = widthPx - marginPx.left - marginPx.right - 40;
  const x = (size: number): number =>
    round(
      marginPx.left +
        20 +
        (low === high ? 0.5 : Math.log(size / low) / Math.log(high / low)) * spanPx,
    );
  const y = (value: number): number => round(bottomPx - (value / panel.max) * panelHeightPx);
  const parts = [`<text x="${marginPx.left}" y="${topPx - 8}">${escapeXml(panel.name)}</text>`];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const at = y(panel.max * share);
    parts.push(
      `<line x1="${marginPx.left}" x2="${widthPx - marginPx.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${marginPx.left - 8}" y="${at + 4}" text-anchor="end">${panel.label(panel.max * share)}</text>`,
    );
  }
  for (const size of sizes)
    parts.push(
      `<text x="${x(size)}" y="${bottomPx + 18}" text-anchor="middle">${shortSize(size)}</text>`,
    );
  for (const [system, own] of Map.groupBy(rows, (row) => row.system)) {
    const color = colors[system];
    const points = own.map((row) => `${x(row.sizeChars)},${y(panel.value(row))}`);
    parts.push(
      `<polyline points="${points.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
    );
    for (const row of own) {
      const at = x(row.sizeChars);
      const [from, to] = [panel.low ?? panel.value, panel.high ?? panel.value];
      parts.push(
        `<line x1="${at}" x2="${at}" y1="${y(from(row))}" y2="${y(to(row))}" stroke="${color}"/>`,
        `<circle cx="${at}" cy="${y(panel.value(row))}" r="4" fill="${color}"/>`,
      );
    }
  }
  return parts.join('\n');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
