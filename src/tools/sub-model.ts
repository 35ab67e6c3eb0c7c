/**
 * A part of the context that a sub-call is confined to. Start inclusive, end exclusive, of the
 * whole context.
 */
export interface Slice {
  readonly startChars: number;
  readonly endChars: number;
  readonly startBytes: number;
  readonly endBytes: number;
}

/** One question to a sub-model. */
export interface SubQuestion {
  readonly question: string;
  /** What it is about, given to the model to read. At most {@link SubModel.maxTextChars}. */
  readonly text?: string | undefined;
  /** What the text is, a sentence: `It is part 3 of 12: src/x.ts (e7), lines 400-620.` */
  readonly textName?: string;
  /** What is to be done (default: `read`). `merge`: the text holds answers to be made one. */
  readonly task?: 'read' | 'merge';
  /**
   * Instead of a text: the part of the context that the sub-call explores with tools of its own.
   */
  readonly slice?: Slice;
  /** Tokens of the answer at most. Absent: what the model gives. */
  readonly maxAnswerTokens?: number;
  /** For progress: `part 3, characters 120000-180000`. Holds no stored text. */
  readonly label: string;
}

/** Models that a tool may ask. All share the turn's budget. */
export interface SubModel {
  /**
   * Longest text of one question, code points: what fits the sub-model's window beside question and
   * answer.
   */
  readonly maxTextChars: number;
  /** How many questions may be under way at once. */
  readonly concurrency: number;
  /** Whether a sub-call made here may have tools (`slice`): false at the last depth. */
  readonly mayExplore: boolean;
  /** Sub-calls and tokens that may still be used. */
  readonly left: { readonly calls: number; readonly tokens: number };
  /**
   * The answer. @throws ProxyError of the upstream; `limit_reached` with the budget's sentence;
   * `cancelled`
   */
  ask(question: SubQuestion, signal: AbortSignal): Promise<string>;
}

/** An answer, or the sentence that says why there is none. */
export type SubAnswer<Asked> =
  | { readonly ok: true; readonly asked: Asked; readonly text: string }
  | { readonly ok: false; readonly asked: Asked; readonly error: string };

/**
 * Asks all questions, so many at once as the sub-model allows, and pulls the next one only when one
 * is answered. Answers come in the order of the questions; one that fails leaves the others alone.
 * After an abort it waits until nothing is under way, then throws the signal's reason.
 */
export async function askAll<Asked extends SubQuestion>(
  questions: AsyncIterable<Asked>,
  subModel: SubModel,
  signal: AbortSignal,
): Promise<readonly SubAnswer<Asked>[]> {
  const answers: SubAnswer<Asked>[] = [];
  const source = questions[Symbol.asyncIterator]();
  let next = 0;
  let isDone = false;
  const work = async (): Promise<void> => {
    while (!isDone && !signal.aborted) {
      const index = next;
      next += 1;
      const pulled = await source.next();
      if (pulled.done === true) {
        isDone = true;
        return;
      }
      answers[index] = await askOne(pulled.value, subModel, signal);
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: subModel.concurrency }, work));
  signal.throwIfAborted();
  const broken = settled.find((one) => one.status === 'rejected');
  if (broken !== undefined) throw broken.reason;
  return answers;
}

async function askOne<Asked extends SubQuestion>(
  asked: Asked,
  subModel: SubModel,
  signal: AbortSignal,
): Promise<SubAnswer<Asked>> {
  try {
    return { ok: true, asked, text: await subModel.ask(asked, signal) };
  } catch (error) {
    return { ok: false, asked, error: error instanceof Error ? error.message : String(error) };
  }
}
