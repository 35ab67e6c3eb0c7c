/** A day, a minute, a second, as they are written; with a zone or without. */
const written =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3})\d*)?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i;

/** A stretch of time, milliseconds since 1970, its last one included. */
export interface TimeSpan {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The day, the minute, the second or the millisecond that is written. `no such` for one that there
 * is not (2026-02-30); undefined where the text is no date.
 * @param zone What a text without a zone means
 */
export function writtenTime(text: string, zone: 'local' | 'utc'): TimeSpan | 'no such' | undefined {
  const found = written.exec(text.trim());
  if (found === null) return undefined;
  const [, year, month, day, hour, minute = '00', second, fraction, offset] = found;
  const midnight = new Date(`${year}-${month}-${day}T00:00Z`);
  // 2026-02-30 would be the second of March.
  if (midnight.getUTCDate() !== Number(day)) return 'no such';
  const time = `${hour ?? '00'}:${minute}:${second ?? '00'}.${(fraction ?? '').padEnd(3, '0')}`;
  // Without a zone JavaScript takes a day with a time of day for local.
  const inZone = offset?.toUpperCase() ?? (zone === 'utc' ? 'Z' : '');
  const startMs = Date.parse(`${year}-${month}-${day}T${time}${inZone}`);
  if (Number.isNaN(startMs)) return 'no such';
  if (hour === undefined && inZone === '') {
    // A local day may have 23 hours, or 25.
    const next = new Date(startMs);
    next.setDate(next.getDate() + 1);
    return { startMs, endMs: next.getTime() - 1 };
  }
  const isWhole = fraction === undefined;
  const unitMs =
    hour === undefined ? 86_400_000 : second === undefined ? 60_000 : isWhole ? 1_000 : 1;
  return { startMs, endMs: startMs + unitMs - 1 };
}

const unitsMs: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** How long ago, milliseconds: `30m`, `2h`, `3d ago`; undefined where the text is none of these. */
export function agoMs(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*([smhdw])(?:\s+ago)?$/.exec(text.trim());
  return found === null ? undefined : Number(found[1]) * unitsMs[found[2]!]!;
}
