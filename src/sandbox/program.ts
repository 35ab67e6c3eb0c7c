import { Parser, type Options, type Program } from 'acorn';

/**
 * Finds where declarations stand, and judges nothing: whether a program is right is said by the
 * engine that runs it.
 */
class DeclarationParser extends Parser {
  /** What is wrong but can be read on from, such as a name that is declared twice: `var` may be. */
  protected raiseRecoverable(): void {}
}

const options: Options = {
  ecmaVersion: 'latest',
  sourceType: 'script',
  allowAwaitOutsideFunction: true,
};

/** Text put in the place of the characters [start, end). */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Makes top-level `let`, `const` and `class` survive the call and be declarable again in the next
 * one, as in a notebook: they become `var`. Lines stay where they are. `let x;` becomes
 * `var x=undefined;`, because a bare `var x;` would keep the value of an earlier call. Only the
 * outermost level is touched; what is not JavaScript comes back as it is, and the engine says why.
 */
export function persistDeclarations(code: string): string {
  let result = '';
  let position = 0;
  for (const { start, end, text } of editsOf(code)) {
    result += code.slice(position, start) + text;
    position = end;
  }
  return result + code.slice(position);
}

/** In the order of the text. */
function editsOf(code: string): readonly Edit[] {
  const edits: Edit[] = [];
  for (const node of statementsOf(code)) {
    if (node.type === 'VariableDeclaration' && (node.kind === 'let' || node.kind === 'const')) {
      edits.push({ start: node.start, end: node.start + node.kind.length, text: 'var' });
      for (const { id, init } of node.declarations)
        if (!init) edits.push({ start: id.end, end: id.end, text: '=undefined' });
    } else if (node.type === 'ClassDeclaration') {
      edits.push({ start: node.start, end: node.start, text: `var ${node.id.name}=` });
      edits.push({ start: node.end, end: node.end, text: ';' });
    }
  }
  return edits;
}

function statementsOf(code: string): Program['body'] {
  try {
    return DeclarationParser.parse(code, options).body;
  } catch {
    // No JavaScript, or nested too deep to be read.
    return [];
  }
}
