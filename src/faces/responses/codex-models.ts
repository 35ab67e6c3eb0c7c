import type { IncomingHttpHeaders } from 'node:http';
import { headerOf } from '../../clients/origin.ts';
import type { ModelCard, ModelForms } from '../../http/handlers.ts';
import { coreModelId } from '../../wire/core-model.ts';
import type { JsonObject } from '../../wire/json.ts';
import { isCodex } from './codex.ts';
import { codexPrompt } from './codex-prompt.ts';

/**
 * How Codex reads a list of models. Where ours is not in it, each of its starts begins with a
 * warning, and it guesses the window.
 */
export const codexModels: ModelForms = {
  isFor: isCodex,
  one: (card) => card,
  list: (cards, headers) => ({
    object: 'list',
    data: cards,
    models: knowsPrompt(headers)
      ? cards.filter(({ id }) => id === coreModelId).map(entryOf)
      : // It has other words in other versions: better its own warning than words that do not fit.
        [],
  }),
};

/** Versions of Codex whose prompt is {@link codexPrompt}. */
const versions = /^codex[\w-]*\/0\.171\./;

function knowsPrompt(headers: IncomingHttpHeaders): boolean {
  return versions.test(headerOf(headers, 'user-agent') ?? '');
}

/** What it assumes of a model that it does not know, with the window that ours has. */
function entryOf(card: ModelCard): JsonObject {
  const window = card['context_window'];
  return {
    slug: card.id,
    display_name: 'RLM Core v1',
    description: 'The model of the proxy, with a memory.',
    base_instructions: codexPrompt,
    context_window: window,
    max_context_window: window,
    // Its own default; `tool_output_token_limit` in its configuration goes before it.
    truncation_policy: { mode: 'tokens', limit: 10_000 },
    shell_type: 'unified_exec',
    visibility: 'list',
    supported_in_api: true,
    priority: 1,
    default_reasoning_level: null,
    supported_reasoning_levels: [],
    supports_reasoning_summaries: false,
    support_verbosity: false,
    default_verbosity: null,
    supports_parallel_tool_calls: true,
    input_modalities: ['text', 'image'],
    apply_patch_tool_type: null,
    experimental_supported_tools: [],
    availability_nux: null,
    upgrade: null,
  };
}
