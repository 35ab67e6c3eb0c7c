import { closeUnderCase } from './case-folding.ts';
import { maxCodePoint } from './code-points.ts';
import { dropHarmlessAtomics, isIrregular } from './irregular.ts';
import { readClass } from './classes.ts';
import { inAllCases, readCharEscape, readClassEscape } from './escapes.ts';
import { PatternError, PatternReader, type Flags } from './reader.ts';
import { choice, emptyNode, sequence, type Node, type Pattern } from './syntax.ts';

/** Repeat counts beyond this are refused: no line is meant to be measured with them. */
const maxRepeat = 65_535;
/** Groups nest this deep at most, so that no walk over a tree overflows the stack. */
const maxDepth = 250;

/**
 * Reads a regular expression in the spellings of JavaScript, Python, RE2 and much of Perl. Where
 * they disagree the reading is the one a person searching lines of text means: `^` and `$` are the
 * borders of a line, a carriage return at its end and a byte order mark at its beginning are not of
 * the line, `\n` is either line end, `.` is a code point, `\w \d \b` are Unicode's, `{` that starts
 * no count is itself, an escape without meaning is the character. What none of them accepts gives
 * `problem`.
 */
export function parsePattern(
  source: string,
  ignoreCase: boolean,
): { readonly pattern: Pattern } | { readonly problem: string } {
  const flags = { ignoreCase, dotAll: false, extended: false, ungreedy: false };
  try {
    return { pattern: new Parser(new PatternReader(source, flags)).parse() };
  } catch (error) {
    if (error instanceof PatternError) return { problem: error.message };
    throw error;
  }
}

/** The pattern that a plain text is. */
export function literalPattern(text: string, ignoreCase: boolean): Pattern {
  const parts = Array.from(text, (char): Node => {
    if (char === '\n') return lineBreak;
    const set = [char.codePointAt(0)!, char.codePointAt(0)!];
    return { kind: 'set', set: ignoreCase ? closeUnderCase(set) : set };
  });
  return {
    root: sequence(parts),
    groupCount: 0,
    groupNames: new Map(),
    multiline: text.includes('\n'),
    irregular: false,
  };
}

/** A newline, and the carriage return before it where there is one. */
const lineBreak: Node = sequence([
  { kind: 'repeat', body: { kind: 'set', set: [13, 13] }, min: 0, max: 1, greedy: true },
  { kind: 'set', set: [10, 10] },
]);

/** A reference that is resolved when all groups are known. */
type OpenReference = {
  -readonly [K in keyof (Node & { kind: 'backreference' })]: (Node & { kind: 'backreference' })[K];
};

class Parser {
  readonly #reader: PatternReader;
  readonly #names = new Map<string, number>();
  readonly #references: { readonly node: OpenReference; readonly name: string }[] = [];
  #groupCount = 0;
  #depth = 0;

  constructor(reader: PatternReader) {
    this.#reader = reader;
  }

  parse(): Pattern {
    const reader = this.#reader;
    const tree = this.#choice();
    if (!reader.atEnd) throw reader.error('an unmatched )');
    for (const { node, name } of this.#references) {
      const index = /^\d+$/.test(name) ? Number(name) : this.#names.get(name);
      if (index === undefined || index > this.#groupCount) {
        throw reader.error(`a reference to group ${name}, which does not exist,`);
      }
      node.index = index;
    }
    const root = dropHarmlessAtomics(tree);
    return {
      root,
      groupCount: this.#groupCount,
      groupNames: this.#names,
      multiline: reader.namesNewline,
      irregular: isIrregular(root),
    };
  }

  #choice(): Node {
    const options = [this.#sequence()];
    while (this.#reader.eat('|')) options.push(this.#sequence());
    return choice(options);
  }

  #sequence(): Node {
    const reader = this.#reader;
    const parts: Node[] = [];
    while (!reader.atEnd && !reader.sees('|') && !reader.sees(')')) {
      if (reader.flags.extended && reader.take(/\s+|#.*/y) !== undefined) continue;
      if (reader.eat('\\Q')) parts.push(...this.#quoted());
      else {
        const atom = this.#atom();
        if (atom !== undefined) parts.push(this.#repeated(atom));
      }
    }
    return sequence(parts);
  }

  /** `\Q...\E`; a count after it belongs to its last character. */
  #quoted(): Node[] {
    const reader = this.#reader;
    const end = reader.source.indexOf('\\E', reader.position);
    const text = reader.source.slice(reader.position, end < 0 ? undefined : end);
    reader.position += text.length + (end < 0 ? 0 : 2);
    const parts = Array.from(text, (char) => this.#char(char.codePointAt(0)!));
    const last = parts.pop();
    return last === undefined ? parts : [...parts, this.#repeated(last)];
  }

  #repeated(atom: Node): Node {
    const reader = this.#reader;
    if (reader.flags.extended) reader.take(/\s+/y);
    const count = reader.take(/[*+?]|\{(\d+)(?:(,)(\d*))?\}|\{,(\d+)\}/y);
    if (count === undefined) return atom;
    const [min, max] = countOf(count);
    if (max < min) throw reader.error('a count out of order');
    if (min > maxRepeat || (max !== Infinity && max > maxRepeat)) {
      throw reader.error(`a count above ${maxRepeat}`);
    }
    const possessive = reader.eat('+');
    const lazy = !possessive && reader.eat('?');
    const greedy = lazy === reader.flags.ungreedy;
    if (reader.take(/[*+?]|\{\d+,?\d*\}/y) !== undefined) throw reader.error('a count of a count');
    const repeat: Node = { kind: 'repeat', body: atom, min, max, greedy };
    return possessive ? { kind: 'atomic', body: repeat } : repeat;
  }

  #char(codePoint: number): Node {
    if (codePoint === 10) {
      this.#reader.namesNewline = true;
      return lineBreak;
    }
    const set = [codePoint, codePoint];
    return { kind: 'set', set: this.#reader.flags.ignoreCase ? closeUnderCase(set) : set };
  }

  #atom(): Node | undefined {
    const reader = this.#reader;
    if (reader.eat('(')) return this.#group();
    if (reader.eat('[')) {
      const set = readClass(reader);
      const isNewline = set.length === 2 && set[0] === 10 && set[1] === 10;
      return isNewline ? lineBreak : { kind: 'set', set };
    }
    if (reader.eat('\\')) return this.#escape();
    if (reader.eat('^')) return { kind: 'assert', place: 'line-start' };
    if (reader.eat('$')) return { kind: 'assert', place: 'line-end' };
    if (reader.eat('.')) {
      if (!reader.flags.dotAll) return { kind: 'set', set: [0, 9, 11, maxCodePoint] };
      reader.namesNewline = true;
      return { kind: 'set', set: [0, maxCodePoint] };
    }
    if (reader.take(/[*+?]/y) !== undefined) throw reader.error('nothing to repeat');
    return this.#char(reader.next());
  }

  #escape(): Node {
    const reader = this.#reader;
    if (reader.take(/[AG]/y) !== undefined) return { kind: 'assert', place: 'line-start' };
    if (reader.take(/[zZ]/y) !== undefined) return { kind: 'assert', place: 'line-end' };
    if (reader.eat('b')) return { kind: 'assert', place: 'word' };
    if (reader.eat('B')) return { kind: 'assert', place: 'not-word' };
    if (reader.eat('E')) return emptyNode;
    if (reader.eat('R')) return this.#anyNewline();
    const reference =
      reader.take(/k(?:<(\w+)>|\{(\w+)\}|'(\w+)')/y) ??
      reader.take(/g(?:<(\w+)>|\{(\w+)\}|(\d+))/y);
    const named = reference?.slice(1).find((part) => part !== undefined);
    if (named !== undefined) return this.#reference(named);
    const number = reader.source.slice(reader.position).match(/^[1-9]\d?(?!\d)/)?.[0];
    if (number !== undefined) {
      reader.position += number.length;
      return this.#reference(number);
    }
    const set = readClassEscape(reader);
    if (set === undefined) return this.#char(readCharEscape(reader));
    return { kind: 'set', set: inAllCases(set, reader.flags.ignoreCase) };
  }

  #anyNewline(): Node {
    this.#reader.namesNewline = true;
    const pair = sequence([
      { kind: 'set', set: [13, 13] },
      { kind: 'set', set: [10, 10] },
    ]);
    return choice([pair, { kind: 'set', set: [10, 13, 0x85, 0x85, 0x2028, 0x2029] }]);
  }

  #reference(name: string): Node {
    const node: OpenReference = {
      kind: 'backreference',
      index: 0,
      ignoreCase: this.#reader.flags.ignoreCase,
    };
    this.#references.push({ node, name });
    return node;
  }

  /** After `(`. Undefined for what is not an atom: a comment, a flag setting. */
  #group(): Node | undefined {
    const reader = this.#reader;
    if (reader.take(/\?#[^)]*\)/y) !== undefined) return undefined;
    const reference = reader.take(/\?P=(\w+)\)/y);
    if (reference !== undefined) return this.#reference(reference[1]!);
    const flags = reader.take(/\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])/y);
    if (flags !== undefined) {
      const inner = withFlags(reader, flags[1]!, flags[2] ?? '');
      if (flags[3] === ')') {
        reader.flags = inner;
        return undefined;
      }
      return this.#body(inner);
    }
    const look = reader.take(/\?(<?)([=!])/y);
    if (look !== undefined) {
      const body = this.#body(reader.flags);
      return { kind: 'look', behind: look[1] === '<', negative: look[2] === '!', body };
    }
    if (reader.eat('?>')) return { kind: 'atomic', body: this.#body(reader.flags) };
    if (reader.eat('?|')) return this.#body(reader.flags);
    const name = reader.take(/\?P?<([A-Za-z_]\w*)>|\?'([A-Za-z_]\w*)'/y);
    if (name === undefined && reader.sees('?')) throw reader.error('an unknown kind of group');
    const index = ++this.#groupCount;
    if (name !== undefined) this.#names.set(name[1] ?? name[2]!, index);
    return { kind: 'capture', index, body: this.#body(reader.flags) };
  }

  /** A group's inside and its closing parenthesis; flags set inside end with it. */
  #body(flags: Flags): Node {
    const reader = this.#reader;
    const outside = reader.flags;
    reader.flags = flags;
    if (++this.#depth > maxDepth) throw reader.error('groups nested too deep');
    const body = this.#choice();
    this.#depth--;
    if (!reader.eat(')')) throw reader.error('a missing )');
    reader.flags = outside;
    return body;
  }
}

function countOf(count: RegExpExecArray): readonly [number, number] {
  if (count[0] === '*') return [0, Infinity];
  if (count[0] === '+') return [1, Infinity];
  if (count[0] === '?') return [0, 1];
  if (count[4] !== undefined) return [0, Number(count[4])];
  const min = Number(count[1]);
  if (count[2] === undefined) return [min, min];
  return [min, count[3] === '' ? Infinity : Number(count[3])];
}

/** `i s x U` matter here; `m` is always on, `u a L g` change nothing that is searched. */
function withFlags(reader: PatternReader, on: string, off: string): Flags {
  if (/[^imsxuUaLg]/.test(on + off)) throw reader.error('an unknown flag');
  const pick = (letter: string, now: boolean): boolean =>
    on.includes(letter) || (now && !off.includes(letter));
  return {
    ignoreCase: pick('i', reader.flags.ignoreCase),
    dotAll: pick('s', reader.flags.dotAll),
    extended: pick('x', reader.flags.extended),
    ungreedy: pick('U', reader.flags.ungreedy),
  };
}
