import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import type { ArchiveProgress, ExportReport, ImportReport, Sessions } from '../store/types.ts';
import { choiceArgs, chosenSession } from './session-choice.ts';

/** Which stores to export. */
export const exportArgs = z.strictObject({
  ...choiceArgs,
  /** Every store there is, whatever else is chosen. */
  all: z.boolean().default(false),
});

/** Where imported stores go; the archive itself comes behind the arguments. */
export const importArgs = z.strictObject({
  as: z.string().min(1).optional(),
  map: z.array(z.strictObject({ from: z.string().min(1), to: z.string().min(1) })).optional(),
  unnamed: z.boolean().optional(),
  anySize: z.boolean().optional(),
});

/** How far an export is, and a piece of the archive in base64 where there is one. */
export interface ExportProgress extends ArchiveProgress {
  readonly archive?: string;
}

/** Between two words of how far it is, milliseconds. */
const progressEveryMs = 100;

type Line<Progress, Result> = { readonly progress: Progress } | { readonly result: Result | null };

/**
 * Stores as one archive. It comes through the operation and not by way of a file: a server in a
 * container does not see the folders of who asks it. The result is `null` where nothing is stored.
 * @throws ProxyError as `Sessions.export`
 */
export async function* exportArchive(
  { all, ...choice }: z.infer<typeof exportArgs>,
  { sessions, clock }: { readonly sessions: Sessions; readonly clock: { elapsedMs(): number } },
): AsyncGenerator<Line<ExportProgress, ExportReport>> {
  const chosen = all ? await allIds(sessions) : await chosenId(sessions, choice);
  if (chosen.length === 0) {
    yield { result: null };
    return;
  }
  const work = sessions.export(chosen);
  let saidMs = -Infinity;
  let step = await work.next();
  for (; step.done !== true; step = await work.next()) {
    const { bytes, ...progress } = step.value;
    if (bytes === undefined && clock.elapsedMs() - saidMs < progressEveryMs) continue;
    saidMs = clock.elapsedMs();
    const archive = bytes === undefined ? undefined : Buffer.from(bytes).toString('base64');
    yield { progress: { ...progress, ...(archive !== undefined && { archive }) } };
  }
  yield { result: step.value };
}

/** Also of stores that others share with this machine and that are not here yet. */
async function allIds(sessions: Sessions): Promise<readonly string[]> {
  const elsewhere = (await sessions.shared?.elsewhere()) ?? [];
  return [
    ...(await sessions.list()).map(({ id }) => id),
    ...elsewhere.map(({ session }) => session),
  ];
}

async function chosenId(
  sessions: Sessions,
  choice: Parameters<typeof chosenSession>[1],
): Promise<readonly string[]> {
  const session = await chosenSession(sessions, choice);
  return session === undefined ? [] : [session.id];
}

/** Brings in the stores of an archive. @throws ProxyError as `Sessions.import` */
export async function* importArchive(
  asked: z.infer<typeof importArgs>,
  { sessions, clock }: { readonly sessions: Sessions; readonly clock: { elapsedMs(): number } },
  signal: AbortSignal,
  input: AsyncIterable<Uint8Array> | undefined,
): AsyncGenerator<Line<ArchiveProgress, ImportReport>> {
  if (input === undefined) throw new ProxyError('invalid_request', 'There is no archive.');
  const work = sessions.import(heeding(input, signal), asked);
  let saidMs = -Infinity;
  let step = await work.next();
  for (; step.done !== true; step = await work.next()) {
    if (clock.elapsedMs() - saidMs < progressEveryMs) continue;
    saidMs = clock.elapsedMs();
    yield { progress: step.value };
  }
  yield { result: step.value };
}

/** Whoever asked may leave. */
async function* heeding(
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    signal.throwIfAborted();
    yield piece;
  }
}
