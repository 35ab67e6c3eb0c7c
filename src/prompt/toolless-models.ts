import { ProxyError } from '../errors.ts';
import type { Envelope } from '../wire/types.ts';

/**
 * Sentences in which servers say that a model takes no tools: Ollama, vLLM, OpenRouter, OpenAI's
 * and their kin.
 */
const refusals = [
  /\bdo(?:es)?(?:n't| not) support (?:the use of )?(?:tools?|tool[ -]us(?:e|ing)|tool[ -]call(?:s|ing)?|functions?|function[ -]call(?:s|ing)?)\b/i,
  /\b(?:tools?|tool[ _]choice|tool[ -](?:use|calls|calling)|functions?|function[ -]calling)\b.{0,60}\b(?:not supported|unsupported|not available|not enabled|not allowed)\b/i,
  /\bno endpoints found that support tool use\b/i,
  /\btool choice requires\b.{0,60}--enable-auto-tool-choice/i,
];

/** The same where it is only JSON mode that takes none: Groq. */
const jsonRefusal =
  /\b(?:json mode|response[ _]format|structured outputs?)\b.{0,80}\b(?:tools?|function)\b|\b(?:tools?|function)\b.{0,80}\b(?:json mode|response[ _]format|structured outputs?)\b/i;

/**
 * Models that have refused our tools. To them a chat goes on without: what would be a stub stands
 * there whole.
 */
export class ToollessModels {
  readonly #models = new Set<string>();

  /** Whether a model is to get no tools in such a request. */
  has(model: string, envelope: Envelope): boolean {
    return this.#models.has(model) || (asksForJson(envelope) && this.#models.has(jsonName(model)));
  }

  /** As they are told to people. */
  get names(): readonly string[] {
    return [...this.#models];
  }

  /**
   * Takes note of a refusal, where it is one: its name if it was not known, '' if it was, nothing
   * for any other failure.
   */
  note(error: unknown, model: string, envelope: Envelope): string | undefined {
    if (!(error instanceof ProxyError) || !refusalCodes.has(error.code)) return undefined;
    const isAboutJson = asksForJson(envelope) && jsonRefusal.test(error.message);
    if (!isAboutJson && !refusals.some((sentence) => sentence.test(error.message)))
      return undefined;
    const name = isAboutJson ? jsonName(model) : model;
    if (this.#models.has(name)) return '';
    this.#models.add(name);
    return name;
  }
}

const refusalCodes: ReadonlySet<string> = new Set(['upstream_rejected', 'unknown_model']);

function jsonName(model: string): string {
  return `${model} with response_format`;
}

function asksForJson(envelope: Envelope): boolean {
  const format = envelope['response_format'];
  if (typeof format !== 'object' || format === null) return false;
  return ((format as { readonly type?: unknown }).type ?? 'text') !== 'text';
}
