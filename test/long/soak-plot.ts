/** One line of a plot. */
export interface PlotLine {
  readonly name: string;
  readonly color: string;
  readonly values: readonly number[];
}

const widthPx = 900;
const panelHeightPx = 240;
const leftPx = 80;
const rightPx = 20;

/**
 * A picture of panels over one axis of turns, that needs nothing else to be seen. A line's values
 * lie at even distances from the first turn to the last.
 */
export function soakPlot(
  title: string,
  turns: number,
  panels: readonly { readonly unit: string; readonly lines: readonly PlotLine[] }[],
): string {
  const drawn = panels.map(({ unit, lines }, index) =>
    panel(`${unit}, turns 1 to ${turns}`, lines, 50 + index * (panelHeightPx + 50)),
  );
  const heightPx = 50 + panels.length * (panelHeightPx + 50);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${widthPx} ${heightPx}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<text x="${leftPx}" y="24" font-size="16">${title}</text>
${drawn.join('\n')}
</svg>
`;
}

function panel(label: string, lines: readonly PlotLine[], topPx: number): string {
  const max = Math.max(...lines.flatMap(({ values }) => values)) * 1.1;
  const innerPx = widthPx - leftPx - rightPx;
  const x = (at: number, of: number): number => leftPx + (innerPx * at) / Math.max(1, of - 1);
  const y = (value: number): number => topPx + panelHeightPx * (1 - value / max);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const value = Math.round(max * share);
    return `<line x1="${leftPx}" x2="${widthPx - rightPx}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/><text x="${leftPx - 8}" y="${y(value) + 4}" text-anchor="end">${value}</text>`;
  });
  const drawn = lines.map(({ name, color, values }, index) => {
    const points = values.map(
      (value, at) => `${x(at, values.length).toFixed(1)},${y(value).toFixed(1)}`,
    );
    return `<polyline fill="none" stroke="${color}" stroke-width="1" points="${points.join(' ')}"/><text x="${leftPx + 180 * index + 8}" y="${topPx - 8}" fill="${color}">${name}</text>`;
  });
  return `${ticks.join('')}<text x="${widthPx - rightPx}" y="${topPx - 8}" text-anchor="end">${label}</text>
${drawn.join('\n')}`;
}
