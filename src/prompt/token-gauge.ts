import type { Clock } from '../clock.ts';
import type { PromptSize } from './prompt-cost.ts';

/**
 * The bytes of prompt JSON in a token where nothing has been measured. English text, code and JSON
 * lie between 3.2 and 4.2.
 */
const defaultBytesPerToken = 3.6;

/** Counts that are remembered of a model: a few wrong ones do not move the middle of so many. */
const maxCounts = 7;

/** No text has more bytes in a token than this, and none has less than one. */
const maxBytesPerToken = 12;

/**
 * A count may be so much above what all bytes together could be: templates, hidden instructions of
 * a provider. Tokens.
 */
const templateTokens = 2_000;

/** What parts cost may differ so much from what is estimated. */
const maxPartScale = 8;
const minPartScale = 0.05;

/**
 * Where parts are estimated at less than this share of a count it tells of the text, above the
 * other one of the parts.
 */
const fewParts = 0.1;
const manyParts = 0.3;

/**
 * A window that refusals have stated is believed for so long, milliseconds: servers are started
 * anew with others.
 */
const statedForMs = 3_600_000;

/**
 * So many refusals have to state the same window: what leaves a prompt for it does not come back.
 */
const statedTimes = 2;

interface StatedWindow {
  readonly tokens: number;
  readonly times: number;
  readonly atMs: number;
}

interface Learned {
  readonly bytesPerToken: Counts;
  readonly partScale: Counts;
  toldImplausible: boolean;
  stated?: StatedWindow | undefined;
}

/** What is known of a model's token counts, as it can be written down. */
export interface LearnedCounts {
  /** The last measurements, oldest first. */
  readonly bytesPerToken: readonly number[];
  readonly partScale: readonly number[];
  /** The window that refusals have stated, tokens; absent where it is not believed. */
  readonly windowTokens?: number | undefined;
}

/** What a count came to. */
export type Learning = 'taken' | 'ignored' | 'implausible' | 'implausible again';

/**
 * Learns from the upstream's own counts how many bytes of prompt make a token, per model, and what
 * parts that are no text cost. What leaves a prompt does not come back, so no single count decides:
 * the middle of the last few does, and what cannot be true is not among them.
 */
export class TokenGauge {
  readonly #learned = new Map<string, Learned>();
  readonly #clock: Pick<Clock, 'elapsedMs'>;

  constructor(clock: Pick<Clock, 'elapsedMs'>) {
    this.#clock = clock;
  }

  /**
   * The window of a model, tokens: the configured one, or a smaller one that refusals have stated
   * lately, several of them the same. A longer prompt that was taken since has refuted them.
   */
  windowTokens(model: string, configuredTokens: number | undefined): number | undefined {
    const stated = this.#learned.get(model)?.stated;
    if (stated === undefined || stated.times < statedTimes) return configuredTokens;
    if (this.#clock.elapsedMs() - stated.atMs > statedForMs) return configuredTokens;
    return Math.min(configuredTokens ?? Infinity, stated.tokens);
  }

  /** Takes in the window that the refusal of a prompt has stated. */
  learnWindow(model: string, tokens: number): void {
    const learned = this.#of(model);
    const atMs = this.#clock.elapsedMs();
    const before = learned.stated;
    const isSame = before?.tokens === tokens && atMs - before.atMs <= statedForMs;
    learned.stated = { tokens, times: isSame ? before.times + 1 : 1, atMs };
  }

  /** Bytes in a token of this model's prompts, as far as is known. */
  bytesPerToken(model: string): number {
    return this.#learned.get(model)?.bytesPerToken.middle ?? defaultBytesPerToken;
  }

  /** By what the estimated cost of parts is to be multiplied. */
  partScale(model: string): number {
    return this.#learned.get(model)?.partScale.middle ?? 1;
  }

  /**
   * Whether a count can be true of a prompt of this size: no more than the window and than a token
   * a byte, no fewer than a token for a dozen bytes.
   */
  isPlausible(size: PromptSize, promptTokens: number, windowTokens = Infinity): boolean {
    const most = size.textBytes + size.partTokens * maxPartScale + templateTokens;
    const least = size.textBytes / maxBytesPerToken - templateTokens;
    return promptTokens <= Math.min(most, windowTokens) && promptTokens >= least;
  }

  /**
   * Takes in what the upstream counted for a prompt of this size. Small prompts say more about
   * templates than about text.
   */
  learn(
    model: string,
    size: PromptSize,
    {
      promptTokens,
      windowTokens,
    }: { readonly promptTokens: number; readonly windowTokens?: number | undefined },
  ): Learning {
    const learned = this.#of(model);
    if (!this.isPlausible(size, promptTokens, windowTokens)) {
      const isFirst = !learned.toldImplausible;
      learned.toldImplausible = true;
      return isFirst ? 'implausible' : 'implausible again';
    }
    if (promptTokens > (learned.stated?.tokens ?? Infinity)) learned.stated = undefined;
    if (promptTokens < 1_000) return 'ignored';
    const { textBytes } = size;
    const parts = size.partTokens * this.partScale(model);
    if (parts < promptTokens * fewParts && textBytes >= 4_000) {
      const measured = textBytes / (promptTokens - parts);
      learned.bytesPerToken.note(Math.min(maxBytesPerToken, Math.max(1, measured)));
      return 'taken';
    }
    if (parts < promptTokens * manyParts) return 'ignored';
    const measured = (promptTokens - textBytes / this.bytesPerToken(model)) / size.partTokens;
    learned.partScale.note(Math.min(maxPartScale, Math.max(minPartScale, measured)));
    return 'taken';
  }

  /**
   * Takes in that a prompt of this weight was too long for a window: it has more tokens than that.
   * One refusal at most halves what was known.
   */
  learnRefusal(model: string, weighedBytes: number, windowTokens: number): void {
    const known = this.bytesPerToken(model);
    const most = Math.max(1, known / 2, weighedBytes / windowTokens);
    if (most >= known) return;
    const { bytesPerToken } = this.#of(model);
    // The upstream has said it, and the next prompt must be smaller: that moves the middle at once.
    while (this.bytesPerToken(model) > most) bytesPerToken.note(most);
  }

  /** All that is known of a model; undefined where nothing is. */
  learned(model: string): LearnedCounts | undefined {
    const learned = this.#learned.get(model);
    return (
      learned && {
        bytesPerToken: learned.bytesPerToken.all,
        partScale: learned.partScale.all,
        windowTokens: this.windowTokens(model, undefined),
      }
    );
  }

  /** Takes it for known, in place of what was. */
  assume(model: string, { bytesPerToken, partScale, windowTokens }: LearnedCounts): void {
    this.#learned.delete(model);
    const learned = this.#of(model);
    for (const count of bytesPerToken.slice(-maxCounts)) learned.bytesPerToken.note(count);
    for (const count of partScale.slice(-maxCounts)) learned.partScale.note(count);
    if (windowTokens === undefined) return;
    learned.stated = {
      tokens: windowTokens,
      times: statedTimes,
      atMs: this.#clock.elapsedMs(),
    };
  }

  #of(model: string): Learned {
    let learned = this.#learned.get(model);
    if (learned === undefined) {
      learned = {
        bytesPerToken: new Counts(defaultBytesPerToken),
        partScale: new Counts(1),
        toldImplausible: false,
      };
      this.#learned.set(model, learned);
    }
    return learned;
  }
}

/** What was measured lately, and the middle of it and of what holds where nothing was. */
class Counts {
  readonly #counts: number[] = [];
  readonly #unmeasured: number;
  middle: number;

  constructor(unmeasured: number) {
    this.#unmeasured = unmeasured;
    this.middle = unmeasured;
  }

  /** Oldest first. */
  get all(): readonly number[] {
    return [...this.#counts];
  }

  note(count: number): void {
    this.#counts.push(count);
    if (this.#counts.length > maxCounts) this.#counts.shift();
    this.middle = middle([this.#unmeasured, ...this.#counts]);
  }
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(at)] as number) + (sorted[Math.ceil(at)] as number)) / 2;
}
