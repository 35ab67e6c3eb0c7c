import { isObject, parseJson } from '../../wire/json.ts';
import type { RecordedExchange } from '../recorded-turn.ts';
import { scrubArguments } from './arguments.ts';
import { scrubError, scrubJson } from './json.ts';
import type { WordScrubber } from './words.ts';

/** A text that comes in pieces: where each stands, and what is made of the whole. */
interface PiecedText {
  readonly pieces: { readonly holder: Record<string, unknown>; readonly member: string }[];
  /** The tool, for arguments of a call. */
  name?: string;
  readonly isArguments: boolean;
}

/** Members of structured reasoning that come in pieces. */
const reasoningTexts = ['text', 'summary'];

/**
 * What a provider answered, without its words: JSON, or server-sent events, of which each keeps the
 * length of its piece.
 */
export function scrubAnswer(
  body: Buffer,
  { contentType, status = 200 }: Pick<RecordedExchange, 'contentType' | 'status'>,
  words: WordScrubber,
): Buffer {
  const text = body.toString();
  if (!contentType.includes('event-stream')) {
    const value = parseJson(text);
    const isError = status >= 400;
    if (value === undefined)
      return Buffer.from(isError ? words.textButNumbers(text) : words.text(text));
    return Buffer.from(JSON.stringify((isError ? scrubError : scrubJson)(value, words)));
  }
  const pieced = new Map<string, PiecedText>();
  const lines = text.split('\n').map((line) => {
    const data = /^data: ?(.*?)\r?$/.exec(line)?.[1];
    const value = data === undefined ? undefined : parseJson(data);
    // What is said beside the events is a comment, a name or a count.
    if (!isObject(value)) return line.startsWith(':') ? words.text(line) : line;
    const scrubbed = scrubJson(value, words);
    // Whole texts are scrubbed when all of their pieces are known: a word may come in two.
    takePieces(value, scrubbed as Record<string, unknown>, pieced);
    return scrubbed as object;
  });
  for (const text of pieced.values()) putTogether(text, words);
  return Buffer.from(
    lines
      .map((line) => (typeof line === 'string' ? line : `data: ${JSON.stringify(line)}`))
      .join('\n'),
  );
}

/** Finds the pieces of an event, and puts them into the scrubbed one as they were. */
function takePieces(
  event: Readonly<Record<string, unknown>>,
  into: Record<string, unknown>,
  pieced: Map<string, PiecedText>,
): void {
  const choices = listOf(event['choices']);
  const scrubbedChoices = listOf(into['choices']);
  for (const [at, choice] of choices.entries()) {
    const delta = choice['delta'];
    const scrubbed = scrubbedChoices[at]?.['delta'];
    if (!isObject(delta) || !isObject(scrubbed)) continue;
    const path = `choice ${indexOf(choice, at)}`;
    for (const [member, piece] of Object.entries(delta))
      if (typeof piece === 'string' && member !== 'role')
        addPiece(pieced, `${path} ${member}`, scrubbed, member, piece);
    const calls = listOf(delta['tool_calls']);
    const scrubbedCalls = listOf(scrubbed['tool_calls']);
    const details = listOf(delta['reasoning_details']);
    const scrubbedDetails = listOf(scrubbed['reasoning_details']);
    for (const [number, detail] of details.entries())
      for (const member of reasoningTexts) {
        const piece = detail[member];
        const holder = scrubbedDetails[number];
        const key = `${path} ${member} ${indexOf(detail, number)} ${String(detail['type'])}`;
        if (typeof piece === 'string' && holder !== undefined)
          addPiece(pieced, key, holder, member, piece);
      }
    for (const [number, call] of calls.entries()) {
      const key = `${path} call ${indexOf(call, number)}`;
      const { function: made, custom } = call;
      const { function: holder, custom: customHolder } = scrubbedCalls[number] ?? {};
      if (isObject(custom) && isObject(customHolder) && typeof custom['input'] === 'string')
        addPiece(pieced, `${key} input`, customHolder, 'input', custom['input']);
      if (!isObject(made) || !isObject(holder)) continue;
      if (typeof made['arguments'] === 'string')
        addPiece(pieced, key, holder, 'arguments', made['arguments']);
      const text = pieced.get(key);
      if (text !== undefined && typeof made['name'] === 'string')
        text.name = (text.name ?? '') + made['name'];
    }
  }
}

function addPiece(
  pieced: Map<string, PiecedText>,
  key: string,
  holder: object,
  member: string,
  piece: string,
): void {
  let text = pieced.get(key);
  if (text === undefined) {
    text = { pieces: [], isArguments: member === 'arguments' };
    pieced.set(key, text);
  }
  const own = holder as Record<string, unknown>;
  own[member] = piece;
  text.pieces.push({ holder: own, member });
}

/** Scrubs the whole text and gives each piece its share; the last one takes what is left. */
function putTogether({ pieces, name = '', isArguments }: PiecedText, words: WordScrubber): void {
  const lengths = pieces.map(({ holder, member }) => String(holder[member]).length);
  const whole = pieces.map(({ holder, member }) => String(holder[member])).join('');
  const scrubbed = isArguments ? scrubArguments(name, whole, words) : words.text(whole);
  let from = 0;
  for (const [at, { holder, member }] of pieces.entries()) {
    const isLast = at === pieces.length - 1;
    holder[member] = scrubbed.slice(from, isLast ? undefined : from + lengths[at]!);
    from += lengths[at]!;
  }
}

function listOf(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Which of several it belongs to, as it says itself, else by its place. */
function indexOf({ index }: Readonly<Record<string, unknown>>, place: number): number {
  return typeof index === 'number' ? index : place;
}
