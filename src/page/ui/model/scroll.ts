/**
 * Scrolling through more rows than a browser can make a box for: they cap heights, the lowest at
 * some 16 million pixels, which are 800,000 lines. A list that is taller gets a box of
 * {@link maxBoxPx}, whose scroll bar is in proportion; small moves, such as those of a wheel or of
 * keys, go on pixel by pixel, and a pull at the bar jumps.
 */

/** Height of the highest box, CSS pixels: half of what the least browser can do. */
export const maxBoxPx = 8_000_000;

/** What is scrolled. */
export interface Extent {
  readonly rows: number;
  readonly rowPx: number;
  /** Height of what is seen at once. */
  readonly viewPx: number;
}

/** Where it is. */
export interface Position {
  /** What the browser says: pixels above what is seen, in the box. */
  readonly boxTopPx: number;
  /** Pixels above what is seen, if the box were as tall as its rows. */
  readonly topPx: number;
}

/** The rows that are to be there, and where in the box the first of them begins. */
export interface RowWindow {
  readonly first: number;
  /** Behind the last one. */
  readonly end: number;
  readonly offsetPx: number;
}

/** Rows above and below what is seen that are there all the same. */
const spareRows = 8;

/** Height of the box. */
export function boxPx({ rows, rowPx }: Extent): number {
  return Math.min(maxBoxPx, rows * rowPx);
}

/** Where one is after the browser has said where it has scrolled to. */
export function scrolled(before: Position, boxTopPx: number, extent: Extent): Position {
  const movePx = boxTopPx - before.boxTopPx;
  const farthestPx = farthestBoxPx(extent);
  const atAnEnd = boxTopPx <= 0 || boxTopPx >= farthestPx;
  // Two views are more than a key or a turn of a wheel moves, and less than a pixel of a long bar.
  const isStep = Math.abs(movePx) <= 2 * extent.viewPx && !atAnEnd;
  if (isStep) return { boxTopPx, topPx: within(before.topPx + movePx, extent) };
  return { boxTopPx, topPx: within(boxTopPx * scaleOf(extent), extent) };
}

/** Where the bar belongs: after many small moves it has fallen behind. */
export function settled({ topPx }: Position, extent: Extent): Position {
  return { boxTopPx: Math.min(farthestBoxPx(extent), topPx / scaleOf(extent)), topPx };
}

/** Moves so that a row is seen, in the middle of the view or just at its edge. */
export function showing(
  position: Position,
  row: number,
  { extent, place }: { readonly extent: Extent; readonly place: 'middle' | 'edge' },
): Position {
  const rowTopPx = row * extent.rowPx;
  const { viewPx, rowPx } = extent;
  if (place === 'middle')
    return settled({ boxTopPx: 0, topPx: within(rowTopPx - (viewPx - rowPx) / 2, extent) }, extent);
  if (rowTopPx < position.topPx)
    return settled({ boxTopPx: 0, topPx: within(rowTopPx, extent) }, extent);
  if (rowTopPx + rowPx > position.topPx + viewPx)
    return settled({ boxTopPx: 0, topPx: within(rowTopPx + rowPx - viewPx, extent) }, extent);
  return position;
}

/** The rows around what is seen. */
export function rowWindow(
  { boxTopPx, topPx }: Position,
  { rows, rowPx, viewPx }: Extent,
): RowWindow {
  const first = Math.max(0, Math.floor(topPx / rowPx) - spareRows);
  const end = Math.min(rows, Math.ceil((topPx + viewPx) / rowPx) + spareRows);
  return { first, end: Math.max(first, end), offsetPx: boxTopPx + first * rowPx - topPx };
}

function farthestBoxPx(extent: Extent): number {
  return Math.max(0, boxPx(extent) - extent.viewPx);
}

function within(topPx: number, { rows, rowPx, viewPx }: Extent): number {
  return Math.min(Math.max(0, topPx), Math.max(0, rows * rowPx - viewPx));
}

/** Pixels of rows for a pixel of the box. */
function scaleOf(extent: Extent): number {
  const farthestPx = farthestBoxPx(extent);
  if (farthestPx === 0) return 1;
  return (extent.rows * extent.rowPx - extent.viewPx) / farthestPx;
}
