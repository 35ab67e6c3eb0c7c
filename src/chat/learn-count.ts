import type { Logger } from '../log.ts';
import { promptSize } from '../prompt/prompt-cost.ts';
import type { Prompt, PromptTarget } from '../prompt/prompt-layout.ts';
import type { TokenGauge } from '../prompt/token-gauge.ts';

/**
 * Takes in what the upstream counted of a turn's first step; a count that cannot be true teaches
 * nothing and is told once a model.
 */
export function learnCount(
  { gauge, log }: { readonly gauge: TokenGauge; readonly log: Logger },
  run: { readonly prompt: Prompt; readonly target: PromptTarget; readonly requestId: string },
  promptTokens: number,
): void {
  const { prompt, target, requestId } = run;
  const { gaugeKey, windowTokens } = target;
  const size = promptSize(prompt.request, gaugeKey);
  const learning = gauge.learn(gaugeKey, size, { promptTokens, windowTokens });
  if (learning !== 'implausible') return;
  log.warn(
    { request: requestId, model: gaugeKey, promptTokens, ...size, windowTokens },
    'the upstream reports a count of prompt tokens that cannot be true; such counts of this model are not used',
  );
}
