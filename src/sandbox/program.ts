import { tokenize, type Token } from './tokens.ts';

const openers = new Set(['(', '[', '{', '${']);
const closers = new Set([')', ']', '}']);

/** Punctuation after which a statement may begin. */
const statementBorders = new Set([';', '}', '{', ')']);

/** A replacement of `length` characters at `start`. */
interface Edit {
  readonly start: number;
  readonly length: number;
  readonly text: string;
}

/**
 * Makes top-level `let`, `const` and `class` survive the call and be declarable again in the next one, as in a
 * notebook: they become `var`. Lines stay where they are. `let x;` becomes `var x=undefined;`, because a bare
 * `var x;` would keep the value of an earlier call. Only the outermost level is touched.
 */
export function persistDeclarations(code: string): string {
  const tokens = tokenize(code);
  const edits: Edit[] = [];
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'punctuation') {
      if (openers.has(token.text)) depth += 1;
      else if (closers.has(token.text)) depth -= 1;
    }
    if (depth !== 0 || token.kind !== 'word' || !beginsStatement(tokens, index)) continue;
    const next = tokens[index + 1];
    if (token.text === 'let' || token.text === 'const') {
      if (next === undefined || !beginsBinding(next)) continue;
      edits.push({ start: token.start, length: token.text.length, text: 'var' });
      if (token.text === 'let') edits.push(...initialValues(tokens, index + 1));
    } else if (token.text === 'class' && next?.kind === 'word' && next.text !== 'extends') {
      edits.push({ start: token.start, length: 0, text: `var ${next.text}=` });
      const end = classEnd(tokens, index);
      if (end !== undefined) edits.push({ start: end, length: 0, text: ';' });
    }
  }
  return applyEdits(code, edits);
}

function beginsStatement(tokens: readonly Token[], index: number): boolean {
  const token = tokens[index];
  const before = tokens[index - 1];
  if (token === undefined || before === undefined) return true;
  if (before.kind === 'punctuation')
    return statementBorders.has(before.text) || isPostfix(tokens, index);
  return token.afterNewline;
}

/** `i++` or `x]` before a line break ends a statement too. */
function isPostfix(tokens: readonly Token[], index: number): boolean {
  const [before, first, second] = [tokens[index], tokens[index - 1], tokens[index - 2]];
  if (before === undefined || !before.afterNewline || first === undefined) return false;
  if (first.text === ']') return true;
  return (first.text === '+' || first.text === '-') && second?.text === first.text;
}

function beginsBinding(token: Token): boolean {
  return token.kind === 'word'
    ? token.text !== 'in' && token.text !== 'of'
    : /^[[{]$/.test(token.text);
}

/** Inserts `=undefined` behind each name of a `let` list that has no value. */
function initialValues(tokens: readonly Token[], firstIndex: number): readonly Edit[] {
  const edits: Edit[] = [];
  let depth = 0;
  let expectsName = true;
  for (let index = firstIndex; index < tokens.length; index += 1) {
    const token = tokens[index];
    const next = tokens[index + 1];
    if (token === undefined) break;
    if (expectsName && token.kind === 'word') {
      if (next?.text !== '=') {
        edits.push({ start: token.start + token.text.length, length: 0, text: '=undefined' });
        if (next?.text !== ',') break;
      }
      expectsName = false;
    } else if (token.kind === 'punctuation') {
      if (openers.has(token.text)) depth += 1;
      if (closers.has(token.text)) depth -= 1;
      if (token.text === ';' && depth === 0) break;
      expectsName = token.text === ',' && depth === 0;
    } else if (
      depth === 0 &&
      token.afterNewline &&
      index > firstIndex &&
      beginsStatement(tokens, index)
    ) {
      break;
    }
  }
  return edits;
}

/** Where the body of the class at `index` ends. */
function classEnd(tokens: readonly Token[], index: number): number | undefined {
  let depth = 0;
  for (const token of tokens.slice(index)) {
    if (token.kind !== 'punctuation') continue;
    if (openers.has(token.text)) depth += 1;
    if (closers.has(token.text)) depth -= 1;
    if (token.text === '}' && depth === 0) return token.start + 1;
  }
  return undefined;
}

function applyEdits(code: string, edits: readonly Edit[]): string {
  let result = '';
  let position = 0;
  for (const edit of [...edits].sort((a, b) => a.start - b.start)) {
    result += code.slice(position, edit.start) + edit.text;
    position = edit.start + edit.length;
  }
  return result + code.slice(position);
}
