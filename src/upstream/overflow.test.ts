import { expect, it } from 'vitest';
import { readOverflow } from './overflow.ts';

it.each<[string, string, number | undefined]>([
  [
    'OpenAI',
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 130012 tokens. Please reduce the length of the messages.",
    128_000,
  ],
  [
    'OpenAI, newer',
    'Your input exceeds the context window of this model. Please adjust your input and try again.',
    undefined,
  ],
  [
    'OpenAI, newest',
    'Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.',
    272_000,
  ],
  ['Anthropic', 'prompt is too long: 208310 tokens > 200000 maximum', 200_000],
  [
    'Anthropic, with the answer',
    'input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again',
    200_000,
  ],
  [
    'Gemini',
    'The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).',
    1_048_575,
  ],
  [
    'Gemini, short',
    'The input token count exceeds the maximum number of tokens allowed',
    undefined,
  ],
  [
    'Vertex',
    'Unable to submit request because the input token count is 40000 but model only supports up to 32768. Reduce the input token count and try again.',
    32_768,
  ],
  [
    'Bedrock',
    'The model returned the following errors: Input is too long for requested model.',
    undefined,
  ],
  [
    'xAI',
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    131_072,
  ],
  ['Groq', 'Please reduce the length of the messages or completion.', undefined],
  [
    'Cerebras',
    'Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192',
    8_192,
  ],
  [
    'Mistral',
    'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
    32_768,
  ],
  [
    'Moonshot',
    'Invalid request: Your request exceeded model token limit: 262144 (requested: 270000)',
    262_144,
  ],
  [
    'DeepSeek',
    "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (66000 in the messages, 4000 in the completion).",
    65_536,
  ],
  ['GLM', 'Prompt exceeds max length', undefined],
  ['GLM, in Chinese', '输入内容过长，请缩短后重试', undefined],
  ['MiniMax', 'invalid params, context window exceeds limit (2013)', undefined],
  ['DashScope', 'Range of input length should be [1, 129024]', 129_024],
  [
    'Cohere',
    'too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.',
    4_081,
  ],
  [
    'Text Generation Inference',
    'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` tokens and 1000 `max_new_tokens`',
    8_193,
  ],
  [
    'Text Generation Inference, input alone',
    'Input validation error: `inputs` must have less than 4095 tokens. Given: 5000',
    4_095,
  ],
  [
    'vLLM',
    'The decoder prompt (length 5000) is longer than the maximum model length of 4096.',
    4_096,
  ],
  [
    'vLLM, requested',
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages.",
    4_096,
  ],
  [
    'vLLM, answer and prompt',
    "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 8192 tokens and your request has 2000 input tokens.",
    8_192,
  ],
  [
    'SGLang',
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    4_096,
  ],
  [
    'SGLang, requested',
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens.",
    4_096,
  ],
  ['llama.cpp', 'the request exceeds the available context size. try increasing it', undefined],
  [
    'llama.cpp, with sizes',
    'request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it',
    4_096,
  ],
  ['llama.cpp, old', 'input is larger than the max context size. skipped', undefined],
  [
    'LM Studio',
    'Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.',
    4_096,
  ],
  [
    'LM Studio, newer',
    'The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length',
    undefined,
  ],
  ['Ollama', 'the input length exceeds the context length', undefined],
  ['Ollama, cloud', 'prompt too long; exceeded max context length by 4000 tokens', undefined],
  [
    'OpenRouter',
    "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (140000 of text input).",
    131_072,
  ],
  ['Fireworks', 'The prompt is too long: 5000, model maximum context length: 4096', 4_096],
  ['GitHub Copilot', 'prompt token count of 140000 exceeds the limit of 128000', 128_000],
  ['GitHub Models', 'Request body too large for gpt-4o model. Max size: 8000 tokens.', 8_000],
  ['SiliconFlow', 'length of prompt_tokens (34000) must be less than max_seq_len (32768).', 32_768],
  [
    'SambaNova',
    'The maximum context length of the model is 8192. However, answering your request will take 9000 tokens. Please reduce the length of the messages.',
    8_192,
  ],
  [
    'Cloudflare',
    'The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (8192).',
    8_192,
  ],
  ['Volcengine', 'Total tokens of image and text exceed max message tokens.', undefined],
  ['Qianfan', 'Prompt tokens too long', undefined],
])('knows that a prompt does not fit from the words of %s', (_server, sentence, windowTokens) => {
  expect(readOverflow(sentence)).toEqual(windowTokens === undefined ? {} : { windowTokens });
});

it.each([
  'Tool name exceeds the maximum length of 64',
  "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got a string with length 80 instead.",
  "Invalid 'messages[3].tool_calls[0].id': string too long. Expected a string with maximum length 40.",
  'max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.',
  'Range of max_tokens should be [1, 8192]',
  'The value of max_tokens exceeds the limit of 8192.',
  'Rate limit reached for tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.',
  'Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000.',
  'messages.0.content.1.image.source.base64: image exceeds 5 MB maximum',
  'The input file is too large: at most 20 MB.',
  'The description of the tool exceeds the maximum length of 1024 characters.',
  'Too many tools: at most 128 are allowed.',
  'Metadata value exceeds the maximum length of 512.',
  'temperature exceeds the maximum of 2',
  'Request exceeds the limit of 20 requests per minute.',
  'Invalid schema: the nesting exceeds the limit of 5 levels.',
  'The request URL is too long.',
  'The thinking budget must be smaller than max_tokens.',
  'Unsupported parameter: context is not supported with this model.',
  'The model is overloaded; the maximum number of requests is reached.',
  'stop sequences: the list is too long, maximum length 4',
])('takes no other complaint for it: %s', (sentence) => {
  expect(readOverflow(sentence)).toBeUndefined();
});
