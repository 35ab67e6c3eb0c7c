import type { CodePointSet } from './code-points.ts';

/**
 * Where an assertion holds. `^`, `\A` and `$`, `\z`, `\Z` are the borders of a line; words are
 * those of all scripts.
 */
export type Place = 'line-start' | 'line-end' | 'word' | 'not-word';

/** A pattern's syntax tree. Letter case is already folded into the sets. */
export type Node =
  | { readonly kind: 'set'; readonly set: CodePointSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | {
      readonly kind: 'repeat';
      readonly body: Node;
      readonly min: number;
      /** Infinity for no limit. */
      readonly max: number;
      readonly greedy: boolean;
    }
  | { readonly kind: 'capture'; readonly index: number; readonly body: Node }
  | { readonly kind: 'assert'; readonly place: Place }
  | { readonly kind: 'atomic'; readonly body: Node }
  | {
      readonly kind: 'look';
      readonly behind: boolean;
      readonly negative: boolean;
      readonly body: Node;
    }
  | { readonly kind: 'backreference'; readonly index: number; readonly ignoreCase: boolean };

/** What a pattern says. */
export interface Pattern {
  readonly root: Node;
  /** Number of capture groups, the whole match not counted. */
  readonly groupCount: number;
  readonly groupNames: ReadonlyMap<string, number>;
  /**
   * Whether it names a newline on purpose (`\n`, `(?s).`, `[\s\S]`): it is then matched against the
   * text, not against each line.
   */
  readonly multiline: boolean;
  /** Whether it holds lookaround, a backreference or an atomic group: no finite automaton. */
  readonly irregular: boolean;
}

/** The tree that matches the empty text. */
export const emptyNode: Node = { kind: 'sequence', parts: [] };

/** Nodes one after the other. */
export function sequence(parts: readonly Node[]): Node {
  return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
}

/** One of the nodes, the earlier preferred. */
export function choice(options: readonly Node[]): Node {
  return options.length === 1 ? options[0]! : { kind: 'choice', options };
}
