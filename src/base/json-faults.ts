import { type ParseErrorCode, printParseErrorCode } from 'jsonc-parser';

/** What a parser of JSON misses or cannot take, by its own name for it. */
const words: Readonly<Record<string, string>> = {
  CommaExpected: 'a comma is missing in front of this',
  ColonExpected: 'a colon is missing in front of this',
  ValueExpected: 'a value is missing here',
  PropertyNameExpected: 'a name in double quotes is missing here',
  CloseBraceExpected: 'a } is missing here',
  CloseBracketExpected: 'a ] is missing here',
  EndOfFileExpected: 'nothing may stand behind the end of the object',
  InvalidSymbol: 'this is no value: a text stands in double quotes',
  InvalidNumberFormat: 'this is no number',
  InvalidEscapeCharacter: 'a backslash in a text is written twice',
  InvalidCharacter: 'a line end or another control character stands in a text',
  UnexpectedEndOfString: 'a text has no closing quote',
  UnexpectedEndOfComment: 'a comment has no end',
};

/** What is wrong with a text that is not JSON, for whoever wrote it. */
export function jsonFaultText(code: ParseErrorCode): string {
  const name = printParseErrorCode(code);
  return words[name] ?? name;
}
