/** A piece of a program: enough to tell words and brackets from the insides of strings, comments and patterns. */
export interface Token {
  readonly kind: 'word' | 'punctuation' | 'literal';
  readonly text: string;
  readonly start: number;
  /** True where a line break stands between the token before and this one. */
  readonly afterNewline: boolean;
}

const wordPattern = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*/uy;
const numberPattern = /\.?\d(?:[eE][+-]|[\w.])*/y;
const blankPattern = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const stringPattern = /"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?/y;
const regexPattern = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y;

/** Words after which a slash begins a pattern, not a division. */
const wordsBeforeOperand = new Set(
  'return typeof instanceof in of new delete void throw case do else await yield'.split(' '),
);

/**
 * Splits a JavaScript program. Template literals give their pieces as one literal each, and the program inside
 * `${}` as tokens between brackets. A guess is needed only for a slash after `)` or `}`: a division after `)`,
 * a pattern after `}`.
 */
export function tokenize(code: string): readonly Token[] {
  const tokens: Token[] = [];
  /** For each open `{`, whether it is a template's `${`. */
  const braces: boolean[] = [];
  let position = 0;
  let afterNewline = false;
  const push = (kind: Token['kind'], text: string): void => {
    tokens.push({ kind, text, start: position, afterNewline });
    afterNewline = false;
    position += text.length;
  };
  while (position < code.length) {
    const blank = match(blankPattern, code, position);
    if (blank !== undefined) {
      afterNewline ||= blank.includes('\n');
      position += blank.length;
      continue;
    }
    const character = code[position] ?? '';
    const closesTemplate = character === '}' && braces.at(-1) === true;
    if (character === '{') braces.push(false);
    if (character === '}') braces.pop();
    if (character === '`' || closesTemplate) {
      if (closesTemplate) push('punctuation', '}');
      const piece = templatePiece(code, character === '`' ? position + 1 : position);
      const text = code.slice(position, piece.end);
      if (text !== '') push('literal', text);
      if (piece.opensProgram) {
        push('punctuation', '${');
        braces.push(true);
      }
      continue;
    }
    const literal =
      match(stringPattern, code, position) ??
      match(numberPattern, code, position) ??
      (beforeOperand(tokens.at(-1)) ? match(regexPattern, code, position) : undefined);
    if (literal !== undefined) push('literal', literal);
    else {
      const word = match(wordPattern, code, position);
      if (word === undefined)
        push('punctuation', code.startsWith('=>', position) ? '=>' : character);
      else push('word', word);
    }
  }
  return tokens;
}

function match(pattern: RegExp, code: string, position: number): string | undefined {
  pattern.lastIndex = position;
  return pattern.exec(code)?.[0];
}

/** Whether an operand (and so a pattern) may follow this token. */
function beforeOperand(token: Token | undefined): boolean {
  if (token === undefined) return true;
  if (token.kind === 'literal') return false;
  if (token.kind === 'word') return wordsBeforeOperand.has(token.text);
  return token.text !== ')' && token.text !== ']';
}

/** Where the template's text that starts at `from` ends: behind the closing backtick, or at a `${`. */
function templatePiece(
  code: string,
  from: number,
): { readonly end: number; readonly opensProgram: boolean } {
  for (let index = from; index < code.length; index += 1) {
    if (code[index] === '\\') index += 1;
    else if (code[index] === '`') return { end: index + 1, opensProgram: false };
    else if (code.startsWith('${', index)) return { end: index, opensProgram: true };
  }
  return { end: code.length, opensProgram: false };
}
