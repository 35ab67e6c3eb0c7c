import { allClients } from '../../clients/known-clients.ts';
import { otherNames } from '../../tools/call-door.ts';
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
  'bash shell exec command execute run read write edit multiedit patch apply grep glob list ls find search task todo todowrite todoread webfetch websearch fetch web file files view cat notebook agent skill question update plan local mcp'.split(
    ' ',
  );

/** By these names our tools are known, however a model decorates them. */
const ownToolWords = 'rlm search find get context stats query exec'.split(' ');

/** By these a call is known that a model has written as text, with its arguments. */
const writtenCallWords = [
  ...'tool call calls section begin end sep function functions json name arguments argument parameters arg key value'.split(
    ' ',
  ),
  ...Object.keys(otherNames).flatMap((name) => name.split('_')),
];

/** By these a reasoning item of ours is known, and an error that another face has marked. */
const faceWords = 'rs tool use error'.split(' ');

/** Without these a text that is JSON would be none. */
const jsonWords = ['true', 'false', 'null'];

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
  ...ownToolWords,
  ...writtenCallWords,
  ...faceWords,
  ...jsonWords,
]);

/** Words that stay where a protocol has one of a few: a mode, an effort, how much is shown. */
export const choiceWords: ReadonlySet<string> = new Set(
  'auto none any required low medium high minimal xhigh max original ephemeral omitted summarized concise detailed all default flex priority standard only newest oldest last text json linked linked tool result user text attachment file message entry count by unique first path'.split(
    ' ',
  ),
);

/** What a client asks to be told beside an answer. */
export const includeWords: ReadonlySet<string> = new Set(
  'reasoning encrypted content usage message output text input image url logprobs'.split(' '),
);

/** Words of JSON schemas that stand in references. */
export const referenceWords: ReadonlySet<string> = new Set(['defs', 'definitions', 'properties']);

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

/** Also single letters: the mark of a client may begin with one. */
function wordsOf(text: string): readonly string[] {
  return Array.from(text.matchAll(/[A-Za-z]+/g), ([found]) => found.toLowerCase());
}
