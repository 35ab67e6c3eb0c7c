import { type CodePointSet } from './code-points.ts';
import { choice, sequence, type Node } from './syntax.ts';

/**
 * Whether a tree holds what no finite automaton knows: lookaround, backreferences, atomic groups.
 */
export function isIrregular(node: Node): boolean {
  switch (node.kind) {
    case 'look':
    case 'backreference':
    case 'atomic':
      return true;
    case 'sequence':
      return node.parts.some(isIrregular);
    case 'choice':
      return node.options.some(isIrregular);
    case 'repeat':
    case 'capture':
      return isIrregular(node.body);
    case 'set':
    case 'assert':
      return false;
  }
}

/**
 * Makes atomic groups (and with them possessive counts) ordinary ones where giving back could not
 * change the match: at the pattern's end, and for a repeated set that is followed by something that
 * cannot start with a member of it.
 */
export function dropHarmlessAtomics(root: Node): Node {
  return rewrite(root, 'end');
}

/** `follows` is what comes next: the set it starts with, the pattern's end, or unknown. */
function rewrite(node: Node, follows: CodePointSet | 'end' | 'unknown'): Node {
  switch (node.kind) {
    case 'sequence': {
      const parts: Node[] = [];
      let next = follows;
      for (const part of node.parts.toReversed()) {
        parts.unshift(rewrite(part, next));
        next = startOf(part);
      }
      return sequence(parts);
    }
    case 'choice':
      return choice(node.options.map((option) => rewrite(option, follows)));
    case 'capture':
      return { ...node, body: rewrite(node.body, follows) };
    case 'repeat':
      return { ...node, body: rewrite(node.body, node.max === 1 ? follows : 'unknown') };
    case 'look':
      return { ...node, body: rewrite(node.body, 'end') };
    case 'atomic': {
      const body = rewrite(node.body, 'end');
      return follows === 'end' || cannotGiveBack(body, follows) ? body : { ...node, body };
    }
    case 'set':
    case 'assert':
    case 'backreference':
      return node;
  }
}

function cannotGiveBack(body: Node, follows: CodePointSet | 'unknown'): boolean {
  return (
    follows !== 'unknown' &&
    body.kind === 'repeat' &&
    body.body.kind === 'set' &&
    !overlap(body.body.set, follows)
  );
}

function startOf(node: Node): CodePointSet | 'unknown' {
  switch (node.kind) {
    case 'set':
      return node.set;
    case 'capture':
      return startOf(node.body);
    case 'repeat':
      return node.min > 0 ? startOf(node.body) : 'unknown';
    case 'sequence':
      return node.parts[0] === undefined ? 'unknown' : startOf(node.parts[0]);
    case 'assert':
      return node.place === 'line-end' ? [10, 10] : 'unknown';
    case 'choice':
    case 'look':
    case 'atomic':
    case 'backreference':
      return 'unknown';
  }
}

function overlap(a: CodePointSet, b: CodePointSet): boolean {
  for (let i = 0; i < a.length; i += 2) {
    for (let j = 0; j < b.length; j += 2) {
      if (a[i]! <= b[j + 1]! && b[j]! <= a[i + 1]!) return true;
    }
  }
  return false;
}
