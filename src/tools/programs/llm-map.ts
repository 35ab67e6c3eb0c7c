import { z } from 'zod';
import { ProxyError } from '../../errors.ts';
import { checkArguments, type ToolShape } from '../call-door.ts';
import { countChars } from '../pieces.ts';
import { askAll, type SubModel, type SubQuestion } from '../sub-model.ts';
import type { ToolContext } from '../tool.ts';
import { answerCheck, fullSchema, type AnswerCheck } from './answer-schema.ts';

/** Tokens of one answer at most, where the program sets no bound. */
const defaultAnswerTokens = 4_000;

/** An answer that may have fewer tokens than this is not worth asking for. */
const minAnswerTokens = 64;

/** Beside the item: roles, tags, and how the provider frames messages. */
const frameTokens = 200;

const mapOptions: ToolShape = {
  name: 'llm_map(items, task, options)',
  args: z.strictObject({
    schema: z.unknown().optional(),
    maxCalls: z.int().min(1).optional(),
    maxTokens: z.int().min(1).optional(),
  }),
};

interface MapOptions {
  readonly schema?: unknown;
  readonly maxCalls?: number;
  readonly maxTokens?: number;
}

/** What the whole map may cost, known before the first call. */
interface Bound {
  readonly calls: number;
  readonly tokens: number;
  /** Of one answer. */
  readonly answerTokens: number;
}

/** What became of a map, as programs see it. */
interface MapResult {
  /** In the order of the items; `null` for one without an answer. */
  readonly results: readonly unknown[];
  readonly done: number;
  readonly failed: readonly { readonly index: number; readonly error: string }[];
  readonly calls: number;
  /** What it could have cost at most. */
  readonly bound: { readonly calls: number; readonly tokens: number };
}

/**
 * Asks a sub-model the same about each item. Refuses before the first call what may cost more than
 * is left or allowed; an answer that does not fit the schema is asked for once more, as far as the
 * bound allows.
 */
export async function mapItems(
  [items, task, given]: readonly unknown[],
  context: ToolContext,
): Promise<MapResult> {
  const { subModel, signal } = context;
  if (subModel === undefined) throw refusal('there is no sub-model here');
  const texts = z.array(z.string()).parse(items);
  const read = checkArguments(given, mapOptions);
  if (!read.ok) throw refusal(read.fault);
  const options = read.args as MapOptions;
  const check = options.schema === undefined ? undefined : answerCheck(options.schema);
  if (typeof check === 'string') throw refusal(check);
  const question = questionOf(String(task), options.schema);
  const bound = boundOf(texts, question, { options, hasSchema: check !== undefined, subModel });
  const round = new MapRound(texts, { question, check, bound, subModel });
  await round.ask(
    texts.map((_, index) => index),
    signal,
  );
  const again = round.misfits.slice(0, bound.calls - round.calls);
  if (again.length > 0) await round.ask(again, signal);
  return round.result();
}

function questionOf(task: string, schema: unknown): string {
  if (schema === undefined) return task;
  return `${task}\n\nAnswer with JSON alone, no other words, that fits this schema: ${JSON.stringify(fullSchema(schema))}`;
}

/** The bound; throws where it is above what is allowed or left. */
function boundOf(
  texts: readonly string[],
  question: string,
  {
    options,
    hasSchema,
    subModel,
  }: {
    readonly options: MapOptions;
    readonly hasSchema: boolean;
    readonly subModel: SubModel;
  },
): Bound {
  const { left, maxTextChars } = subModel;
  const tooLong = texts.findIndex((text) => countChars(text) + countChars(question) > maxTextChars);
  if (tooLong >= 0)
    throw refusal(
      `item ${tooLong} and the task are longer than the ${maxTextChars} characters that the sub-model takes: cut it into several items`,
    );
  const most = Math.min(options.maxCalls ?? Infinity, left.calls);
  if (texts.length > most)
    throw refusal(
      `${texts.length} items are ${texts.length} calls; ${options.maxCalls !== undefined && options.maxCalls <= left.calls ? `maxCalls is ${options.maxCalls}` : `${left.calls} are left in this turn`}. Nothing was asked: let code choose fewer items, or put several into one`,
    );
  const calls = hasSchema ? Math.min(2 * texts.length, most) : texts.length;
  const perItem = texts.map((text) => tokensOf(text) + tokensOf(question) + frameTokens);
  const once = perItem.reduce((sum, tokens) => sum + tokens, 0);
  // Those that are asked for again are at worst the longest.
  const repeated = perItem.toSorted((a, b) => b - a).slice(0, calls - texts.length);
  const promptTokens = repeated.reduce((sum, tokens) => sum + tokens, once);
  const allowed = Math.min(options.maxTokens ?? Infinity, left.tokens);
  const share = Math.floor((allowed - promptTokens) / Math.max(1, calls));
  const answerTokens = Math.min(defaultAnswerTokens, share);
  const tokens = promptTokens + calls * answerTokens;
  if (texts.length > 0 && answerTokens < minAnswerTokens)
    throw refusal(
      `${texts.length} items need about ${promptTokens} tokens to be read and ${calls} answers beside; ${options.maxTokens !== undefined && options.maxTokens <= left.tokens ? `maxTokens is ${options.maxTokens}` : `${left.tokens} tokens are left`}. Nothing was asked: take fewer or shorter items`,
    );
  return { calls, tokens, answerTokens };
}

/** Tokens of a text at most: three ASCII characters, or less than one other, make one. */
function tokensOf(text: string): number {
  let ascii = 0;
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) < 128) ascii += 1;
  return Math.ceil(ascii / 3 + (text.length - ascii) * 1.5);
}

interface RoundParts {
  readonly question: string;
  readonly check: AnswerCheck | undefined;
  readonly bound: Bound;
  readonly subModel: SubModel;
}

interface MapQuestion extends SubQuestion {
  readonly index: number;
}

/** The answers as they come, in one round or two. */
class MapRound {
  readonly #texts: readonly string[];
  readonly #parts: RoundParts;
  readonly #results: unknown[];
  readonly #faults = new Map<number, string>();
  /** Items whose answers do not fit the schema. */
  misfits: number[] = [];
  calls = 0;

  constructor(texts: readonly string[], parts: RoundParts) {
    this.#texts = texts;
    this.#parts = parts;
    this.#results = texts.map(() => null);
  }

  async ask(indexes: readonly number[], signal: AbortSignal): Promise<void> {
    const questions = this.#questions(indexes);
    this.misfits = [];
    this.calls += indexes.length;
    for (const answer of await askAll(questions, this.#parts.subModel, signal)) {
      const { index } = answer.asked;
      if (!answer.ok) {
        this.#faults.set(index, answer.error);
        continue;
      }
      const checked = this.#parts.check?.(answer.text) ?? { ok: true, value: answer.text };
      if (checked.ok) {
        this.#results[index] = checked.value;
        this.#faults.delete(index);
      } else {
        this.#faults.set(index, `the answer does not fit the schema: ${checked.fault}`);
        this.misfits.push(index);
      }
    }
  }

  async *#questions(indexes: readonly number[]): AsyncGenerator<MapQuestion, void, void> {
    const { question, bound } = this.#parts;
    for (const [at, index] of indexes.entries()) {
      const fault = this.#faults.get(index);
      yield {
        index,
        question: fault === undefined ? question : `${question}\n(Of an earlier answer: ${fault})`,
        text: this.#texts[index],
        maxAnswerTokens: bound.answerTokens,
        label: `item ${at + 1} of ${indexes.length}`,
      };
    }
  }

  result(): MapResult {
    const { calls, tokens } = this.#parts.bound;
    const failed = [...this.#faults].map(([index, error]) => ({ index, error }));
    return {
      results: this.#results,
      done: this.#results.length - failed.length,
      failed: failed.toSorted((a, b) => a.index - b.index),
      calls: this.calls,
      bound: { calls, tokens },
    };
  }
}

function refusal(message: string): ProxyError {
  return new ProxyError('limit_reached', `llm_map: ${message}`);
}
