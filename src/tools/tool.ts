import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { SearchEngine } from '../search/types.ts';
import type { Session } from '../store/types.ts';
import type { LinkedStores } from './linked/linked-stores.ts';
import type { Programs } from './programs/program-host.ts';
import type { ResultForm } from './result-form.ts';
import type { Slice, SubModel } from './sub-model.ts';

/** What a tool may use while it runs. */
export interface ToolContext {
  readonly session: Session;
  readonly search: SearchEngine;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Longest wait for one search, milliseconds. */
  readonly searchDeadlineMs: number;
  /** Code points of a result's text at most. */
  readonly maxResultChars: number;
  /** How results are written where the call does not say it (default: as text for a model). */
  readonly form?: ResultForm;
  /** false: nobody reads notes here, so none are made that cost further searches. */
  readonly isExplained?: boolean;
  /** Only this part of the context is to be seen: that of a sub-call with tools. */
  readonly slice?: Slice;
  /** Other stores that this one reads. Absent where there are none. */
  readonly linked?: LinkedStores | undefined;
  /** Set where `session` is that of a linked store: its name. */
  readonly storeName?: string;
  /** Models to ask; absent where there is none. */
  readonly subModel?: SubModel;
  /** Where programs run; absent where there is no such place. */
  readonly programs?: Programs | undefined;
  /** Takes what was found in a few words, for the progress that a user sees. */
  readonly report?: ((text: string) => void) | undefined;
}

/**
 * A tool of ours, offered to the model and run here. Add one: a file, a line in `registry.ts`, its
 * test.
 */
export interface Tool<Args> {
  /** `rlm_` and a verb. */
  readonly name: string;
  /**
   * For the model: when to use it, what comes back, an example. Constant text, paid for in every
   * prompt.
   */
  readonly description: string;
  /** The same in a chat whose store has links, where more is to be said then. */
  readonly linkedDescription?: string;
  readonly args: z.ZodType<Args>;
  /**
   * What does not have to stand in every prompt: details and examples. A call with `help: true`
   * gets it.
   */
  readonly manual?: string;
  /**
   * Short text of what is being done, for progress and logs: `searching 60M characters for "x"`.
   * Holds no stored text.
   */
  describe(args: Args, context: ToolContext): string;
  /**
   * Called as soon as a model has begun to write a call: what takes its time to start can start
   * meanwhile.
   */
  expect?(context: ToolContext): void;
  /**
   * Text for the model, never empty. Throws only on our own failure; bad arguments never reach it.
   */
  run(args: Args, context: ToolContext): Promise<string>;
}
