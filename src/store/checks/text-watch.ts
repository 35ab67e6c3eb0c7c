import type { Clock } from '../../clock.ts';
import type { Logger } from '../../log.ts';
import { writeChecked, type CheckedRecord } from '../disk/checked-record.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import type { Files } from '../disk/files.ts';
import type { RecordLog } from '../disk/record-log.ts';
import type { SessionPaths } from '../disk/session-paths.ts';
import { TextChecks } from './text-checks.ts';
import { runFrom, RunReader } from './text-runs.ts';
import { TextScrub } from './text-scrub.ts';
import type { Entry } from '../types.ts';

/**
 * Text that was compared is taken for sound for so long, as long as its file is the same: disks
 * forget without a word, if seldom.
 */
const checkedForMs = 7 * 24 * 3600 * 1000;

/** What a {@link TextWatch} watches over. */
interface TextWatchOptions {
  readonly sessionId: string;
  readonly paths: SessionPaths;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Logger;
  readonly text: ContextFile;
  readonly journal: RecordLog;
  readonly index: EntryIndex;
  /** What was known when the session was closed. */
  readonly checked: CheckedRecord | undefined;
}

/**
 * Knows whether a session's text has been compared since its file changed, remembers it, and sees
 * to it that it is.
 */
export class TextWatch {
  readonly checks: TextChecks;
  readonly #options: TextWatchOptions;
  readonly #scrub: TextScrub;
  /** The record on the disk. */
  #kept: CheckedRecord | undefined;
  /** When all text was last compared; undefined where that is not so. */
  #checkedMs: number | undefined;

  constructor(options: TextWatchOptions) {
    const { text, index, clock, log, checked } = options;
    this.#options = options;
    this.#kept = checked;
    this.#checkedMs = this.#checkedBefore();
    this.checks = new TextChecks(text, index);
    const onEnd = async (): Promise<void> => this.#scrubbed();
    this.#scrub = new TextScrub({ checks: this.checks, clock, log, onEnd });
    if (this.#checkedMs === undefined) this.#scrub.start();
  }

  /** Whether all that was there at the opening was known as compared. */
  get isSound(): boolean {
    return this.#checkedMs !== undefined;
  }

  /**
   * What is known of the text is forgotten where somebody else has written to it, or it has not
   * been looked at for long.
   */
  notice(): void {
    const { text, clock } = this.#options;
    const isOld = this.#checkedMs !== undefined && clock.now() - this.#checkedMs > checkedForMs;
    if (!text.takeForeignChange() && !isOld) return;
    this.#checkedMs = undefined;
    this.checks.forget();
    this.#scrub.start();
  }

  /** Compares at once what nothing is known of. */
  async finish(): Promise<void> {
    this.notice();
    await this.#scrub.finish();
    await this.checks.lookAtLast();
  }

  /**
   * Compares all text with the journal's hashes, whatever is known: run by run of entries, up to
   * which byte, and what is damaged.
   */
  async *verify(): AsyncGenerator<{
    readonly doneBytes: number;
    readonly damaged: readonly Entry[];
  }> {
    const { text, index } = this.#options;
    const reader = new RunReader(text, index);
    const { entries } = index.totals;
    for (let first = 0; first < entries;) {
      const run = runFrom(index, first);
      const damaged = await reader.read(run);
      for (const entry of damaged) await this.checks.lookAt(entry);
      first = run[1];
      yield { doneBytes: index.startOf(first).bytes, damaged };
    }
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    await this.#scrub.stop();
  }

  /** Keeps what is known of the text, if that is not what is kept. */
  async save(): Promise<void> {
    const { sessionId, paths, files, log, text, journal, index } = this.#options;
    const { entries } = index.totals;
    const isSound = this.#checkedMs !== undefined && index.damaged.size === 0;
    // A change that is seen only now is seen again, and acted on, at the next look.
    const identity = isSound && !text.hasForeignChange() ? text.identity : undefined;
    const record: CheckedRecord = {
      sessionId,
      entries,
      journalBytes: journal.sizeBytes,
      ...(identity !== undefined && { identity, checkedMs: this.#checkedMs! }),
    };
    const isKept =
      this.#kept?.entries === entries &&
      this.#kept.journalBytes === record.journalBytes &&
      this.#kept.identity === record.identity &&
      this.#kept.checkedMs === record.checkedMs;
    if (isKept || entries === 0) return;
    try {
      await writeChecked(files, paths, record);
      this.#kept = record;
    } catch (error) {
      log.warn(
        { err: error, session: sessionId },
        'how far texts were compared could not be written down: they are compared anew',
      );
    }
  }

  /**
   * When all of the text was compared, by the record that was kept, if the file is the same since.
   */
  #checkedBefore(): number | undefined {
    const { clock, index, text } = this.#options;
    const now = clock.now();
    if (index.entries.length === 0) return now;
    const { identity, checkedMs, entries } = this.#kept ?? {};
    const isYoung = checkedMs !== undefined && checkedMs <= now && now - checkedMs <= checkedForMs;
    const isSame = identity === text.identity && entries === index.entries.length;
    return isYoung && isSame ? checkedMs : undefined;
  }

  async #scrubbed(): Promise<void> {
    const { text, clock } = this.#options;
    if (text.takeForeignChange()) {
      this.checks.forget();
      this.#scrub.start();
      return;
    }
    this.#checkedMs ??= clock.now();
    await this.save();
  }
}
