import type { Parser, Tree } from '@lezer/common';
import type { Landmark, TextView } from './text-view.ts';

/** Longer sources are outlined by the look of their lines; characters. */
const parsedChars = 1_500_000;

/** How a language is parsed: the grammar, loaded when first needed, and the nodes that count. */
interface Grammar {
  readonly load: () => Promise<Parser>;
  /** Names of nodes that are symbols. */
  readonly symbols: RegExp;
  /** Names of nodes that count only where they stand in no function. */
  readonly outside?: RegExp;
}

const cpp: Grammar = {
  load: async () => (await import('@lezer/cpp')).parser,
  symbols:
    /^(?:FunctionDefinition|ClassSpecifier|StructSpecifier|EnumSpecifier|UnionSpecifier|NamespaceDefinition|ConceptDefinition)$/,
  outside: /^(?:TypeDefinition|AliasDeclaration)$/,
};

const grammars: Readonly<Record<string, Grammar>> = {
  TypeScript: {
    load: async () => (await import('@lezer/javascript')).parser.configure({ dialect: 'ts' }),
    symbols:
      /^(?:FunctionDeclaration|ClassDeclaration|MethodDeclaration|InterfaceDeclaration|TypeAliasDeclaration|EnumDeclaration|NamespaceDeclaration)$/,
    outside: /^VariableDeclaration$/,
  },
  JavaScript: {
    load: async () => (await import('@lezer/javascript')).parser.configure({ dialect: 'jsx' }),
    symbols: /^(?:FunctionDeclaration|ClassDeclaration|MethodDeclaration)$/,
    outside: /^VariableDeclaration$/,
  },
  Python: {
    load: async () => (await import('@lezer/python')).parser,
    symbols: /^(?:FunctionDefinition|ClassDefinition)$/,
  },
  Go: {
    load: async () => (await import('@lezer/go')).parser,
    symbols: /^(?:FunctionDecl|MethodDecl|TypeDecl)$/,
  },
  Rust: {
    load: async () => (await import('@lezer/rust')).parser,
    symbols:
      /^(?:FunctionItem|StructItem|EnumItem|UnionItem|TraitItem|ImplItem|ModItem|MacroDefinition|TypeItem)$/,
  },
  Java: {
    load: async () => (await import('@lezer/java')).parser,
    symbols:
      /^(?:ClassDeclaration|RecordDeclaration|InterfaceDeclaration|EnumDeclaration|AnnotationTypeDeclaration|MethodDeclaration|ConstructorDeclaration)$/,
  },
  C: cpp,
  'C++': cpp,
  PHP: {
    load: async () => (await import('@lezer/php')).parser,
    symbols:
      /^(?:FunctionDefinition|ClassDeclaration|InterfaceDeclaration|TraitDeclaration|EnumDeclaration|MethodDeclaration)$/,
  },
  Markdown: {
    load: async () => (await import('@lezer/markdown')).parser,
    symbols: /^(?:ATXHeading|SetextHeading)\d$/,
  },
};

/** A symbol of a source, and how deep it stands among the others: 0 is outermost. */
export interface Symbol extends Landmark {
  readonly line: number;
  readonly depth: number;
  /** Its own lines, the body with it. */
  readonly lineCount: number;
}

/** Whether there is a parser for a language, and the text is not too long for it. */
export function canParse(view: TextView, language: string): boolean {
  return view.text.length <= parsedChars && Object.hasOwn(grammars, language);
}

/**
 * The symbols of a source by its grammar, in order. Takes milliseconds for ten thousand characters,
 * and more the first time.
 */
export async function symbolsByGrammar(view: TextView, language: string): Promise<Symbol[]> {
  const grammar = Object.hasOwn(grammars, language) ? grammars[language] : undefined;
  if (grammar === undefined) return [];
  const parser = await grammar.load();
  return symbolsOf(parser.parse(view.text), view, grammar);
}

function symbolsOf(tree: Tree, view: TextView, { symbols, outside }: Grammar): Symbol[] {
  const starts = lineStarts(view.text);
  const found: Symbol[] = [];
  const isHeading = symbols.source.includes('Heading');
  let depth = 0;
  tree.iterate({
    enter(node) {
      const isSymbol =
        symbols.test(node.name) || (depth === 0 && outside?.test(node.name) === true);
      if (!isSymbol) return;
      const line = lineAt(starts, isHeading ? node.from : nameStart(view.text, node.from, node.to));
      const text = isHeading ? view.line(line - 1) : headOf(view, line - 1);
      const lineCount = lineAt(starts, node.to) - line + 1;
      // A macro that no grammar can know may make a symbol of what is none.
      const isNamed = isHeading || /^\s*[\w#~$@[]/.test(text);
      if (isNamed && found.at(-1)?.line !== line) found.push({ line, depth, lineCount, text });
      depth += 1;
    },
    leave(node) {
      if (symbols.test(node.name) || (depth === 1 && outside?.test(node.name) === true)) depth -= 1;
    },
  });
  return found;
}

/** Where a symbol's own words begin: behind annotations and attributes on lines before it. */
function nameStart(text: string, from: number, to: number): number {
  let at = from;
  while (at < to && /^\s*(?:@\w|#\[|\[\w)/.test(text.slice(at, at + 40))) {
    const end = text.indexOf('\n', at);
    if (end < 0 || end >= to) return from;
    at = end + 1;
  }
  const blank = /^\s*/.exec(text.slice(at, at + 200))?.[0].length ?? 0;
  return at + blank;
}

/** A symbol's line without what opens its body; with the next one where the name stands there. */
function headOf(view: TextView, index: number): string {
  const line = view.line(index);
  const isOnlyType =
    /^(?:static |inline |extern |const )*[\w:<> ]+[ *&]*$/.test(line) &&
    /^\**\w[\w:~]*\(/.test(view.line(index + 1));
  return `${line}${isOnlyType ? ` ${view.line(index + 1)}` : ''}`.replace(/\s*[{:]?\s*$/, '');
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** The line, from 1, that holds a place. */
function lineAt(starts: readonly number[], place: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}
