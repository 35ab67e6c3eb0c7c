/**
 * Numbers as the page writes them: English, the same in every browser, so that screenshots, tests
 * and what people quote agree.
 */

const grouped = new Intl.NumberFormat('en-US');
const shortened = new Intl.NumberFormat('en-US', {
  notation: 'compact',
  maximumSignificantDigits: 3,
});

/** `1234567` as `1,234,567`. */
export function countText(count: number): string {
  return grouped.format(count);
}

/** `1234567` as `1.23M`; below 10,000 all digits. */
export function shortCountText(count: number): string {
  return Math.abs(count) < 10_000 ? countText(count) : shortened.format(count);
}

/** Round numbers, as an axis has them: `500`, `5K`, `10K`. */
export function roundCountText(count: number): string {
  return shortened.format(count);
}

/** `1234567` bytes as `1.23 MB`, in powers of 1000. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  // From 999.5 on three digits are not enough: the next unit.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`;
}

/** `part` of `whole` as `84 %`; `undefined` where there is no whole. */
export function shareText(part: number, whole: number): string | undefined {
  if (whole <= 0) return undefined;
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 1) return '< 1 %';
  // Nothing but all is 100 %.
  return `${part < whole ? Math.min(99, Math.round(percent)) : 100} %`;
}

/** A time that something took, of milliseconds: `320 ms`, `4.2 s`, `3 min 12 s`, `2 h 5 min`. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return withRest(`${minutes} min`, seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return withRest(`${hours} h`, minutes % 60, 'min');
  return withRest(`${Math.floor(hours / 24)} days`, hours % 24, 'h');
}

function withRest(text: string, rest: number, unit: string): string {
  return rest === 0 ? text : `${text} ${rest} ${unit}`;
}

/** How long ago: `just now`, `5 min ago`, `3 h ago`, `yesterday`, `12 days ago`. */
export function agoText(atMs: number, nowMs: number): string {
  const minutes = Math.floor((nowMs - atMs) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  const days = Math.floor(hours / 24);
  return days === 1 ? 'yesterday' : `${countText(days)} days ago`;
}

/** `1 hit`, `12 hits`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}
