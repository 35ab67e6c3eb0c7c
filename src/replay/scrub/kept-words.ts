import { allClients } from '../../clients/known-clients.ts';
import { linkedManual, manual } from '../../tools/programs/manual.ts';

/** By these an outline tells a log from other texts. */
const levelWords = ['trace', 'debug', 'info', 'notice', 'warn', 'warning', 'error', 'fatal'];

/** By these a provider's refusal is understood: what is too long, too much, too busy. */
const refusalWords =
  'context length maximum model models max token tokens window exceed exceeds exceeded exceeding limit limits input prompt messages requested request however reduce too long large long many requests rate quota balance insufficient busy overloaded capacity tool tools function support supported not does invalid api key'.split(
    ' ',
  );

/** Tools of assistants whose names say nothing of anybody. */
const toolWords =
  'bash shell exec command execute run read write edit multiedit patch apply grep glob list ls find search task todo todowrite todoread webfetch websearch fetch web file files view cat notebook agent skill question update plan local'.split(
    ' ',
  );

/**
 * Words that stay in a scrubbed trace: those by which a client, its directory, its helpers and its
 * marks are known, levels of logs, and what refusals of providers are understood by. In small
 * letters.
 */
export const keptWords: ReadonlySet<string> = new Set([
  ...wordsIn(allClients).flatMap(wordsOf),
  ...levelWords,
  ...refusalWords,
  ...toolWords,
]);

/** Names that stay in programs: what JavaScript has, and what programs may call. */
export const keptNames: ReadonlySet<string> = new Set(
  [
    ...wordsOf(manual),
    ...wordsOf(linkedManual),
    ...[globalThis, Array, Object, Promise, Math, JSON, Number, String, Date, Symbol].flatMap(
      Object.getOwnPropertyNames,
    ),
    ...[Array, Object, String, Number, Map, Set, Promise, RegExp, Date, Symbol, Function].flatMap(
      ({ prototype }) => Object.getOwnPropertyNames(prototype),
    ),
  ].map((name) => name.toLowerCase()),
);

/** All texts and patterns in a value, however deep. */
function wordsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  // Its escapes (`\n`, `\d`) are no words.
  if (value instanceof RegExp) return [value.source.replaceAll(/\\./gs, ' ')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(wordsIn);
}

/** Single letters say nothing, and hide nothing where they are replaced. */
function wordsOf(text: string): readonly string[] {
  return Array.from(text.matchAll(/[A-Za-z]{2,}/g), ([found]) => found.toLowerCase());
}
