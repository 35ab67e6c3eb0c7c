import { agoMs, type TimeSpan, writtenTime } from '../base/instants.ts';
import type { Moment, Session, SnapshotEvent } from '../store/types.ts';
import { nearestNames } from './nearest.ts';

/** A moment of a session, found by how it was named. */
export interface NamedMoment {
  readonly moment: Moment;
  /** As answers say it: `e42`, `snapshot monday`, a time. */
  readonly name: string;
  /** When that was, milliseconds since 1970. */
  readonly timeMs: number;
}

type Found = { readonly ok: true; readonly at: NamedMoment };
type NotFound = { readonly ok: false; readonly fault: string };

/** The session's part that moments are found by. */
type Momentous = Pick<Session, 'events' | 'store'>;

/** Snapshots that a fault names. */
const shownSnapshots = 5;

/**
 * Finds a moment by its name: an entry (`e42`: right behind it), a snapshot, a time (without a zone
 * it is UTC; a day, a minute, a second mean their end), how long ago (`2h`), or `now`. A sentence
 * where there is no such moment: nobody shall take another one for it.
 * @param session Whose moment it is; of no store in particular it can only be a time
 * @param how.isOfOthers Other stores are asked, too: there may have been something in them before
 * this one had anything
 */
export function findMoment(
  text: string,
  session: Momentous | undefined,
  nowMs: number,
  how: { readonly isOfOthers?: boolean } = {},
): Found | NotFound {
  const wanted = text.trim();
  if (wanted === 'now')
    return { ok: true, at: { moment: { seq: Infinity }, name: 'now', timeMs: nowMs } };
  const written = timeIn(wanted, nowMs);
  if (session === undefined)
    return written === undefined
      ? { ok: false, fault: `There is no time ${shown(wanted)}. ${timesOnly}` }
      : atTime(wanted, written, undefined, nowMs);
  const { entries, totals } = session.store;
  const snapshot = snapshotsOf(session).find(({ name }) => name === wanted);
  if (snapshot !== undefined) return { ok: true, at: atSnapshot(snapshot) };
  const seq = /^e(\d{1,15})$/i.exec(wanted)?.[1];
  if (seq !== undefined) {
    const entry = Number(seq) <= totals.entries ? entries[Number(seq) - 1] : undefined;
    if (entry === undefined)
      return { ok: false, fault: `There is no ${wanted}: ${entriesIn(session)}.` };
    const { id, storedMs = entry.timeMs } = entry;
    return { ok: true, at: { moment: { seq: entry.seq }, name: id, timeMs: storedMs } };
  }
  if (written === undefined) return unknownMoment(wanted, session);
  return atTime(wanted, written, how.isOfOthers === true ? undefined : session, nowMs);
}

function timeIn(wanted: string, nowMs: number): TimeSpan | 'no such' | undefined {
  const ago = agoMs(wanted);
  return ago === undefined
    ? writtenTime(wanted, 'utc')
    : { startMs: nowMs - ago, endMs: nowMs - ago };
}

const timesOnly =
  "Where no store is this directory's own, a moment is a time (2026-01-31, 2026-01-31 14:30) or how long ago (30m, 2h, 3d).";

/** The session as it was then, to be read only. @throws ProxyError `store_corrupt` */
export async function sessionAt(session: Session, { moment }: NamedMoment): Promise<Session> {
  const { id, directory, createdMs, memory, events } = session;
  return { id, directory, createdMs, memory, events, store: await session.store.at(moment) };
}

/** The moments of a session that have names, oldest first. */
export function snapshotsOf({ events }: Pick<Session, 'events'>): readonly SnapshotEvent[] {
  return events.all.filter((event) => event.type === 'snapshot');
}

/** A snapshot as a moment. */
export function atSnapshot({ name, ranges, timeMs }: SnapshotEvent): NamedMoment {
  return { moment: { ranges, takenMs: timeMs }, name: `snapshot ${name}`, timeMs };
}

/** A time, at which `session`, if one is given, must have held something. */
function atTime(
  wanted: string,
  written: TimeSpan | 'no such',
  session: Momentous | undefined,
  nowMs: number,
): Found | NotFound {
  if (written === 'no such')
    return { ok: false, fault: `There is no such day or time: ${JSON.stringify(wanted)}.` };
  const { startMs, endMs } = written;
  if (startMs > nowMs) return { ok: false, fault: `${isoTime(startMs)} has not come yet.` };
  // Of a day that is not over yet there is no more than what is there now.
  const timeMs = Math.min(endMs, nowMs);
  const name = isoTime(timeMs);
  if (session === undefined) return { ok: true, at: { moment: { timeMs }, name, timeMs } };
  const [first] = session.store.entries;
  if (first === undefined) return { ok: false, fault: 'Nothing is stored yet.' };
  const { id, storedMs: firstMs = first.timeMs } = first;
  if (timeMs >= firstMs) return { ok: true, at: { moment: { timeMs }, name, timeMs } };
  const fault = `Nothing was stored by ${name}: the first text, ${id}, came ${isoTime(firstMs)}.`;
  return { ok: false, fault };
}

function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function unknownMoment(wanted: string, session: Momentous): NotFound {
  const names = snapshotsOf(session).map(({ name }) => name);
  const near = nearestNames(wanted, names, shownSnapshots);
  const there =
    names.length === 0
      ? 'there are none'
      : `${near.join(', ')}${names.length > near.length ? `, and ${names.length - near.length} more` : ''}`;
  return {
    ok: false,
    fault: `There is no moment ${shown(wanted)}. A moment is an entry (e42; ${entriesIn(session)}), the name of a snapshot (${there}), a time (2026-01-31, 2026-01-31 14:30) or how long ago (30m, 2h, 3d).`,
  };
}

function entriesIn({ store: { totals } }: Momentous): string {
  if (totals.entries === 0) return 'nothing is stored yet';
  return totals.entries === 1 ? 'there is e1 only' : `there are e1 to e${totals.entries}`;
}

function shown(wanted: string): string {
  return JSON.stringify(wanted.length <= 100 ? wanted : `${wanted.slice(0, 99)}…`);
}
