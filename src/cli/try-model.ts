import { randomIds, systemClock } from '../clock.ts';
import type { ConfiguredProvider } from '../config/resolve.ts';
import { silentLogger } from '../log.ts';
import { openProvider } from '../upstream/open-provider.ts';
import type { Upstream, UpstreamModel } from '../upstream/upstream.ts';
import { TurnFold } from '../wire/fold.ts';

/** Longest wait for a list, milliseconds. */
const listMs = 10_000;
/** Longest wait for the whole small answer: a local model may have to be loaded first. */
const answerMs = 120_000;

/** How a small real request with a tool went. */
export interface Trial {
  readonly seconds: number;
  /** Whether the model called the tool that it was told to call. */
  readonly hasCalled: boolean;
  /** What it said, perhaps nothing. */
  readonly text: string;
  /** As the provider counts them, tokens. */
  readonly promptTokens?: number | undefined;
}

/** The provider's own list. @throws ProxyError `unauthorized`, `upstream_*` */
export async function listModels(provider: ConfiguredProvider): Promise<readonly UpstreamModel[]> {
  await using upstream = opened(provider);
  return await upstream.models(AbortSignal.timeout(listMs));
}

/**
 * Asks the model to call a tool, as it will have to: memory is of no use to one that cannot.
 * @throws ProxyError what the provider refuses it with
 */
export async function tryModel(provider: ConfiguredProvider, model: string): Promise<Trial> {
  await using upstream = opened(provider);
  const startMs = systemClock.elapsedMs();
  const stream = await upstream.complete(
    {
      model,
      messages: [
        {
          role: 'user',
          content: 'This is a test of tools. Call the tool `report` once, with the word "ready".',
        },
      ],
      tools: [
        {
          type: 'function',
          function: {
            name: 'report',
            description: 'Reports one word.',
            parameters: {
              type: 'object',
              properties: { word: { type: 'string' } },
              required: ['word'],
            },
          },
        },
      ],
    },
    { signal: AbortSignal.timeout(answerMs) },
  );
  const fold = new TurnFold();
  for await (const batch of stream.batches) for (const chunk of batch) fold.add(chunk);
  const { message, usage } = fold.turn();
  return {
    seconds: (systemClock.elapsedMs() - startMs) / 1000,
    hasCalled: (message.tool_calls?.length ?? 0) > 0,
    text: typeof message.content === 'string' ? message.content.trim() : '',
    promptTokens: usage?.prompt_tokens,
  };
}

function opened(provider: ConfiguredProvider): Upstream {
  return openProvider(provider, {
    patience: {
      connectTimeoutMs: listMs,
      firstByteTimeoutMs: answerMs,
      idleTimeoutMs: answerMs,
      maxFrameBytes: 16_777_216,
      maxRetries: 1,
      maxRetryWaitMs: 5000,
    },
    clock: systemClock,
    ids: randomIds,
    random: () => 0,
    log: silentLogger(),
  });
}
