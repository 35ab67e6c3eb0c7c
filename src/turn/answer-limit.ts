import type { Chunk } from '../wire/types.ts';

/** What an upstream may say in one turn, over all its steps. */
export interface AnswerLimits {
  /** Text, reasoning and arguments of calls, UTF-16 code units. */
  readonly maxChars: number;
  /** Tool calls. */
  readonly maxCalls: number;
}

/** Counts what an upstream says in one turn, and ends it where it would never end by itself. */
export class AnswerLimit {
  readonly #limits: AnswerLimits;
  #chars = 0;
  #calls = 0;

  constructor(limits: AnswerLimits) {
    this.#limits = limits;
  }

  /**
   * What of a batch is within the limits, and the sentence for the user where that is not all of
   * it.
   */
  take(batch: readonly Chunk[]): { readonly kept: readonly Chunk[]; readonly sentence?: string } {
    for (const [at, chunk] of batch.entries()) {
      const leftChars = this.#limits.maxChars - this.#chars;
      this.#chars += charsOf(chunk);
      for (const { id } of chunk.toolCalls ?? []) if (id !== undefined) this.#calls += 1;
      const sentence = this.#sentence();
      if (sentence === undefined) continue;
      const content = chunk.content?.slice(0, Math.max(0, leftChars)) ?? '';
      const cut = content === '' ? [] : [{ content: content.toWellFormed() }];
      return { kept: [...batch.slice(0, at), ...cut], sentence };
    }
    return { kept: batch };
  }

  #sentence(): string | undefined {
    const { maxChars, maxCalls } = this.#limits;
    if (this.#chars > maxChars) {
      return `Cut by the limit turn.answerChars: the model said more than ${maxChars} characters in one turn.`;
    }
    return this.#calls > maxCalls
      ? `Cut by the limit turn.answerCalls: the model made more than ${maxCalls} calls in one turn.`
      : undefined;
  }
}

function charsOf({ content = '', reasoning = '', refusal = '', toolCalls = [] }: Chunk): number {
  let chars = content.length + reasoning.length + refusal.length;
  for (const call of toolCalls) chars += call.arguments.length + (call.name?.length ?? 0);
  return chars;
}
