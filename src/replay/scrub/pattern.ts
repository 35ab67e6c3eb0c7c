import type { WordScrubber } from './words.ts';

/** A character as it is written somewhere: itself, an escape, a class of its two cases. */
interface WrittenCharacter {
  readonly character: string;
  /** Another one, written in the same way. */
  readonly write: (other: string) => string;
}

/** One character in the forms that regular expressions and programs have for it. */
const oneCharacter = String.raw`\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\[xu]\{[0-9a-f]{1,6}\}|\\U[0-9a-f]{8}`;

/** What a text with escapes is made of. */
const escapedForms = new RegExp(String.raw`${oneCharacter}|\\.|.`, 'gisu');

/** Members of a class: named sets, ranges, escapes, characters. */
const classMembers = new RegExp(
  String.raw`^\]|\[:\^?[a-z]+:\]|(?:${oneCharacter}|\\.|[^\\])(?:-(?:${oneCharacter}|\\.|[^\\]))?`,
  'gisu',
);

/**
 * What a regular expression is made of: what in it is no text comes whole. At each place there is
 * one way to read a class, so that none takes long that is never closed.
 */
const patternForms = new RegExp(
  [
    oneCharacter,
    String.raw`\\[0-7]{3}|\\p\{[^}]*\}|\\c[a-z]|\\[kg](?:<[^>]*>|\{[^}]*\})|\\.`,
    String.raw`\(\?P?[<>=]|\(\?[a-z-]+[:)]`,
    String.raw`\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]`,
    String.raw`\{\d*,?\d*\}|.`,
  ].join('|'),
  'gisu',
);

/**
 * A text with escapes, such as one of a program: its words are replaced, however their letters are
 * written, and other escapes stay.
 * @param alsoKept Further words that stay
 */
export function scrubEscaped(
  text: string,
  words: WordScrubber,
  alsoKept?: ReadonlySet<string>,
): string {
  return inRuns(text.match(escapedForms) ?? [], { words, alsoKept, other: (form) => form });
}

/**
 * A regular expression that finds in scrubbed texts what it found, where that can be: its words are
 * replaced, also those of which a letter is written as an escape or with both its cases (`[Ss]`).
 * Letters that a class spells out become `\w`, which finds no less, and those that it rules out are
 * ruled out no more. Ranges and syntax stay. A part of a word becomes another word, and finds
 * nothing.
 */
export function scrubPattern(pattern: string, words: WordScrubber): string {
  return inRuns(pattern.match(patternForms) ?? [], {
    words,
    other: (form) => {
      if (form.startsWith('[') && form.length > 1) return withoutSpelled(form);
      const [, start = '', name] = /^(\\[kgp])(.{2,})$/is.exec(form) ?? [];
      return name === undefined || isProperty(form) ? form : start + words.text(name);
    },
  });
}

/** Replaces what a run of written characters spells; `other` says what becomes of the rest. */
function inRuns(
  forms: readonly string[],
  {
    words,
    alsoKept,
    other,
  }: {
    readonly words: WordScrubber;
    readonly alsoKept?: ReadonlySet<string> | undefined;
    readonly other: (form: string) => string;
  },
): string {
  const written: string[] = [];
  let run: WrittenCharacter[] = [];
  const endRun = (): void => {
    const spelled = run.map(({ character }) => character).join('');
    // As many characters as there were.
    const replaced = Array.from(words.text(spelled, alsoKept));
    for (const [at, { write, character }] of run.entries())
      written.push(write(replaced[at] ?? character));
    run = [];
  };
  for (const form of forms) {
    const character = writtenCharacter(form);
    if (character !== undefined && isOfWord(character.character)) run.push(character);
    else {
      endRun();
      written.push(other(form));
    }
  }
  endRun();
  return written.join('');
}

function writtenCharacter(form: string): WrittenCharacter | undefined {
  const [first = '', second = ''] = Array.from(form);
  if (form === first) return { character: form, write: (other) => other };
  if (first === '[') return caseClass(form);
  const digits = form.slice(2).replaceAll(/[{}]/g, '');
  if (/[xu]/i.test(second) && digits !== '')
    return escaped(form, Number.parseInt(digits, 16), (code) =>
      form.replace(digits, code.toString(16).padStart(digits.length, '0')),
    );
  if (/^\\[0-7]{3}$/.test(form))
    return escaped(form, Number.parseInt(form.slice(1), 8), (code) =>
      // More than that cannot be written so.
      code < 0o1000 ? `\\${code.toString(8).padStart(3, '0')}` : String.fromCodePoint(code),
    );
  return undefined;
}

function escaped(
  form: string,
  code: number,
  write: (code: number) => string,
): WrittenCharacter | undefined {
  if (code > 0x10_ffff) return undefined;
  const character = String.fromCodePoint(code);
  return {
    character,
    write: (other) => (other === character ? form : write(other.codePointAt(0) ?? code)),
  };
}

/** A class of one letter, in one case or in both. */
function caseClass(form: string): WrittenCharacter | undefined {
  const members = Array.from(form.slice(1, -1));
  const [first, ...rest] = members;
  if (first === undefined || !isOfWord(first)) return undefined;
  if (rest.some((other) => other.toLowerCase() !== first.toLowerCase())) return undefined;
  return {
    character: first,
    write: (other) =>
      `[${members.map((each) => (each === each.toUpperCase() ? other.toUpperCase() : other.toLowerCase())).join('')}]`,
  };
}

/** A class of which the letters that it spells are gone; as long where that can be. */
function withoutSpelled(form: string): string {
  const head = form.startsWith('[^') ? '[^' : '[';
  const kept: string[] = [];
  let spelledChars = 0;
  for (const member of form.slice(head.length, -1).match(classMembers) ?? []) {
    const { character = '' } = writtenCharacter(member) ?? {};
    if (isOfWord(character)) spelledChars += member.length;
    else kept.push(member);
  }
  if (spelledChars === 0) return form;
  if (head === '[^') return `[^${kept.length === 0 ? String.raw`\0` : kept.join('')}]`;
  const any = String.raw`\w`.repeat(Math.max(1, Math.floor(spelledChars / 2)));
  // A hyphen that stands behind a set or at the end is itself.
  return `[${any}${spelledChars % 2 === 1 && spelledChars > 1 ? '_' : ''}${kept.join('')}]`;
}

function isProperty(form: string): boolean {
  try {
    return new RegExp(form, 'u').source === form;
  } catch {
    return false;
  }
}

function isOfWord(character: string): boolean {
  return /^[\p{L}\p{N}\p{M}]$/u.test(character);
}
