import { askServer, type AskResult, type AskTarget } from './asking.ts';
import type { BenchCase, BenchDocument, BenchKind, BenchQuestion } from './cases.ts';
import { cellKey, type BenchCell, type BenchSystem, type CellLog } from './cells.ts';
import { generators } from './generators/generators.ts';

/** What to run. */
export interface BenchPlan {
  readonly kind: BenchKind;
  readonly sizesChars: readonly number[];
  readonly seeds: readonly number[];
  /** Only these question ids; absent: all. */
  readonly questions?: readonly string[] | undefined;
  /** Leaves out questions that only a model can answer. */
  readonly scriptedOnly: boolean;
  readonly model: string;
}

/** A server with a data directory of its own that holds one case. */
export interface BenchServer {
  readonly target: AskTarget;
  readonly storedChars: number;
  readonly ingestMs: number;
  /** Everything in the data directory, bytes. */
  diskBytes(): Promise<number>;
  /** The most memory that the server's process has held, bytes. */
  peakMemoryBytes(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The upstream without the proxy. */
export interface BareUpstream {
  readonly target: AskTarget;
  /** Most text that goes into one prompt, characters. */
  readonly windowChars: number;
}

/** What the runner needs of the world. */
export interface BenchWorld {
  openServer(documents: readonly BenchDocument[]): Promise<BenchServer>;
  readonly bare?: BareUpstream | undefined;
  onCell(cell: BenchCell): void;
  onStored(stored: {
    readonly sizeChars: number;
    readonly seed: number;
    readonly ingestMs: number;
  }): void;
  readonly signal: AbortSignal;
}

/** Questions that are not in the log yet, by case. */
export interface OpenCase {
  readonly sizeChars: number;
  readonly seed: number;
  readonly systems: readonly BenchSystem[];
  readonly made: BenchCase;
  readonly questions: readonly BenchQuestion[];
}

/** What is still to be asked. Generators are cheap until their texts are pulled. */
export function* openCases(
  plan: BenchPlan,
  log: CellLog,
  hasBare: boolean,
): Generator<OpenCase, void, void> {
  const systems: readonly BenchSystem[] = hasBare ? ['rlm', 'bare'] : ['rlm'];
  for (const sizeChars of plan.sizesChars)
    for (const seed of plan.seeds) {
      const made = generators[plan.kind](seed, sizeChars);
      const questions = made.questions.filter(
        (one) =>
          (one.scriptable || !plan.scriptedOnly) &&
          (plan.questions?.includes(one.id) ?? true) &&
          systems.some((system) => !log.has(keyOf(plan, { sizeChars, seed }, one, system))),
      );
      if (questions.length > 0) yield { sizeChars, seed, systems, made, questions };
    }
}

/** Asks every open question of the plan and logs each answer at once. */
export async function runBench(plan: BenchPlan, log: CellLog, world: BenchWorld): Promise<void> {
  for (const open of openCases(plan, log, world.bare !== undefined)) {
    await using server = await world.openServer(open.made.documents);
    const { storedChars, ingestMs } = server;
    world.onStored({ sizeChars: open.sizeChars, seed: open.seed, ingestMs });
    for (const question of open.questions)
      for (const system of open.systems) {
        world.signal.throwIfAborted();
        if (log.has(keyOf(plan, open, question, system))) continue;
        const result =
          system === 'rlm'
            ? await askServer(server.target, question.question, world.signal)
            : await askBare(world.bare as BareUpstream, open.made, question, world.signal);
        const { text, ...measured } = result;
        const cell: BenchCell = {
          ...measured,
          kind: plan.kind,
          sizeChars: open.sizeChars,
          seed: open.seed,
          question: question.id,
          system,
          model: plan.model,
          score: result.error === undefined ? question.score(text) : 0,
          answer: text.slice(0, 500),
          peakMemoryBytes: await server.peakMemoryBytes(),
          diskBytes: await server.diskBytes(),
          storedChars,
          ingestMs,
        };
        await log.add(cell);
        world.onCell(cell);
      }
  }
}

/**
 * The whole text and the question in one prompt, as without the proxy. Text that cannot fit is not
 * sent: the answer is a failure by size.
 */
async function askBare(
  bare: BareUpstream,
  made: BenchCase,
  question: BenchQuestion,
  signal: AbortSignal,
): Promise<AskResult> {
  let text = '';
  for (const document of made.documents) {
    text += `--- ${document.path} ---\n`;
    for (const chunk of document.chunks()) {
      text += chunk;
      if (text.length > bare.windowChars)
        return {
          ...nothing,
          error: `the text does not fit the window of ${bare.windowChars} characters`,
        };
    }
  }
  return askServer(bare.target, `${text}\n\n${question.question}`, signal);
}

const nothing: AskResult = {
  text: '',
  elapsedMs: 0,
  upstreamCalls: 0,
  toolCalls: 0,
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
};

function keyOf(
  plan: BenchPlan,
  { sizeChars, seed }: { readonly sizeChars: number; readonly seed: number },
  question: BenchQuestion,
  system: BenchSystem,
): string {
  return cellKey({
    kind: plan.kind,
    sizeChars,
    seed,
    question: question.id,
    system,
    model: plan.model,
  });
}
