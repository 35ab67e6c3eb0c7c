import { otherNames } from '../../tools/call-door.ts';
import { isObject, parseJson } from '../../wire/json.ts';
import { isNameOfSomebody } from '../given-names.ts';
import { choiceWords } from './kept-words.ts';
import { inLiterals } from './literals.ts';
import { scrubPattern } from './pattern.ts';
import { scrubProgram } from './program.ts';
import type { WordScrubber } from './words.ts';

/** Arguments of our tools that are ids, times and choices, by all the names that models have. */
const formalArguments = withOtherNames(
  'entry entries against cursor since until order format kind scope aggregate group',
);

/** Those that are somebody's words, also where these are a number. */
const textArguments = withOtherNames(
  'pattern text words path tool folder title question reduce code',
);

/** In formal arguments: numbers, ids of entries, times. */
const formalWord = /^(?:e?\d{1,12}|\d{1,4}[a-z]{1,4}(?:\d{1,2}[a-z]?)?)$/;

const formalWords = { has: (word: string) => formalWord.test(word) || choiceWords.has(word) };

/**
 * The arguments of a call, JSON as a text, which stays written as it was: of our own tools only
 * what is somebody's words is replaced, of others all words, also names of arguments.
 * @param name The tool's, which a model may have decorated
 */
export function scrubArguments(name: string, text: string, words: WordScrubber): string {
  if (!isObject(parseJson(text))) return words.text(text);
  const plain = (held: string): string => words.text(held);
  if (!name.includes('rlm_')) return inLiterals(text, { text: plain, name: plain });
  return inLiterals(text, {
    text: (held, member = '') => ownArgument(held, { tool: name, member, words }),
    name: (held) => (isNameOfSomebody(held) ? plain(held) : held),
  });
}

function ownArgument(
  text: string,
  {
    tool,
    member,
    words,
  }: { readonly tool: string; readonly member: string; readonly words: WordScrubber },
): string {
  const key = member.toLowerCase().replaceAll('_', '');
  if (formalArguments.has(key)) return words.text(text, formalWords);
  if (!textArguments.has(key) && /^-?\d+(?:\.\d+)?$/.test(text)) return text;
  if (key === 'pattern' || tool.includes('search')) return scrubPattern(text, words);
  return tool.includes('exec') ? scrubProgram(text, words) : words.text(text);
}

function withOtherNames(names: string): ReadonlySet<string> {
  return new Set(names.split(' ').flatMap((name) => [name].concat(otherNames[name] ?? [])));
}
