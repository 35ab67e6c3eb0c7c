import type { Landmark, TextView } from './text-view.ts';

/** A language of programs or documents. */
interface Language {
  /** As a stub names it. */
  readonly name: string;
  /** Ends of file names, without the dot. */
  readonly ends: readonly string[];
  /** Lines that hardly any other language has. */
  readonly sure: RegExp;
  /** Lines that it has, and others too. */
  readonly likely?: RegExp;
  /** Lines that open a symbol, where no parser finds them. */
  readonly symbol: RegExp;
}

const languages: readonly Language[] = [
  {
    name: 'TypeScript',
    ends: ['ts', 'tsx', 'mts', 'cts'],
    sure: /^\s*(?:export )?(?:interface \w+(?:<.*>)? (?:extends .*)?\{|type \w+(?:<.*>)? =|(?:declare|abstract) \w+|(?:private|public|protected|readonly) (?:static |async |readonly )*#?\w+[?!]?[:(])|^import type |^\s*(?:readonly )?\w+\??: (?:string|number|boolean|unknown|void|readonly \w+)\b.*[;,{]$|\): (?:\w+(?:<.*>)?(?:\[\])?|void) (?:\{|=>)/,
    likely: /^\s*(?:export |import .* from |const |let |function |class |return |async |\}\);?$)/,
    symbol:
      /^(?:export |declare )*(?:default )?(?:abstract |async )*(?:function|class|interface|type|enum|namespace)\b.*|^export const \w+.*/,
  },
  {
    name: 'JavaScript',
    ends: ['js', 'jsx', 'mjs', 'cjs'],
    sure: /^\s*(?:'use strict'|"use strict"|module\.exports|exports\.\w+ =|const .* = require\(|(?:async )?function\*? ?\w*\(|(?:const|let|var) \w+ = (?:async )?(?:\(.*\)|\w+) =>|this\.\w+ = )|=== |\}\);?$/,
    likely:
      /^\s*(?:export |import .* from |const |let |var |function |class |return |async |if \(|\}$)/,
    symbol:
      /^(?:export )?(?:default )?(?:async )?(?:function|class)\b.*|^(?:module\.)?exports\..*=.*|^export const \w+.*/,
  },
  {
    name: 'Python',
    ends: ['py', 'pyi'],
    sure: /^\s*(?:(?:async )?def \w+\(.*|class \w+(?:\(.*\))?:|from [\w.]+ import .*|elif .*:|except(?: .*)?:|if __name__ ==|@\w[\w.]*(?:\(.*\))?$|self\.\w+ = )/,
    likely: /^\s*(?:import \w|if .*:$|for .* in .*:$|return\b|"""|raise )/,
    symbol: /^\s*(?:(?:async )?def|class) \w+.*/,
  },
  {
    name: 'Go',
    ends: ['go'],
    sure: /^(?:package \w+$|func (?:\(\w+ \*?\w+(?:\[.*\])?\) )?\w+[([]|type \w+(?:\[.*\])? (?:struct|interface|func)|import \($)|:= |^\t+(?:if err != nil|defer |go func)/,
    likely: /^\t*(?:return\b|for .*\{$|if .*\{$|\}$|var \w+ )/,
    symbol: /^(?:func|type) .*/,
  },
  {
    name: 'Rust',
    ends: ['rs'],
    sure: /^\s*(?:pub(?:\(\w+\))? (?:fn|struct|enum|trait|mod|use|type|const|unsafe|async)|fn \w+.*(?:->|\{|\()|impl(?:<.*>)? .*\{|use (?:std|crate|super|self)::|let mut |#!?\[\w+|macro_rules!|match .* \{|mod \w+[;{ ])|&(?:mut |self)|\.unwrap\(\)/,
    likely: /^\s*(?:let |\}$|\/\/[/!] )/,
    symbol:
      /^\s*(?:pub(?:\(\w+\))? )?(?:async |unsafe )*(?:fn|struct|enum|trait|impl|mod|macro_rules!)\b.*/,
  },
  {
    name: 'Java',
    ends: ['java', 'kt'],
    sure: /^\s*(?:import (?:static )?(?:java|javax|org|com)\.[\w.]+;|package [\w.]+;|(?:public|private|protected)(?: static| final| abstract| synchronized)* [\w<>[\], ?]+ \w+\(.*\{|public (?:final |abstract )*(?:class|interface|enum|record) |@Override$|private (?:static )?final )/,
    likely: /^\s*(?:return\b.*;|\}$|\* |throw new |if \(|for \()/,
    symbol:
      /^\s*(?:(?:public|private|protected|static|final|abstract|sealed) )*(?:(?:class|interface|enum|record|@interface) \w+.*|[\w<>[\], ?.]+ \w+\([^;]*\{?$)/,
  },
  {
    name: 'C#',
    ends: ['cs'],
    sure: /^\s*(?:using (?:System|Microsoft|\w+\.)[\w.]*;|namespace [\w.]+;?$|\/\/\/ <|(?:public|private|internal|protected)(?: static| sealed| override| async| readonly| virtual)* [\w<>[\], ?]+ \w+.*(?:\{ get;|=>|\)$)|internal |public (?:sealed |partial |static )*(?:class|record|struct|interface|enum) )/,
    likely: /^\s*(?:return\b.*;|[{}]$|throw new |if \(|var \w+ = )/,
    symbol:
      /^\s*(?:(?:public|private|internal|protected|static|sealed|abstract|partial|readonly) )*(?:class|interface|enum|record|struct)\b.*|^\s*(?:public|internal|protected) [^=;]*\([^;]*/,
  },
  {
    name: 'C++',
    ends: ['cpp', 'cc', 'cxx', 'hpp', 'hh'],
    sure: /^\s*(?:namespace \w*|template ?<|class \w+(?: : public .*)? ?\{?$|using namespace |public:|private:|protected:|#include <(?:\w+|\w+\/.*)>$)|\w::\w|std::|\bconst \w+& /,
    likely: /^\s*(?:#(?:include|if|ifdef|ifndef|define|endif)|return\b.*;|\}$|if \(|for \()/,
    symbol:
      /^(?:class|struct|namespace|template|enum)\b.*|^[A-Za-z_][\w:<>*&, ]* [*&]?[\w:~]+\([^;]*$/,
  },
  {
    name: 'C',
    ends: ['c', 'h'],
    sure: /^(?:#include [<"].*\.h[>"]|#(?:define|ifdef|ifndef|endif|if|undef)\b|static (?:inline )?[\w ]+\**|(?:struct|union|enum|typedef) .*)|\w->\w|\(void\)|^[a-z_]+ ?\*?\w+\(.*\)$|sizeof\(/,
    likely: /^\s*(?:return\b.*;|\}$|if \(|for \(|int \w+|char \*)/,
    symbol:
      /^(?:static |inline |extern )*[A-Za-z_]\w*[\w *]* \**\w+\([^;]*$|^(?:typedef )?(?:struct|union|enum) \w+ ?\{?$|^\w+\([^;]*\)$/,
  },
  {
    name: 'Ruby',
    ends: ['rb', 'rake', 'gemspec'],
    sure: /^\s*(?:require(?:_relative)? ['"]|def (?:self\.)?\w+[?!=]?(?:\(.*\))?$|module [A-Z]\w*$|class [A-Z]\w*(?: < .*)?$|end$|attr_(?:reader|accessor|writer) |elsif |.* do(?: \|.*\|)?$|unless )/,
    likely: /^\s*(?:# |return\b|@\w+ = |if )/,
    symbol: /^\s*(?:module|class|def) \S.*/,
  },
  {
    name: 'PHP',
    ends: ['php'],
    sure: /^<\?php|^\s*(?:(?:public|private|protected)(?: static)? (?:function|\$)|namespace [\w\\]+;|use (?:function )?[\w\\]+;|\$this->)|\$\w+(?:->| = )/,
    symbol:
      /^\s*(?:(?:final|abstract|public|private|protected|static) )*(?:class|interface|trait|enum|function) \S.*/,
  },
  {
    name: 'shell',
    ends: ['sh', 'bash', 'zsh'],
    sure: /^#!.*\b(?:ba|z|k|da)?sh\b|^\s*(?:if \[\[? .*\]|fi$|esac$|done$|then$|elif |case .* in$|for \w+ in |while .*; do|function \w+ ?\{?|\w+\(\) ?\{|export \w+=|local \w+|set -[eux]+|;;$|echo )/,
    likely: /^\s*(?:# |[\w-]+=\S*$|\w+="?\$)/,
    symbol: /^\s*(?:function [\w-]+.*|[\w-]+ ?\(\) ?\{?.*)$|^[\w/*|-]+\)$/,
  },
  {
    name: 'SQL',
    ends: ['sql'],
    sure: /^\s*(?:CREATE (?:OR REPLACE )?(?:TABLE|FUNCTION|VIEW|INDEX|TYPE|UNIQUE|TRIGGER|OPERATOR|SCHEMA|PROCEDURE|CAST)|INSERT INTO|SELECT\b.*|UPDATE \w+ SET|ALTER TABLE|DROP |FROM \w+|WHERE |LANGUAGE |AS '|BEGIN;|COMMIT;|GRANT )/i,
    likely: /^--|;$/,
    symbol: /^\s*(?:CREATE|ALTER|DROP) .*/i,
  },
  {
    name: 'CSS',
    ends: ['css', 'scss', 'less'],
    sure: /^\s*(?:[.#@][\w-]+.*\{|[\w-]+: .+;)$/,
    symbol: /^\S.*\{/,
  },
  {
    name: 'YAML',
    ends: ['yaml', 'yml'],
    sure: /^\s*(?:- )?[\w.-]+:(?: \S.*)?$/,
    symbol: /^[\w.-]+:.*/,
  },
  {
    name: 'TOML or INI',
    ends: ['toml', 'ini', 'cfg'],
    sure: /^\[\[?[\w."-]+\]?\]$|^[\w.-]+ ?= ?\S/,
    symbol: /^\[.*\]$/,
  },
];

/** Many kinds of text have lines like these: they must make up nearly all of it. */
const common: ReadonlySet<string> = new Set(['CSS', 'YAML', 'TOML or INI']);

const markdown = { name: 'Markdown', ends: ['md', 'markdown', 'mdx'] };

/** A language, and how sure it is, 0 to 1. */
export interface Guess {
  readonly language: string;
  readonly score: number;
}

/** What language a text is written in. `path` is the file it came from, where that is known. */
export function languageOf(view: TextView, path: string | undefined): Guess | undefined {
  const end = path === undefined ? undefined : /\.(\w{1,10})$/.exec(path)?.[1]?.toLowerCase();
  const all: Guess[] = [{ language: markdown.name, score: markdownScore(view) }];
  for (const language of languages)
    all.push({ language: language.name, score: scoreOf(view, language) });
  for (const [at, { language, score }] of all.entries()) {
    const { ends } = languages.find(({ name }) => name === language) ?? markdown;
    const isNamed = end !== undefined && ends.includes(end);
    if (isNamed && (score > 0 || language === markdown.name)) all[at] = { language, score: 0.94 };
  }
  const best = all.reduce((a, b) => (b.score > a.score ? b : a));
  return best.score > 0 ? best : undefined;
}

function scoreOf(view: TextView, { name, sure, likely }: Language): number {
  const strong = view.hits(sure);
  if (strong < 2) return 0;
  const share = strong / view.sample.length;
  if (common.has(name)) return share > 0.8 ? share * 0.8 : 0;
  if (share < 0.03) return 0;
  const weak = likely === undefined ? 0 : view.share(likely);
  return Math.min(0.9, 0.3 + share * 2 + weak * 0.4);
}

function markdownScore(view: TextView): number {
  const headings = view.hits(/^#{1,6} \S/);
  const deep = view.hits(/^#{2,6} \S/);
  const fences = view.hits(/^```/);
  const marks = fences + view.hits(/\]\([^)\s]+\)|^\s*[-*] \S|^> |\*\*\w/);
  if (headings === 0) return 0;
  // One `#` opens a comment in half of all languages.
  if (deep === 0 && fences === 0) return marks > headings * 3 ? 0.42 : 0;
  return Math.min(0.92, 0.5 + ((headings + marks) / view.sample.length) * 2);
}

/** Symbols by the look of lines, for languages without a parser and while the parser is loaded. */
export function symbolsByLine(view: TextView, language: string): Landmark[] {
  if (language === markdown.name) return headings(view);
  const symbol = languages.find(({ name }) => name === language)?.symbol;
  if (symbol === undefined) return [];
  const found = view.find(symbol);
  // What a symbol's line ends with, before the body.
  return found
    .filter(
      ({ index }) => !/^\s*(?:return|if|else|for|while|switch|throw|new)\b/.test(view.line(index)),
    )
    .map(({ index }) => ({ line: index + 1, text: view.line(index).replace(/\s*\{\s*$/, '') }));
}

function headings(view: TextView): Landmark[] {
  let fenced = false;
  const found: Landmark[] = [];
  for (let index = 0; index < view.lines.length; index += 1) {
    const line = view.line(index);
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    else if (!fenced && /^#{1,6} \S/.test(line)) found.push(view.landmark(index));
  }
  return found;
}
