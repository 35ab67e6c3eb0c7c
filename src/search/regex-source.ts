import type { CodePointSet } from './code-points.ts';
import type { Node, Pattern, Place } from './syntax.ts';

/**
 * Writes a pattern for V8 (flags `u` and `d`), for what automata cannot do: lookaround, backreferences, atomic groups, captures. Letter
 * case is already in the sets. Capture group n is the named group `gn`.
 */
export function toRegExp(pattern: Pattern, flags: string): RegExp {
  return new RegExp(new Printer(pattern.multiline).print(pattern.root), `u${flags}`);
}

class Printer {
  readonly #multiline: boolean;
  #atomics = 0;

  constructor(multiline: boolean) {
    this.#multiline = multiline;
  }

  print(node: Node): string {
    switch (node.kind) {
      case 'set':
        return printSet(node.set);
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

  #assertion(place: Place): string {
    switch (place) {
      case 'line-start':
        return this.#multiline ? '(?<![^\\n])' : '^';
      case 'line-end':
        return this.#multiline ? '(?![^\\n])' : '$';
      case 'word':
        return '\\b';
      case 'not-word':
        return '\\B';
    }
  }
}

function printCount(min: number, max: number): string {
  return max === Infinity ? `{${min},}` : `{${min},${max}}`;
}

function printSet(set: CodePointSet): string {
  let members = '';
  for (let i = 0; i < set.length; i += 2) {
    const low = `\\u{${set[i]!.toString(16)}}`;
    members += set[i] === set[i + 1] ? low : `${low}-\\u{${set[i + 1]!.toString(16)}}`;
  }
  return `[${members}]`;
}
