import { namesMark, namesReturn } from './char-alphabet.ts';
import { contains, without, type CodePointSet } from '../pattern/code-points.ts';
import type { Node, Pattern, Place } from '../pattern/syntax.ts';
import { unicodeWordChars } from '../pattern/unicode-words.ts';

/** What a pattern is written for. */
interface RegExpOptions {
  /** Flags beside `u`. */
  readonly flags: string;
  /** For texts of ASCII only, where it is shorter and faster. */
  readonly ascii: boolean;
}

/**
 * Writes a pattern for V8 (flag `u`), for what automata cannot do: lookaround, backreferences,
 * atomic groups. Letter case is already in the sets. Capture group n is the named group `gn`. Where
 * the pattern is matched within lines, it is meant for lines without their returns and marks,
 * unless it names them ({@link namesLineBorders}).
 */
export function toRegExp(pattern: Pattern, options: RegExpOptions): RegExp {
  return new RegExp(new Printer(pattern, options.ascii).print(pattern.root), `u${options.flags}`);
}

/**
 * Whether a pattern names the carriage return or the byte order mark, so that it wants to see them.
 */
export function namesLineBorders(node: Node): boolean {
  switch (node.kind) {
    case 'set':
      return namesReturn(node.set) || namesMark(node.set);
    case 'sequence':
      return node.parts.some(namesLineBorders);
    case 'choice':
      return node.options.some(namesLineBorders);
    case 'repeat':
    case 'capture':
    case 'look':
    case 'atomic':
      return namesLineBorders(node.body);
    case 'assert':
    case 'backreference':
      return false;
  }
}

class Printer {
  readonly #multiline: boolean;
  /** Whether returns and marks are in the text. */
  readonly #seesBorders: boolean;
  readonly #ascii: boolean;
  #atomics = 0;

  constructor(pattern: Pattern, ascii: boolean) {
    this.#multiline = pattern.multiline;
    this.#seesBorders = pattern.multiline || namesLineBorders(pattern.root);
    this.#ascii = ascii;
  }

  print(node: Node): string {
    switch (node.kind) {
      case 'set':
        return this.#set(node.set);
      case 'sequence':
        return node.parts.map((part) => this.#part(part)).join('');
      case 'choice':
        return node.options.map((option) => this.print(option)).join('|');
      case 'repeat':
        return `(?:${this.print(node.body)})${printCount(node.min, node.max)}${node.greedy ? '' : '?'}`;
      case 'capture':
        return `(?<g${node.index}>${this.print(node.body)})`;
      case 'assert':
        return this.#assertion(node.place);
      case 'atomic': {
        // What a lookahead has captured is never given back.
        const name = `atomic${++this.#atomics}`;
        return `(?=(?<${name}>${this.print(node.body)}))\\k<${name}>`;
      }
      case 'look':
        return `(?${node.behind ? '<' : ''}${node.negative ? '!' : '='}${this.print(node.body)})`;
      case 'backreference':
        return node.ignoreCase ? `(?i:\\k<g${node.index}>)` : `(?:\\k<g${node.index}>)`;
    }
  }

  #part(node: Node): string {
    return node.kind === 'choice' ? `(?:${this.print(node)})` : this.print(node);
  }

  #set(set: CodePointSet): string {
    const sparesReturn =
      this.#seesBorders &&
      contains(set, 13) &&
      !namesReturn(set) &&
      !(this.#multiline && contains(set, 10));
    if (!sparesReturn) return this.#members(set);
    const notAtEnd = this.#multiline ? '(?!\\n)' : '(?!$)';
    return `(?:${this.#members(without(set, 13))}|\\r${notAtEnd})`;
  }

  #members(set: CodePointSet): string {
    let members = '';
    for (let i = 0; i < set.length; i += 2) {
      if (this.#ascii && set[i]! > 127) break;
      const low = `\\u{${set[i]!.toString(16)}}`;
      members += set[i] === set[i + 1] ? low : `${low}-\\u{${set[i + 1]!.toString(16)}}`;
    }
    return `[${members}]`;
  }

  #assertion(place: Place): string {
    const isWide = !this.#ascii;
    switch (place) {
      case 'line-start':
        if (!this.#seesBorders) return '^';
        return this.#multiline ? '(?<![^\\n\\ufeff]|[^\\n]\\ufeff)' : '(?<=^\\ufeff?)';
      case 'line-end':
        if (!this.#seesBorders) return '$';
        return this.#multiline ? '(?=\\r?(?![^\\n]))' : '(?=\\r?$)';
      case 'word':
        return isWide ? this.#wordBorder() : '\\b';
      case 'not-word':
        return isWide ? `(?!${this.#wordBorder()})` : '\\B';
    }
  }

  #wordBorder(): string {
    const word = this.#members(unicodeWordChars);
    return `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`;
  }
}

function printCount(min: number, max: number): string {
  return max === Infinity ? `{${min},}` : `{${min},${max}}`;
}
