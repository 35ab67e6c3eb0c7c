import { Command, Option } from 'commander';
import type { IngestReport } from '../ingest/ingest.ts';
import type { IngestProgress } from '../ingest/progress.ts';
import { dataDirOf } from './data-dir-flag.ts';
import { countOf, grouped } from '../base/numbers.ts';
import { withOperations } from './operations-client.ts';
import { ProgressLine } from './progress-line.ts';
import { ProxyError } from '../errors.ts';
import { pastClients, type PastFlags } from './past-clients.ts';
import { exitCodes, finish } from './run.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from './session-flags.ts';
import { jsonText, print, printError, printProse } from './screen.ts';
import { keepStdin } from './standard-input.ts';

/** The store it went into. */
interface StoredIn {
  /** Absent where there was nothing to store, and no store yet. */
  readonly session?: string;
  readonly directory?: string;
}

interface IngestFlags extends SessionFlags, Partial<PastFlags> {
  /** False with `--no-ignore`. */
  readonly ignore: boolean;
}

/** `rlm-opencode ingest`: files, folders, globs and standard input into a directory's store. */
export function ingestCommand(): Command {
  const command = new Command('ingest')
    .description('store files, folders, globs, or - for standard input; or the history of a client')
    .argument('[paths...]', 'what to store; what git ignores and builds write is left out')
    .option('--no-ignore', 'also store what git ignores, source maps and minified files')
    .addOption(
      new Option(
        '--from <client>',
        'store what commands have put out in the history that a client keeps of this project',
      ).choices(pastClients),
    )
    .option('--dry-run', 'with --from: say what would be stored')
    .option('--all-projects', 'with --from: of all projects, each into its own store')
    .option(
      '--history <folder>',
      "with --from: the client's folder, where it is not the usual one",
    );
  return addSessionFlags(command).action(async (paths: string[], flags: IngestFlags) => {
    const { from, ...others } = flags;
    if (from === undefined) {
      checkPaths(paths, flags);
      await ingest(paths, flags);
      return;
    }
    if (paths.length > 0)
      throw new ProxyError(
        'invalid_request',
        `With --from ${from} no paths are named: they are taken in by a command of their own.`,
      );
    const { ingestPast } = await import('./past-work.ts');
    await ingestPast({ from, ...others });
  });
}

/** @throws ProxyError `invalid_request` where nothing is named, or what belongs to `--from` */
function checkPaths(paths: readonly string[], flags: IngestFlags): void {
  const { dryRun, allProjects, history } = flags;
  if (dryRun === true || allProjects === true || history !== undefined)
    throw new ProxyError(
      'invalid_request',
      '--dry-run, --all-projects and --history belong to --from: say whose history is meant.',
      { hint: `One of: ${pastClients.join(', ')}.` },
    );
  if (paths.length === 0)
    throw new ProxyError(
      'invalid_request',
      'Say what to store: files, folders, globs, - for standard input, or --from with a client.',
      { hint: 'rlm-opencode ingest --help has examples.' },
    );
}

async function ingest(paths: readonly string[], flags: IngestFlags): Promise<void> {
  using standardInput = paths.includes('-') ? await keepStdin(await dataDirOf(flags)) : undefined;
  const line = new ProgressLine();
  await withOperations(flags, async (call) => {
    const args = {
      ...choiceOf(flags),
      paths,
      workingDirectory: process.cwd(),
      respectIgnore: flags.ignore,
      stdinFile: standardInput?.path,
    };
    const report = (await call('ingest', args, (progress) =>
      showProgress(line, progress as IngestProgress),
    )) as IngestReport & StoredIn & Unindexed;
    line.clear();
    if (report.failed > 0) finish(exitCodes.failed);
    print(flags.json === true ? `${jsonText(report, 2)}\n` : reportText(report));
    for (const { path, reason } of report.failures) printError(`${path}: ${reason}\n`);
    tellUnindexed(report);
  });
}

/** What an operation says where texts were stored, but their index could not be written. */
export interface Unindexed {
  readonly indexFault?: string;
}

/** Says so, and that it does no harm. */
export function tellUnindexed({ indexFault }: Unindexed): void {
  if (indexFault === undefined) return;
  printProse(
    `${indexFault} The texts are stored, and searches find all that is in them, only slower; it is tried again when one is asked.\n`,
  );
}

/** How far an ingest is, on one line. */
export function showProgress(line: ProgressLine, progress: IngestProgress): void {
  const { bytes, totalBytes, files, bytesPerSecond, secondsLeft, path } = progress;
  const rate = `${(bytesPerSecond / 1e6).toFixed(0)} MB/s`;
  const left = secondsLeft === undefined ? '' : `, ${Math.ceil(secondsLeft)} s left`;
  const words = `${countOf(files, 'file')}, ${rate}${left}  ${path}`;
  if (totalBytes === undefined) line.text(words);
  else line.bar(totalBytes === 0 ? 1 : bytes / totalBytes, words);
}

function reportText(report: IngestReport & StoredIn): string {
  const left = [
    [report.duplicates, 'held already'],
    [report.unchanged, 'unchanged'],
    [report.binary, 'binary'],
    [report.special, 'no files'],
    [report.generated, 'source maps and minified files'],
    [report.failed, 'failed'],
  ] as const;
  const rest = left
    .filter(([number]) => number > 0)
    .map(([number, what]) => `${grouped(number)} ${what}`);
  const { session, directory } = report;
  const of = directory === undefined ? '' : ` of ${directory}`;
  const into = session === undefined ? '' : ` in ${session}${of}`;
  const without = rest.length === 0 ? '' : `; left out: ${rest.join(', ')}`;
  return `${grouped(report.stored)} stored${into}${without}.\n`;
}
