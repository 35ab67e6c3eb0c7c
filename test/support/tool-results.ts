/**
 * A result of one of our tools, as the model reads it. The one place where tests know the form that
 * a result has, so that the form can change without them.
 * @throws where the text is no such result
 */
export function toolResult(text: unknown): Readonly<Record<string, unknown>> {
  if (typeof text !== 'string') throw new Error(`no tool result: ${JSON.stringify(text)}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** Whether a text is the result of a search (`rlm_search`, `rlm_find`). */
export function isSearchResult(text: unknown): boolean {
  try {
    return 'total' in toolResult(text);
  } catch {
    return false;
  }
}
