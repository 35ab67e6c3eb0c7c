import { tokenizer } from 'acorn';
import { keptNames } from './kept-words.ts';
import { scrubEscaped, scrubPattern } from './pattern.ts';
import type { WordScrubber } from './words.ts';

/**
 * A program of `rlm_exec` that does the same with other words: texts, patterns, comments and the
 * names that it gives are replaced, what JavaScript and our calls are named stays. One that is no
 * JavaScript is a text.
 */
export function scrubProgram(code: string, words: WordScrubber): string {
  try {
    return scrubTokens(code, words);
  } catch {
    return words.text(code);
  }
}

function scrubTokens(code: string, words: WordScrubber): string {
  const parts: { readonly start: number; readonly end: number; readonly text: string }[] = [];
  const replace = (start: number, end: number, how: (text: string) => string): void => {
    parts.push({ start, end, text: how(code.slice(start, end)) });
  };
  const plain = (text: string): string => words.text(text, keptNames);
  const escaped = (text: string): string => scrubEscaped(text, words, keptNames);
  const tokens = tokenizer(code, {
    ecmaVersion: 'latest',
    allowHashBang: false,
    onComment: (_isBlock, _text, start, end) => replace(start, end, plain),
  });
  for (const { type, start, end } of tokens) {
    const { label } = type;
    if (label === 'name') replace(start, end, escaped);
    else if (label === 'string' || label === 'template') replace(start, end, escaped);
    else if (label === 'regexp') {
      const last = code.lastIndexOf('/', end);
      replace(start, last, (text) => scrubPattern(text, words));
    }
  }
  let from = 0;
  let scrubbed = '';
  for (const { start, end, text } of parts.toSorted((one, other) => one.start - other.start)) {
    scrubbed += code.slice(from, start) + text;
    from = end;
  }
  return scrubbed + code.slice(from);
}
