import { BlockTable, type CommittedBlocks } from '../text/block-table.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import type { TextChecks } from './text-checks.ts';
import { runFrom, RunReader, type EntryRun } from './text-runs.ts';

/** Sections that are kept; each costs 28 bytes per 32 KiB of its text. */
const keptSections = 8;

/** A stretch of text whose blocks are known and whose bytes have been verified. */
export interface TextPart {
  readonly blocks: CommittedBlocks;
  readonly endChars: number;
}

interface Section {
  readonly run: EntryRun;
  readonly part: Promise<TextPart>;
}

/**
 * Block tables of runs of entries, made when somebody reads there: the journal says where an entry
 * starts, so that any of them can be read without a table of all that lies before it.
 */
export class TextSections {
  readonly #text: ContextFile;
  readonly #index: EntryIndex;
  readonly #checks: TextChecks;
  /** The oldest first. */
  #kept: Section[] = [];

  constructor(text: ContextFile, index: EntryIndex, checks: TextChecks) {
    this.#text = text;
    this.#checks = checks;
    this.#index = index;
  }

  /**
   * The section that holds entry number `entryIndex`. Reads it once, whole: at least the entry, and
   * what follows up to 512 KiB.
   */
  async at(entryIndex: number): Promise<TextPart> {
    const known = this.#kept.find(
      ({ run: [first, end] }) => first <= entryIndex && entryIndex < end,
    );
    if (known !== undefined) return this.#await(known, entryIndex);
    const run = this.#soundRun(entryIndex);
    const section = { run, part: this.#make(run) };
    this.#kept = [...this.#kept.slice(1 - keptSections), section];
    return this.#await(section, entryIndex);
  }

  async #await(section: Section, entryIndex: number): Promise<TextPart> {
    try {
      return await section.part;
    } catch (error) {
      this.#kept = this.#kept.filter((other) => other !== section);
      if (error instanceof RunCutWrong) return this.at(entryIndex);
      throw error;
    }
  }

  /**
   * A damaged entry is alone in its run: where it ends only the journal knows, its bytes would tell
   * another place.
   */
  #soundRun(entryIndex: number): EntryRun {
    const { entries, damaged } = this.#index;
    const [first, end] = runFrom(this.#index, entryIndex);
    if (damaged.has(entries[first]!)) return [first, first + 1];
    const other = entries.slice(first, end).findIndex((entry) => damaged.has(entry));
    return [first, other < 0 ? end : first + other];
  }

  async #make(run: EntryRun): Promise<TextPart> {
    const [first, end] = run;
    const table = new BlockTable(this.#index.startOf(first));
    const damaged = await new RunReader(this.#text, this.#index).read(run, { table });
    for (const entry of damaged) await this.#checks.lookAt(entry);
    if (damaged.length > 0 && end > first + 1) throw new RunCutWrong();
    table.commit();
    return { blocks: table.committed, endChars: this.#index.startOf(end).chars };
  }
}

/** A run has turned out to hold a damaged entry beside others; cut again, it will not. */
class RunCutWrong extends Error {}
