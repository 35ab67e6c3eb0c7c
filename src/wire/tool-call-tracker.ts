import { isObject, nonEmptyText, type JsonObject } from './json.ts';
import type { ToolCallDelta } from './types.ts';

/** A call whose pieces are coming in. */
interface Call {
  /**
   * Our index, from 0 in order of first appearance; undefined until its first piece has been handed
   * out.
   */
  index: number | undefined;
  id: string | undefined;
  name: string;
  isCustom: boolean;
  /** The id the upstream gave it. */
  readonly wireId: string | undefined;
  /** All arguments so far; before the first piece is handed out, also what is still to be sent. */
  arguments: string;
  extra: Record<string, unknown> | undefined;
  readonly ending: ObjectEnd;
}

/** One entry of `delta.tool_calls`, taken apart. */
interface Piece {
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly wireIndex: number | undefined;
  readonly isCustom: boolean;
  readonly text: string;
  readonly extra: Record<string, unknown> | undefined;
}

/**
 * Tells the tool calls of one completion apart, whatever a provider does with `index` and `id`, and
 * gives them indexes of their own. Two pieces belong to one call when
 * - they carry the same id, unless the later one comes at a new index with a name (an id given
 *   twice), or
 * - they carry the same index, unless the later one brings a new id and a name, or a name after
 *   complete arguments
 *   (Ollama once gave all calls index 0), or
 * - the later one has no index and no id, and no name or the same one while the arguments are not
 *   complete, or
 * - the later one has neither id nor name, and an index that nobody knows: it goes on with the last
 *   call.
 *
 * A name can come in several fragments, so a call is handed out when its arguments begin, another
 * call does, or the answer ends. Linear in the number of pieces.
 */
export class ToolCallTracker {
  readonly #makeId: () => string;
  /** The last call with each of the upstream's ids and indexes. */
  readonly #byWireId = new Map<string, Call>();
  readonly #byWireIndex = new Map<number, Call>();
  readonly #ids = new Set<string>();
  #last: Call | undefined;
  /** The call that has a name and has not been handed out. */
  #held: Call | undefined;
  #begun = 0;
  #named = 0;
  #count = 0;

  /** @param makeId Makes an id for a call that came without one, or with one already used. */
  constructor(makeId: () => string) {
    this.#makeId = makeId;
  }

  /** The calls that were begun and have not been named: nothing of them has been passed on. */
  get unnamed(): number {
    return this.#begun - this.#named;
  }

  /** Whether there is a call with a name. */
  get hasNamed(): boolean {
    return this.#named > 0;
  }

  /**
   * Takes one entry of `delta.tool_calls`, and appends to `deltas` what is clear by now, in its
   * clean form. What is not an object is left out.
   */
  read(entry: unknown, deltas: ToolCallDelta[]): void {
    if (!isObject(entry)) return;
    const piece = pieceOf(entry);
    const { id, name, wireIndex, text, extra } = piece;
    if (id === undefined && name === undefined && text === '' && extra === undefined) return;
    const call = this.#find(piece) ?? this.#begin(id);
    if (this.#held !== call) this.#handOut(deltas);
    this.#last = call;
    if (wireIndex !== undefined) this.#byWireIndex.set(wireIndex, call);
    call.arguments += text;
    call.ending.add(text);
    if (call.index !== undefined) {
      if (text === '' && extra === undefined) return;
      deltas.push({
        index: call.index,
        ...(call.isCustom ? { type: 'custom' } : {}),
        arguments: text,
        ...(extra === undefined ? {} : { extra }),
      });
      return;
    }
    call.isCustom ||= piece.isCustom;
    if (extra !== undefined) call.extra = { ...call.extra, ...extra };
    if (name !== undefined) this.#name(call, name);
    if (call.name !== '' && call.arguments !== '') this.#handOut(deltas);
  }

  /** What was held back, when the answer has ended. */
  end(): ToolCallDelta[] {
    const deltas: ToolCallDelta[] = [];
    this.#handOut(deltas);
    return deltas;
  }

  #name(call: Call, name: string): void {
    if (call.name === '') this.#named += 1;
    // The next fragment, the name once more, or all of it so far.
    call.name = name.startsWith(call.name) ? name : call.name + name;
    this.#held = call;
  }

  #handOut(deltas: ToolCallDelta[]): void {
    const call = this.#held;
    if (call === undefined) return;
    this.#held = undefined;
    call.index = this.#count;
    this.#count += 1;
    call.id ??= this.#makeId();
    this.#ids.add(call.id);
    deltas.push({
      index: call.index,
      id: call.id,
      name: call.name,
      ...(call.isCustom ? { type: 'custom' } : {}),
      arguments: call.arguments,
      ...(call.extra === undefined ? {} : { extra: call.extra }),
    });
  }

  #find({ id, name, wireIndex }: Piece): Call | undefined {
    const sameId = id === undefined ? undefined : this.#byWireId.get(id);
    const last = this.#last;
    if (wireIndex === undefined) {
      if (id !== undefined) return sameId;
      if (name === undefined || last === undefined || last.name === '') return last;
      return name === last.name && !last.ending.isReached ? last : undefined;
    }
    const sameIndex = this.#byWireIndex.get(wireIndex);
    if (sameIndex === undefined) {
      if (name !== undefined) return undefined;
      return id === undefined ? last : sameId;
    }
    if (sameIndex.name === '' || name === undefined) return sameIndex;
    if (id !== undefined) return sameIndex.wireId === id ? sameIndex : undefined;
    return sameIndex.ending.isReached ? undefined : sameIndex;
  }

  #begin(id: string | undefined): Call {
    const isTaken = id !== undefined && this.#ids.has(id);
    const call: Call = {
      index: undefined,
      id: isTaken ? this.#makeId() : id,
      name: '',
      isCustom: false,
      wireId: id,
      arguments: '',
      extra: undefined,
      ending: new ObjectEnd(),
    };
    this.#begun += 1;
    if (id !== undefined) {
      this.#byWireId.set(id, call);
      this.#ids.add(id);
    }
    return call;
  }
}

/**
 * Whether an object that comes in pieces is complete, by its brackets outside of texts. Each piece
 * is looked at once, and only if somebody asks.
 */
class ObjectEnd {
  #pieces: string[] = [];
  #depth = 0;
  #isInText = false;
  #isEscaped = false;
  #isReached = false;

  add(piece: string): void {
    if (piece !== '') this.#pieces.push(piece);
  }

  get isReached(): boolean {
    for (const piece of this.#pieces) this.#scan(piece);
    this.#pieces = [];
    return this.#isReached;
  }

  #scan(piece: string): void {
    for (const character of piece) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#isInText) {
        this.#isInText = character !== '"';
        this.#isEscaped = character === '\\';
      } else if (character === '"') this.#isInText = true;
      else if (character === '{') this.#depth += 1;
      else if (character === '}') this.#isReached ||= (this.#depth -= 1) === 0;
    }
  }
}

function pieceOf(entry: JsonObject): Piece {
  const { custom } = entry;
  const isCustom = isObject(custom) || entry['type'] === 'custom';
  const own = isObject(custom) ? custom : entry['function'];
  // Some servers put name and arguments beside the id.
  const detail = isObject(own) ? own : entry;
  return {
    id: nonEmptyText(entry['id']),
    name: nonEmptyText(detail['name']),
    wireIndex: indexOf(entry['index']),
    isCustom,
    text: argumentsText(isCustom ? (detail['input'] ?? detail['arguments']) : detail['arguments']),
    extra: extraMembers(entry),
  };
}

/** Some servers write the number as a text. */
function indexOf(value: unknown): number | undefined {
  const index = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  return Number.isInteger(index) ? Number(index) : undefined;
}

function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value;
  // A server that sends the arguments as the object itself.
  return isObject(value) ? JSON.stringify(value) : '';
}

const ownMembers = new Set([
  'index',
  'id',
  'type',
  'function',
  'custom',
  'name',
  'arguments',
  'input',
]);

function extraMembers(entry: JsonObject): Record<string, unknown> | undefined {
  let extra: Record<string, unknown> | undefined;
  for (const [member, value] of Object.entries(entry)) {
    if (ownMembers.has(member) || value === null || value === undefined) continue;
    extra ??= {};
    extra[member] = value;
  }
  return extra;
}
