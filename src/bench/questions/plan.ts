import { readSearch } from '../../upstream/shown-results.ts';

/** One way to answer: a question's wording, the calls to make, and the answer in their results. */
export interface QuestionPlan {
  readonly wording: RegExp;
  readonly call: (found: RegExpExecArray) => Call;
  /** What to call after results that do not hold the answer yet; undefined where they do. */
  readonly next?: (results: readonly string[], found: RegExpExecArray) => Call | undefined;
  /** The answer, from the text of the last call's result. */
  readonly answer: (result: string, found: RegExpExecArray) => string;
}

/** A call of a tool. */
export interface Call {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A search, by pattern. */
export function search(pattern: string, more: Readonly<Record<string, unknown>> = {}): Call {
  return { name: 'rlm_search', args: { pattern, ...more } };
}

/** A program. */
export function program(code: string): Call {
  return { name: 'rlm_exec', args: { code } };
}

/** The value a program ended with. */
export function valueOf(result: string): string {
  return /^=> ([\s\S]*)/m.exec(result)?.[1]?.trim() ?? result.slice(0, 500);
}

/** What a pattern captures in the hits of a search, each once. */
export function captured(pattern: RegExp): (result: string) => string {
  return (result) => {
    const hits = readSearch(result)?.hits ?? [];
    return [...new Set(hits.map((hit) => pattern.exec(hit.text)?.[1] ?? ''))].join(', ');
  };
}

/** The total of a count. */
export function occurrences(result: string): string {
  return String(readSearch(result)?.occurrences);
}

/** A file's head in a list of hits is its path. */
export function pathOf(result: string): string {
  return readSearch(result)?.hits[0]?.label ?? '';
}

/** A group of a question's wording. */
export function capture(found: RegExpExecArray, number = 1): string {
  return found[number] ?? '';
}

/** A text as a pattern that only it fits. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`);
}
