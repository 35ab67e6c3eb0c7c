import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Session, Sessions } from '../store/types.ts';
import { atSnapshot, findMoment, type NamedMoment, snapshotsOf } from '../tools/moments.ts';
import { lineOf } from './session-line.ts';
import { choiceArgs, chosenSession } from './session-choice.ts';

interface VersionParts {
  readonly sessions: Sessions;
  readonly clock: Clock;
}

type Line = { readonly result: unknown };

/** Arguments of {@link snapshot}. */
export const snapshotArgs = z.strictObject({
  ...choiceArgs,
  name: z.string(),
  /** The name may be given a number where there is one like it. */
  mayNumber: z.boolean().default(false),
});

/**
 * Gives what a store holds now a name. The result is `null` where nothing is stored yet.
 * @throws ProxyError `unknown_session`; `invalid_request` for a name that is none, or is taken;
 * `store_full`
 */
export async function* snapshot(
  { name, mayNumber, ...choice }: z.infer<typeof snapshotArgs>,
  { sessions }: VersionParts,
): AsyncGenerator<Line> {
  const session = await chosenSession(sessions, choice);
  if (session === undefined) {
    yield { result: null };
    return;
  }
  checkName(name);
  const names = new Set(snapshotsOf(session).map((event) => event.name));
  const free = mayNumber ? freeName(name, names) : name;
  if (names.has(free))
    throw new ProxyError(
      'invalid_request',
      `There is a snapshot ${free} already; a name stays with its moment. Take another name.`,
    );
  const { timeMs, ranges } = await sessions.nameMoment(session.id, free);
  const { entries = 0, chars = 0 } = ranges.at(-1)?.end ?? {};
  yield { result: { ...placeOf(session), snapshot: free, timeMs, entries, chars } };
}

/** The name, or the first one with a number behind it that there is not yet. */
function freeName(name: string, taken: ReadonlySet<string>): string {
  let count = 1;
  let free = name;
  while (taken.has(free)) {
    count += 1;
    free = `${name}-${count}`;
  }
  return free;
}

/** Arguments of {@link branch}. */
export const branchArgs = z.strictObject({
  ...choiceArgs,
  at: z.string().default('now'),
  name: z.string().optional(),
});

/**
 * Makes a store that goes on from a moment of another. The result is `null` where nothing is
 * stored.
 * @throws ProxyError as `Sessions.branch`; `invalid_request` for an `at` that is no moment of its
 * line, and for a name that is none, or is taken
 */
export async function* branch(
  { at, name, ...choice }: z.infer<typeof branchArgs>,
  parts: VersionParts,
): AsyncGenerator<Line> {
  const { sessions } = parts;
  const session = await chosenSession(sessions, choice);
  if (session === undefined) {
    yield { result: null };
    return;
  }
  const { of, named } = await momentInLine(at, session, parts);
  if (name !== undefined) await checkBranchName(name, session, sessions);
  const made = await sessions.branch(of.id, named.moment, name);
  yield {
    result: {
      session: made.id,
      ...(name === undefined ? {} : { name }),
      from: of.id,
      at: named.name,
      timeMs: named.timeMs,
      entries: made.store.totals.entries,
      chars: made.store.totals.chars,
    },
  };
}

/** Arguments of {@link restore}. */
export const restoreArgs = z.strictObject({ ...choiceArgs, what: z.string() });

/**
 * Gives a directory the store of its line that `what` names: a session, or what one held at a
 * moment; of a moment that is not the newest of its session a branch is made. The result is `null`
 * where nothing is stored.
 * @throws ProxyError as `Sessions.branch` and `Sessions.restore`; `invalid_request` where the store
 * has no directory, and for a `what` that is nothing in its line
 */
export async function* restore(
  { what, ...choice }: z.infer<typeof restoreArgs>,
  parts: VersionParts,
): AsyncGenerator<Line> {
  const { sessions } = parts;
  const current = await chosenSession(sessions, choice);
  if (current === undefined) {
    yield { result: null };
    return;
  }
  const { directory } = current;
  if (directory === undefined) throw await withoutDirectory(current.id, sessions);
  const found = await whatInLine(what, current, parts);
  const { of, named } = found;
  const isWhole = named === undefined || (await isNewest(of, named));
  const to = isWhole ? of : await sessions.branch(of.id, named.moment);
  if (to.id !== current.id) {
    try {
      await sessions.restore(current.id, to.id);
    } catch (error) {
      if (to !== of) await sessions.remove(to.id);
      throw error;
    }
  }
  const { entries, chars } = to.store.totals;
  yield {
    result: {
      directory,
      session: to.id,
      entries,
      chars,
      earlier: current.id,
      earlierEntries: current.store.totals.entries,
      /** It was made for this. */
      isBranch: !isWhole,
      from: of.id,
      ...(named === undefined ? {} : { at: named.name, timeMs: named.timeMs }),
    },
  };
}

/** Arguments of {@link sessionLines}. */
export const linesArgs = z.strictObject({ ...choiceArgs, all: z.boolean().default(false) });

/**
 * The sessions of a project's line, or of every line; `null` where nothing is stored.
 * @throws ProxyError `unknown_session`
 */
export async function* sessionLines(
  { all, ...choice }: z.infer<typeof linesArgs>,
  { sessions }: VersionParts,
): AsyncGenerator<Line> {
  if (all) {
    const left = new Set((await usable(sessions)).map(({ id }) => id));
    const lines = [];
    for (const id of left) {
      const line = await lineOf(id, sessions);
      for (const member of line) left.delete(member.id);
      lines.push(line);
    }
    yield { result: lines };
    return;
  }
  const session = await chosenSession(sessions, choice);
  yield { result: session === undefined ? null : [await lineOf(session.id, sessions)] };
}

async function usable(sessions: Sessions): ReturnType<Sessions['list']> {
  return (await sessions.list()).filter(({ copyOf }) => copyOf === undefined);
}

function placeOf({ id, directory }: Session): { session: string; directory?: string } {
  return { session: id, ...(directory === undefined ? {} : { directory }) };
}

interface InLine {
  readonly of: Session;
  readonly named: NamedMoment;
}

/**
 * A moment of a session, or a snapshot of another of its line. @throws ProxyError `invalid_request`
 * with what there is
 */
async function momentInLine(
  text: string,
  session: Session,
  { sessions, clock }: VersionParts,
): Promise<InLine> {
  const found = findMoment(text, session, clock.now());
  if (found.ok) return { of: session, named: found.at };
  const elsewhere = await snapshotInLine(text.trim(), session, sessions);
  if (elsewhere !== undefined) return elsewhere;
  throw new ProxyError('invalid_request', found.fault);
}

/** @throws ProxyError `invalid_request` where several have it */
async function snapshotInLine(
  name: string,
  session: Session,
  sessions: Sessions,
): Promise<InLine | undefined> {
  const found = [];
  for (const { id, snapshots } of await lineOf(session.id, sessions))
    if (id !== session.id && snapshots.some((one) => one.name === name)) found.push(id);
  const [id] = found;
  if (id === undefined) return undefined;
  if (found.length > 1)
    throw new ProxyError(
      'invalid_request',
      `${found.length} stores of this line have a snapshot ${name}: ${found.join(', ')}. Say which by --session.`,
    );
  const of = await sessions.byId(id);
  const event = snapshotsOf(of).find((one) => one.name === name);
  return event === undefined ? undefined : { of, named: atSnapshot(event) };
}

/** What `restore` is to bring back. @throws ProxyError `invalid_request` with what there is */
async function whatInLine(
  text: string,
  current: Session,
  parts: VersionParts,
): Promise<{ readonly of: Session; readonly named?: NamedMoment }> {
  const { sessions } = parts;
  const wanted = text.trim();
  const line = await lineOf(current.id, sessions);
  const member = line.find(({ id, name }) => id === wanted || name === wanted);
  if (member !== undefined) return { of: await sessions.byId(member.id) };
  if (wanted.startsWith('sess_')) {
    const isThere = (await usable(sessions)).some(({ id }) => id === wanted);
    const others = line.filter(({ id }) => id !== current.id).map(({ id }) => id);
    const there = others.length === 0 ? 'has no other' : `has ${others.join(', ')}`;
    throw new ProxyError(
      'invalid_request',
      isThere
        ? `${wanted} is the store of another project. The line of this one ${there}.`
        : `There is no session ${wanted}. The line of this project ${there}.`,
    );
  }
  return momentInLine(text, current, parts);
}

/** Whether a session has stored nothing since. */
async function isNewest({ store }: Session, { moment }: NamedMoment): Promise<boolean> {
  if ('seq' in moment && moment.seq > store.totals.entries) return true;
  const past = await store.at(moment);
  return past.totals.entries === store.totals.entries && past.totals.bytes === store.totals.bytes;
}

async function withoutDirectory(id: string, sessions: Sessions): Promise<ProxyError> {
  const holder = (await lineOf(id, sessions)).find(({ directory }) => directory !== undefined);
  const hint =
    holder === undefined
      ? 'No store of its line has one.'
      : `Say whose memory is meant: --directory ${holder.directory}`;
  return new ProxyError('invalid_request', `No directory has ${id}. ${hint}`);
}

/** @throws ProxyError `invalid_request` */
async function checkBranchName(name: string, session: Session, sessions: Sessions): Promise<void> {
  checkName(name);
  for (const { id, name: taken, snapshots } of await lineOf(session.id, sessions)) {
    if (taken === name || snapshots.some((one) => one.name === name))
      throw new ProxyError(
        'invalid_request',
        `${taken === name ? `${id} is called ${name}` : `${id} has a snapshot ${name}`} already. Take another name.`,
      );
  }
}

/**
 * Names are told from everything else that names a moment. @throws ProxyError `invalid_request`
 */
function checkName(name: string): void {
  const isLike =
    (/^e\d+$/i.test(name) && 'an entry') ||
    (/^sess_/i.test(name) && 'a session') ||
    (name === 'now' && 'the present');
  if (isLike)
    throw new ProxyError(
      'invalid_request',
      `${JSON.stringify(name)} would be taken for ${isLike}. Take another name.`,
    );
  if (/^\p{L}[\p{L}\p{M}\p{N}._-]{0,63}$/u.test(name)) return;
  throw new ProxyError(
    'invalid_request',
    `${JSON.stringify(name.slice(0, 80))} is no name: a name begins with a letter and has letters, digits, dots, dashes and underscores, at most 64.`,
  );
}
