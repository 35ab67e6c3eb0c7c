import type { CellLog } from './cells.ts';
import { openCases, type BareUpstream, type BenchPlan } from './rlm-bench.ts';

/**
 * Tokens of one question through the proxy where no earlier cell tells: three steps of a 5K prompt.
 */
const guessedPromptTokens = 15_000;
const guessedCompletionTokens = 600;

/** English text and logs, characters a token. */
const charsPerToken = 4;

/** Per million tokens. */
interface Prices {
  readonly input: number;
  readonly output: number;
}

/** What a run will take, before anything is asked. */
export interface Estimate {
  readonly questions: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly sentence: string;
}

/**
 * Counts what is still open and values it: by what the log says of the same model, else by a guess.
 */
export function estimateRun(
  plan: BenchPlan,
  log: CellLog,
  options: { readonly bare?: BareUpstream | undefined; readonly prices?: Prices | undefined },
): Estimate {
  const known = log.cells.filter((cell) => cell.system === 'rlm' && cell.model === plan.model);
  const mean = (pick: (cell: (typeof known)[number]) => number, guess: number): number =>
    known.length === 0 ? guess : known.reduce((sum, cell) => sum + pick(cell), 0) / known.length;
  const promptEach = mean((cell) => cell.promptTokens, guessedPromptTokens);
  const completionEach = mean((cell) => cell.completionTokens, guessedCompletionTokens);
  const { bare, prices } = options;
  let questions = 0;
  let promptTokens = 0;
  for (const open of openCases(plan, log, bare !== undefined)) {
    questions += open.questions.length;
    promptTokens += open.questions.length * promptEach;
    if (bare !== undefined && open.sizeChars <= bare.windowChars)
      promptTokens += (open.questions.length * open.sizeChars) / charsPerToken;
  }
  const completionTokens = questions * completionEach * (bare === undefined ? 1 : 2);
  const cost =
    prices === undefined
      ? 'no prices are configured'
      : `about ${((promptTokens * prices.input + completionTokens * prices.output) / 1e6).toFixed(2)} in the currency of the configured prices`;
  const basis = known.length === 0 ? 'guessed' : `from ${known.length} earlier answers`;
  return {
    questions,
    promptTokens,
    completionTokens,
    sentence: `${questions} questions to ask (${plan.model}): about ${grouped(promptTokens)} prompt and ${grouped(completionTokens)} output tokens, ${basis}; ${cost}.`,
  };
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
