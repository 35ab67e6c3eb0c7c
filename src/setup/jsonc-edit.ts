import {
  applyEdits,
  createScanner,
  type FormattingOptions,
  findNodeAtLocation,
  modify,
  type Node,
  parse,
  parseTree,
} from 'jsonc-parser';
import { isDeepStrictEqual } from 'node:util';
import { isObject, type JsonObject } from '../wire/json.ts';

const byteOrderMark = '\uFEFF';

/**
 * Sets a member, in front of its siblings where it is new: behind them a trailing comment would end
 * up in the wrong place. A text that has the value already comes back as it is.
 */
export function setValue(text: string, path: MemberPath, value: unknown): string {
  const standing = path.reduce<unknown>(
    (held, name) =>
      isObject(held) || Array.isArray(held) ? (held as JsonObject)[name] : undefined,
    valueOf(text),
  );
  if (isDeepStrictEqual(standing, value)) return text;
  return edit(text, path, value);
}

/** Puts an element in front of a list that has none like it. */
export function insertElement(text: string, list: readonly string[], value: unknown): string {
  return edit(text, [...list, 0], value, true);
}

/** Members from the root on; a number is a place in a list. */
export type MemberPath = readonly (string | number)[];

/**
 * Removes a member, or an element of a list, and what is around it if nothing is left in that, not
 * even a comment.
 */
export function removeMember(text: string, path: MemberPath): string {
  const edited = cutMember(text, path);
  const parent = path.slice(0, -1);
  const body = withoutMark(edited);
  const node = nodeAt(body, parent);
  if (parent.length === 0 || node === undefined) return edited;
  const inside = body.slice(node.offset + 1, node.offset + node.length - 1);
  return inside.trim() === '' ? removeMember(edited, parent) : edited;
}

/** Cuts one member with its comma and its line; the parser's own removal takes comments along. */
function cutMember(text: string, path: MemberPath): string {
  const mark = text.startsWith(byteOrderMark) ? byteOrderMark : '';
  const body = withoutMark(text);
  const node = nodeAt(body, path);
  const member = node?.parent?.type === 'property' ? node.parent : node;
  const siblings = member?.parent?.children;
  if (member === undefined || siblings === undefined) return text;
  const end = member.offset + member.length;
  const before = siblings[siblings.indexOf(member) - 1];
  const comma =
    commaAfter(body, end) ??
    (before === undefined ? undefined : commaAfter(body, before.offset + before.length));
  const cuts = [[member.offset, end] as const];
  if (comma !== undefined) cuts.push([comma, comma + 1]);
  return mark + cuts.toSorted(([one], [other]) => other - one).reduce(cutRange, body);
}

/** Where the comma behind a value stands, comments aside; undefined behind the last one. */
function commaAfter(body: string, offset: number): number | undefined {
  const scanner = createScanner(body, true);
  scanner.setPosition(offset);
  scanner.scan();
  const found = scanner.getTokenOffset();
  return body[found] === ',' ? found : undefined;
}

/** Cuts a range, and the line it stood on if nothing else is there. */
function cutRange(body: string, [start, end]: readonly [number, number]): string {
  const head = body.slice(0, start);
  const tail = body.slice(end);
  const blankBefore = /\r?\n[ \t]*$/.exec(head);
  const blankAfter = /^[ \t]*(?=\r?\n)/.exec(tail);
  if (blankBefore === null || blankAfter === null) return head + tail;
  return head.slice(0, blankBefore.index) + tail.slice(blankAfter[0].length);
}

/**
 * A text in which what our edits have only laid out anew stands as it stood before: where an object
 * holds the same words and comments, its blanks and line ends are those of the earlier text.
 * @param before The text before our first edit
 * @param paths Places of ours; what holds them is compared, the whole object first
 */
export function withEarlierLayout(
  text: string,
  before: string,
  paths: readonly MemberPath[],
): string {
  let edited = text;
  for (const path of paths) {
    for (let length = 0; length < path.length; length += 1) {
      const holder = path.slice(0, length);
      const [now, earlier] = [
        nodeAt(withoutMark(edited), holder),
        nodeAt(withoutMark(before), holder),
      ];
      if (now === undefined || earlier === undefined) break;
      const [own, wanted] = [
        sliceOf(withoutMark(edited), now),
        sliceOf(withoutMark(before), earlier),
      ];
      if (bare(own) !== bare(wanted)) continue;
      const start = edited.length - withoutMark(edited).length + now.offset;
      edited = edited.slice(0, start) + wanted + edited.slice(start + now.length);
      break;
    }
  }
  return edited;
}

function sliceOf(body: string, { offset, length }: Node): string {
  return body.slice(offset, offset + length);
}

/** A text without the blanks and line ends between its words; comments are words. */
function bare(text: string): string {
  const scanner = createScanner(withoutMark(text), false);
  const words: string[] = [];
  for (let token: number = scanner.scan(); token !== endOfText; token = scanner.scan()) {
    if (token !== trivia && token !== lineBreak) words.push(scanner.getTokenValue());
  }
  return words.join('\n');
}

// `SyntaxKind` of the scanner, which is no value at run time.
const lineBreak = 14;
const trivia = 15;
const endOfText = 17;

function nodeAt(body: string, path: MemberPath): Node | undefined {
  const root = parseTree(body, [], { allowTrailingComma: true });
  return root === undefined ? undefined : findNodeAtLocation(root, [...path]);
}

function edit(text: string, path: MemberPath, value: unknown, isArrayInsertion = false): string {
  const mark = text.startsWith(byteOrderMark) ? byteOrderMark : '';
  const body = withoutMark(text);
  const edits = modify(body, [...path], value, {
    isArrayInsertion,
    formattingOptions: formattingOf(body),
    getInsertionIndex: () => 0,
  });
  return mark + applyEdits(body, edits);
}

/** Line ends and indentation as they are in the text. */
function formattingOf(text: string): FormattingOptions {
  const indent = /^(?<indent>\t+| +)["/}]/m.exec(text)?.groups?.['indent'] ?? '  ';
  return {
    insertSpaces: !indent.startsWith('\t'),
    tabSize: indent.startsWith('\t') ? 4 : indent.length,
    eol: text.includes('\r\n') ? '\r\n' : '\n',
  };
}

/** The text's value; an empty object where it holds none. Later duplicates win, as in OpenCode. */
export function valueOf(text: string): JsonObject {
  const value: unknown = parse(withoutMark(text), [], { allowTrailingComma: true });
  return isObject(value) ? value : {};
}

/** A member of a member of ... a value. */
export function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (isObject(inner) ? inner[name] : undefined), value);
}

/** The text without its byte order mark. */
export function withoutMark(text: string): string {
  return text.startsWith(byteOrderMark) ? text.slice(1) : text;
}
