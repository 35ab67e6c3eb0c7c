import { byteRarity } from './byte-rarity.ts';
import { sizeOf, type CodePointSet } from './code-points.ts';
import type { Node } from './syntax.ts';

/** A text that a match must hold. */
export interface Literal {
  readonly text: string;
  /** In lower case then; ASCII letters match in either case. */
  readonly anyCase: boolean;
}

/** A literal that is not worth making longer at the price of alternatives. */
const longEnoughChars = 4;

/** Alternatives: a match holds one of them at least. */
export type Literals = readonly Literal[];

/** Larger classes and longer lists of alternatives say too little to be worth looking for. */
const maxClassSize = 10;
const maxAlternatives = 64;

/**
 * What every match of a tree holds: a list of alternatives, all of which must be there. May be
 * empty. Alternatives without text never occur in it.
 */
export function requiredLiterals(root: Node): readonly Literals[] {
  const { exact, required } = read(root);
  return exact === undefined ? required : withList(required, exact);
}

/** The literal that the tree is, if that is all it is. */
export function wholeLiteral(root: Node): Literal | undefined {
  if (!isPlain(root)) return undefined;
  const { exact } = read(root);
  const only = exact?.length === 1 ? exact[0] : undefined;
  if (only === undefined || only.text === '') return undefined;
  // A letter that is asked for in one case only is not told apart in a literal of any case.
  const isMixed = only.anyCase && hasSingleLetter(root);
  return isMixed ? undefined : only;
}

/**
 * The share of positions at which one of the literals is to be expected, as -log2: the larger, the
 * better to look for.
 */
export function rarityOf(literals: Literals): number {
  const share = literals.reduce((sum, literal) => sum + 2 ** -rarity(literal), 0);
  return -Math.log2(share);
}

/** Bytes of text are not independent, so that each counts for less. */
function rarity({ text, anyCase }: Literal): number {
  const bytes = [...Buffer.from(text)].map((byte) => byteRarity(byte, anyCase));
  const sorted = bytes.sort((a, b) => b - a);
  return sorted.reduce((sum, own, i) => sum + own / (1 + i / 2), 0);
}

/**
 * `exact`: all texts that the node can match, if they are few; `required`: what else each match
 * holds.
 */
interface Reading {
  readonly exact: Literals | undefined;
  readonly required: readonly Literals[];
}

const nothing: Literal = { text: '', anyCase: false };

function read(node: Node): Reading {
  switch (node.kind) {
    case 'set':
      return { exact: ofSet(node.set), required: [] };
    case 'assert':
      return { exact: [nothing], required: [] };
    case 'capture':
    case 'atomic':
      return read(node.body);
    case 'look':
      return { exact: [nothing], required: node.negative ? [] : requiredLiterals(node.body) };
    case 'backreference':
      return { exact: undefined, required: [] };
    case 'sequence':
      return ofSequence(node.parts);
    case 'choice':
      return ofChoice(node.options);
    case 'repeat':
      return ofRepeat(node);
  }
}

function ofSet(set: CodePointSet): Literals | undefined {
  if (sizeOf(set) > maxClassSize) return undefined;
  if (set.length === 4 && set[0] === set[1] && set[2] === set[3] && set[2] === set[0]! + 32) {
    if (set[0]! >= 65 && set[0]! <= 90) {
      return [{ text: String.fromCodePoint(set[2]), anyCase: true }];
    }
  }
  const texts: Literal[] = [];
  for (let i = 0; i < set.length; i += 2) {
    for (let codePoint = set[i]!; codePoint <= set[i + 1]!; codePoint++) {
      texts.push({ text: String.fromCodePoint(codePoint), anyCase: false });
    }
  }
  return texts.length === 0 ? undefined : texts;
}

function ofSequence(parts: readonly Node[]): Reading {
  const required: Literals[] = [];
  let current: Literals = [nothing];
  let isWhole = true;
  for (const part of parts) {
    const own = read(part);
    required.push(...own.required);
    const product = worthJoining(current, own.exact) ? multiply(current, own.exact) : undefined;
    if (product !== undefined) {
      current = product;
      continue;
    }
    isWhole = false;
    required.push(...withList([], current));
    current = own.exact ?? [nothing];
  }
  if (isWhole) return { exact: current, required };
  return { exact: undefined, required: withList(required, current) };
}

/** One literal of some length is faster to look for than several longer ones. */
function worthJoining(current: Literals, next: Literals | undefined): next is Literals {
  if (next === undefined) return false;
  return next.length === 1 || current.some(({ text }) => text.length < longEnoughChars);
}

function ofChoice(options: readonly Node[]): Reading {
  const readings = options.map(read);
  const exact = union(readings.map((reading) => reading.exact));
  if (exact !== undefined) return { exact, required: [] };
  const best = readings.map((reading) => {
    const lists =
      reading.exact === undefined ? reading.required : withList(reading.required, reading.exact);
    return bestOf(lists);
  });
  const list = union(best);
  return { exact: undefined, required: list === undefined ? [] : [list] };
}

function ofRepeat(node: Node & { readonly kind: 'repeat' }): Reading {
  if (node.max === 0) return { exact: [nothing], required: [] };
  const own = read(node.body);
  if (node.min === 0) {
    const exact = node.max === 1 ? union([own.exact, [nothing]]) : undefined;
    return { exact, required: [] };
  }
  let exact = own.exact;
  for (let i = 1; i < node.min && exact !== undefined && own.exact !== undefined; i++) {
    exact = multiply(exact, own.exact);
  }
  if (exact !== undefined && node.max === node.min) return { exact, required: own.required };
  const list = exact ?? own.exact;
  return {
    exact: undefined,
    required: list === undefined ? own.required : withList(own.required, list),
  };
}

/** The list that is the best to look for. */
export function bestOf(lists: readonly Literals[]): Literals | undefined {
  let best: Literals | undefined;
  for (const list of lists) if (best === undefined || rarityOf(list) > rarityOf(best)) best = list;
  return best;
}

function withList(lists: readonly Literals[], list: Literals): readonly Literals[] {
  return list.some(({ text }) => text === '') ? lists : [...lists, list];
}

function union(lists: readonly (Literals | undefined)[]): Literals | undefined {
  const all = new Map<string, Literal>();
  for (const list of lists) {
    if (list === undefined) return undefined;
    for (const literal of list) all.set(`${literal.anyCase}${literal.text}`, literal);
  }
  return all.size <= maxAlternatives ? [...all.values()] : undefined;
}

function multiply(heads: Literals, tails: Literals): Literals | undefined {
  if (heads.length * tails.length > maxAlternatives) return undefined;
  return heads.flatMap((head) =>
    tails.map((tail) => {
      const anyCase = head.anyCase || tail.anyCase;
      const text = head.text + tail.text;
      return { text: anyCase ? lowerAscii(text) : text, anyCase };
    }),
  );
}

function lowerAscii(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function isPlain(node: Node): boolean {
  if (node.kind === 'sequence') return node.parts.every(isPlain);
  return node.kind === 'set' || (node.kind === 'capture' && isPlain(node.body));
}

function hasSingleLetter(node: Node): boolean {
  if (node.kind === 'sequence') return node.parts.some(hasSingleLetter);
  if (node.kind === 'capture') return hasSingleLetter(node.body);
  if (node.kind !== 'set' || node.set.length !== 2) return false;
  return /[A-Za-z]/.test(String.fromCodePoint(node.set[0]!));
}
