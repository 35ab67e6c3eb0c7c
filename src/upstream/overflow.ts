/** What a sentence about a prompt that does not fit tells. */
export interface Overflow {
  /**
   * The model's window as the sentence states it, tokens; absent where it states none, or none that
   * can be.
   */
  readonly windowTokens?: number;
}

/**
 * Sentences of one server each. A group is the window. They come before {@link otherMatters}, of
 * which some speak as well.
 */
const knownSentences: readonly RegExp[] = [
  // Anthropic
  /prompt is too long: [\d,]+ tokens > ([\d,]+) maximum/i,
  /input length and .?max_tokens.? exceed context limit: [\d,]+ \+ [\d,]+ > ([\d,]+)/i,
  // Gemini, Vertex
  /input token count.{0,30} exceeds the maximum number of tokens allowed(?: \(([\d,]+)\))?/i,
  /input token count is [\d,]+ but (?:the )?model only supports up to ([\d,]+)/i,
  // OpenAI's newer models
  /input tokens exceed the configured limit of ([\d,]+) tokens/i,
  // GitHub Copilot and Models
  /prompt token count of [\d,]+ exceeds the limit of ([\d,]+)/i,
  /request body too large for .{1,60} model\. max size: ([\d,]+) tokens/i,
  // Moonshot
  /exceeded model token limit:? ?([\d,]+)?/i,
  // Mistral
  /too large for model with ([\d,]+) maximum context length/i,
  // LM Studio
  /trying to keep the first [\d,]+ tokens when context the overflows(?:.{0,80}context length of only ([\d,]+))?/i,
  /number of tokens to keep from the initial prompt is greater than the context length/i,
  // DashScope
  /range of input length should be \[[\d,]+?, ?([\d,]+)\]/i,
  // Text Generation Inference, Together
  /tokens \+ .?max_new_tokens.? must be <=? ?([\d,]+)/i,
  /inputs.? must have less than ([\d,]+) tokens/i,
  // vLLM's engine
  /prompt \(length [\d,]+\) is longer than the maximum model length of ([\d,]+)/i,
  // SGLang
  /input \([\d,]+ tokens\) is longer than the model's context length \(([\d,]+)/i,
  // SiliconFlow
  /length of prompt_tokens.{0,20} must be less than max_seq_len \(([\d,]+)\)/i,
  // Cerebras
  /reduce the length of the messages or completion\. current length is [\d,]+ while limit is ([\d,]+)/i,
  // Fireworks
  /prompt is too long: [\d,]+, model maximum context length: ([\d,]+)/i,
  // Cohere
  /number of tokens in the prompt cannot exceed ([\d,]+)/i,
  // Cloudflare
  /tokens \([\d,]+\) exceeded this model context window limit \(([\d,]+)\)/i,
  // llama.cpp
  /exceeds the available context size(?: \(([\d,]+) tokens\))?/i,
  // Volcengine
  /total tokens of image and text exceed max message tokens/i,
];

/**
 * Something else is too long, too large or too much: words that stand in such a sentence and in no
 * overflow's.
 */
const otherMatters: readonly RegExp[] = [
  /\b(?:image|picture|file|audio|video|pdf|url|attachment|upload|header)s?\b/i,
  /\b(?:name|description|schema|metadata|identifier|id|title|label|stop|enum|property|properties)\b.{0,60}(?:exceed|too (?:long|large)|max(?:imum)? length)/i,
  /string too long/i,
  /\btools?\b.{0,40}(?:exceed|too (?:many|long|large))|too many tools/i,
  /per (?:second|minute|min|hour|day)\b|\bTP[MD]\b|\bRP[MD]\b|rate.?limit/i,
  /max_(?:completion_|output_)?tokens.{0,20} (?:is too large|exceeds|should be|must be)(?!.{0,120}context)/i,
];

/** The same in general words. */
const generalSentences: readonly RegExp[] = [
  /max(?:imum)? (?:context|prompt|model|sequence|allowed input|input) (?:length|size|window|tokens)/i,
  /(?:exceed\w*|overflow\w*|larger|longer|greater|beyond|over|too (?:long|large)).{0,80}\b(?:context|model) (?:length|window|size|limit)/i,
  /context (?:length|window|size|limit).{0,60}(?:exceed|overflow|too (?:long|large|small)|limit)/i,
  /(?:prompt|inputs?|messages|conversation|request)(?: tokens| length| \([^)]*\))?(?: is| are| was)? too (?:long|large)/i,
  /(?:prompt|inputs?|messages|conversation)\b.{0,60}\bexceeds? (?:the )?(?:max|limit|allowed|token)/i,
  /(?:reduce|shorten|decrease) (?:the )?(?:length of )?(?:the |your )?(?:messages|prompt|inputs?|conversation|context)/i,
  /too many (?:input |prompt )?tokens/i,
  /(?:larger|longer) than.{0,40}context/i,
  /(?:输入|提示词?|上下文|对话|prompt).{0,20}(?:过长|太长|超[过出长])/i,
];

/** Where a window stands in the general sentences. */
const statedWindows: readonly RegExp[] = [
  /max(?:imum)? (?:context|prompt|model|sequence|input) (?:length|size|window)(?: of (?:the |this )?[a-z]\w*)?(?: is| of|:)? ?(?:only )?\(?([\d,]+)/i,
  /context (?:length|size|window)(?: limit)?(?: is| of|:)? ?(?:only )?\(?([\d,]+)/i,
  /(?:maximum|limit)(?: length)?(?: is| of|:)? ?([\d,]+)/i,
  /> ?([\d,]+)/,
];

/** Windows outside of these are misread numbers, tokens. */
const smallestWindowTokens = 256;
const largestWindowTokens = 100_000_000;

/**
 * Whether a server's sentence says that the prompt does not fit its model, and what it says of the
 * model's window. Most servers have no code for it. Undefined for every other complaint, also about
 * other things that are too long.
 */
export function readOverflow(sentence: string): Overflow | undefined {
  for (const known of knownSentences) {
    const match = known.exec(sentence);
    if (match !== null) return overflowOf(match[1] ?? windowIn(sentence));
  }
  if (otherMatters.some((other) => other.test(sentence))) return undefined;
  return generalSentences.some((general) => general.test(sentence))
    ? overflowOf(windowIn(sentence))
    : undefined;
}

function windowIn(sentence: string): string | undefined {
  for (const stated of statedWindows) {
    const window = stated.exec(sentence)?.[1];
    if (window !== undefined) return window;
  }
  return undefined;
}

function overflowOf(window: string | undefined): Overflow {
  const windowTokens = Number((window ?? '').replaceAll(',', ''));
  const canBe = windowTokens >= smallestWindowTokens && windowTokens <= largestWindowTokens;
  return canBe ? { windowTokens } : {};
}
