import { createReadStream } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { isErrno } from '../store/disk/files.ts';
import type { ForgottenTexts, HeldElsewhere, TextHolder } from '../store/types.ts';
import type { TraceRoom } from './trace-room.ts';

/** A file is looked through in pieces of this size, characters. */
const pieceChars = 1_048_576;
/** So much of a piece is looked at once more with the next: a quote may lie across. */
const overlapChars = 4_096;

/**
 * Deletes what was written down of turns that quote forgotten texts: a turn goes whole, because
 * half a trace must never be taken for one.
 */
export class ForgottenTurns implements TextHolder {
  readonly #room: TraceRoom;

  constructor(room: TraceRoom) {
    this.#room = room;
  }

  async forget({ isQuoted, sinceMs, isTrial }: ForgottenTexts): Promise<HeldElsewhere> {
    let traces = 0;
    for (const { name, paths } of await this.#room.turns(sinceMs)) {
      if (!(await isInAny(paths, isQuoted))) continue;
      traces += 1;
      if (!isTrial) await this.#room.drop(name);
    }
    return { traces };
  }
}

async function isInAny(
  paths: readonly string[],
  isQuoted: (text: string) => boolean,
): Promise<boolean> {
  for (const path of paths) {
    try {
      if (await isIn(path, isQuoted)) return true;
    } catch (error) {
      // Deleted meanwhile, to make room.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return false;
}

/**
 * Whether a file quotes a text: as it stands, in the strings of JSON, or put together from the
 * pieces of a stream.
 */
async function isIn(path: string, isQuoted: (text: string) => boolean): Promise<boolean> {
  const views = [new View((text) => text), new View(unescaped), new View(streamedText())];
  const pieces = createReadStream(path, { encoding: 'utf8', highWaterMark: pieceChars });
  for await (const piece of pieces) {
    for (const view of views) {
      if (isQuoted(view.add(piece as string))) return true;
      await setImmediate();
    }
  }
  return false;
}

/** A file's text as it is read in one way, with what its last piece ended with. */
class View {
  readonly #read: (piece: string) => string;
  #end = '';

  constructor(read: (piece: string) => string) {
    this.#read = read;
  }

  add(piece: string): string {
    const text = this.#end + this.#read(piece);
    this.#end = text.slice(-overlapChars);
    return text;
  }
}

/** What stands escaped in JSON, also in JSON within JSON, without its escapes. */
function unescaped(text: string): string {
  return text.replaceAll(/\\+(?:u([0-9a-fA-F]{4})|[nrtbf])/g, (_, code: string | undefined) =>
    code === undefined ? ' ' : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** Members of events whose texts are pieces of one. */
const pieceMember =
  /"(?:content|text|delta|arguments|partial_json|thinking|reasoning|reasoning_content|signature)":"((?:[^"\\]|\\.)*)"/g;

/** Reads the pieces of text in the events of a stream as the text that they make together. */
function streamedText(): (piece: string) => string {
  let rest = '';
  return (piece) => {
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    const texts: string[] = [];
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      for (const [, text = ''] of line.matchAll(pieceMember)) texts.push(unescaped(text));
    }
    return texts.join('');
  };
}
