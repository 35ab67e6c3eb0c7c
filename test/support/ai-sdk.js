// The AI SDK behind a few types of our own (ai-sdk.d.ts): its published types do not pass this
// project's compiler settings.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';

function question({ baseURL, model, prompt, tools, headers, maxSteps = 1 }) {
  const provider = createOpenAICompatible({
    name: 'rlm',
    baseURL,
    apiKey: 'any',
    includeUsage: true,
    ...(headers === undefined ? {} : { headers }),
  });
  const offered = Object.entries(tools).map(([name, { description, parameters, execute }]) => [
    name,
    tool({
      description,
      inputSchema: jsonSchema(parameters),
      ...(execute === undefined ? {} : { execute }),
    }),
  ]);
  return {
    model: provider(model),
    prompt,
    tools: Object.fromEntries(offered),
    maxRetries: 0,
    stopWhen: stepCountIs(maxSteps),
  };
}

export function streamWithAiSdk(asked) {
  return streamText({ ...question(asked), onError: () => {} }).fullStream;
}

export function generateWithAiSdk(asked) {
  return generateText(question(asked));
}
