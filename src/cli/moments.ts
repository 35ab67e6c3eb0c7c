import { agoMs, writtenTime } from '../base/instants.ts';
import { systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { CallOperation } from './operations-client.ts';

/** What a moment may be, for the help of a command. */
export const momentHelp =
  'an entry (e42), a snapshot, a time (2026-01-31, "2026-01-31 14:30") or how long ago (2h, 3d)';

/** A moment as an operation answers it. */
export interface SaidMoment {
  /** `e42`, `snapshot monday`, `now`, or a time. */
  readonly at: string;
  readonly timeMs: number;
}

/**
 * A moment for an operation: times that are meant to be local, or count from now, become times that
 * mean the same to a server and in each of several calls.
 */
export function momentGiven(text: string): string {
  const nowMs = systemClock.now();
  const ago = agoMs(text);
  if (ago !== undefined) return new Date(nowMs - ago).toISOString();
  const written = writtenTime(text, 'local');
  if (written === undefined || written === 'no such') return text;
  const { startMs, endMs } = written;
  return new Date(startMs > nowMs ? startMs : Math.min(endMs, nowMs)).toISOString();
}

/** `2026-01-31 14:30`, and with its seconds where they matter, in the local time zone. */
export function localTime(timeMs: number, { seconds = false } = {}): string {
  const date = new Date(timeMs);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = [date.getHours(), date.getMinutes(), ...(seconds ? [date.getSeconds()] : [])];
  return `${day} ${time.map(two).join(':')}`;
}

function two(part: number): string {
  return String(part).padStart(2, '0');
}

/** The name of the local time zone, as in `Europe/Berlin`. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** `e42, of 2026-01-31 14:30:05 (Europe/Berlin)`. */
export function momentText({ at, timeMs }: SaidMoment): string {
  const time = `${localTime(timeMs, { seconds: true })} (${localZone()})`;
  return isTime(at) ? time : `${at}, of ${time}`;
}

/** A caller whose faults name times as the user writes them. */
export function withLocalTimes(call: CallOperation): CallOperation {
  return async (...args) => {
    try {
      return await call(...args);
    } catch (error) {
      if (!(error instanceof ProxyError) || error.message.search(isoTimes) < 0) throw error;
      const message = error.message.replaceAll(
        isoTimes,
        (time) => `${localTime(Date.parse(time), { seconds: true })} (${localZone()})`,
      );
      throw new ProxyError(error.code, message, error.parts);
    }
  };
}

const isoTimes = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

function isTime(at: string): boolean {
  return /^\d{4}-\d\d-\d\dT/.test(at);
}
