import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Session, SessionStore } from '../store/types.ts';
import { FileIntake, type IntakeCounts } from './file-intake.ts';
import { ProgressMeter, type IngestProgress } from './progress.ts';
import { spoolStream } from './spool.ts';
import { walkPaths, type FoundFile } from './walk.ts';

/** How to ingest. */
export interface IngestOptions {
  readonly clock: Clock;
  /** What relative paths are relative to; absolute. */
  readonly workingDirectory: string;
  readonly signal: AbortSignal;
  /** Leave out what git would leave out (default true). */
  readonly respectIgnore?: boolean;
  /** Absent where secrets stay as they are. */
  readonly secrets?: SecretGuard | undefined;
  /** What the path `-` stands for. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Called at most ten times a second, and at the end. */
  readonly onProgress?: (progress: IngestProgress) => void;
}

/** A file that could not be taken in, and why. */
interface IngestFailure {
  readonly path: string;
  readonly reason: string;
}

/** What came of it. Every file that was found is counted in exactly one of the first five. */
export interface IngestReport {
  /** New texts. */
  readonly stored: number;
  /** Files whose text the session held already. */
  readonly duplicates: number;
  /** Files that were not read, because size and time are as when they were stored. */
  readonly unchanged: number;
  /** Files with a NUL byte in their first 8 KiB. */
  readonly binary: number;
  readonly failed: number;
  /** The first 100 of them. */
  readonly failures: readonly IngestFailure[];
  /** Links and other things that are no files. */
  readonly special: number;
  /** Source maps and minified files in folders. */
  readonly generated: number;
  /** Bytes that were read. */
  readonly bytes: number;
}

const failuresShown = 100;

/**
 * Stores files, folders, globs and `-` (stdin) in a session: each file one entry of kind `file`,
 * duplicates once. A file that cannot be read is reported, not fatal. Running it again takes up
 * where an earlier run was stopped.
 * @throws ProxyError `cancelled`, `store_full`, `store_corrupt`, `internal`; what was stored until
 * then stays
 */
export async function ingestPaths(
  session: Session,
  paths: readonly string[],
  options: IngestOptions,
): Promise<IngestReport> {
  return ingestFound(session, await findPaths(paths, options), options);
}

/**
 * What {@link ingestPaths} would take in: nothing is read but folders.
 * @throws ProxyError `cancelled`
 */
export async function findPaths(
  paths: readonly string[],
  options: IngestOptions,
): Promise<FoundPaths> {
  try {
    return { ...(await findFiles(paths, options)), hasStdin: paths.includes('-') };
  } catch (error) {
    throw options.signal.aborted ? stopped() : error;
  }
}

/** Stores what was found. @throws as {@link ingestPaths} */
export async function ingestFound(
  session: Session,
  found: FoundPaths,
  options: IngestOptions,
): Promise<IngestReport> {
  const meter = new ProgressMeter(options.clock, options.onProgress ?? (() => undefined));
  const intake = new FileIntake(session.store, meter, options);
  try {
    for (const failure of found.failures) intake.fail(failure.path, failure.reason);
    if (found.hasStdin) await takeStdin(session.store, intake, options);
    meter.expect(found.files.length, found.bytes);
    await intake.takeAll(found.files);
  } catch (error) {
    throw options.signal.aborted ? stopped() : error;
  }
  meter.finish();
  return reportOf(found, intake.counts, intake.failures);
}

/** The report of an ingest that has found no text to take in, and asks for no store. */
export function nothingIngested(found: FoundPaths): IngestReport {
  const counts = { stored: 0, duplicates: 0, unchanged: 0, binary: 0, bytes: 0 };
  return reportOf(found, counts, found.failures);
}

function reportOf(
  { special, generated }: FoundPaths,
  counts: IntakeCounts,
  failures: readonly IngestFailure[],
): IngestReport {
  const shown = failures.slice(0, failuresShown);
  return { ...counts, failed: failures.length, failures: shown, special, generated };
}

function stopped(): ProxyError {
  return new ProxyError('cancelled', 'The ingest was stopped.');
}

/** What there is at the paths that were named. */
interface FoundPaths extends FoundFiles {
  /** Whether `-` is among them. */
  readonly hasStdin: boolean;
}

interface FoundFiles {
  readonly files: readonly FoundFile[];
  readonly bytes: number;
  readonly special: number;
  readonly generated: number;
  readonly failures: readonly IngestFailure[];
}

async function findFiles(paths: readonly string[], options: IngestOptions): Promise<FoundFiles> {
  const { workingDirectory, respectIgnore = true, signal } = options;
  const files: FoundFile[] = [];
  const failures: IngestFailure[] = [];
  let bytes = 0;
  let special = 0;
  let generated = 0;
  const named = paths.filter((path) => path !== '-');
  for await (const group of walkPaths(named, { workingDirectory, respectIgnore })) {
    signal.throwIfAborted();
    for (const found of group) {
      if (found.kind === 'file') {
        files.push(found);
        bytes += found.sizeBytes;
      } else if (found.kind === 'special') {
        special += 1;
      } else if (found.kind === 'generated') {
        generated += 1;
      } else {
        failures.push({ path: found.path, reason: found.reason });
      }
    }
  }
  return { files, bytes, special, generated, failures };
}

async function takeStdin(
  store: SessionStore,
  intake: FileIntake,
  options: IngestOptions,
): Promise<void> {
  const { stdin, signal } = options;
  if (stdin === undefined) {
    intake.fail('-', 'no standard input');
    return;
  }
  const { indexDir } = store;
  await spoolStream(stdin, indexDir, signal, async (path) => {
    await intake.takeUnnamed(path, { kind: 'file', note: 'from standard input' });
  });
}
