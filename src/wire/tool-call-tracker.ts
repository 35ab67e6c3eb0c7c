import { isObject, nonEmptyText, parseJson, type JsonObject } from './json.ts';
import type { ToolCallDelta } from './types.ts';

/** A call whose pieces are coming in. */
interface Call {
  /** Our index, from 0 in order of first appearance; undefined until the name is known. */
  index: number | undefined;
  id: string | undefined;
  /** The id the upstream gave it. */
  readonly wireId: string | undefined;
  /** The index the upstream gave it. */
  readonly wireIndex: number | undefined;
  /** All arguments so far; before the name is known, also what is still to be sent. */
  arguments: string;
  extra: Record<string, unknown> | undefined;
}

/**
 * Tells the tool calls of one completion apart, whatever a provider does with `index` and `id`, and gives them
 * indexes of their own. Two pieces belong to one call when
 * - they carry the same id, unless the later one comes at a new index with a name (an id given twice), or
 * - they carry the same index, unless the later one brings a new id and a name, or a name after complete arguments
 *   (Ollama once gave all calls index 0), or
 * - the later one has neither id, index nor name: it goes on with the last call.
 */
export class ToolCallTracker {
  readonly #makeId: () => string;
  readonly #calls: Call[] = [];
  #last: Call | undefined;
  #count = 0;

  /** @param makeId Makes an id for a call that came without one, or with one already used. */
  constructor(makeId: () => string) {
    this.#makeId = makeId;
  }

  /** The calls that were begun and have not been named: nothing of them has been passed on. */
  get unnamed(): number {
    return this.#calls.length - this.#count;
  }

  /** The clean form of one entry of `delta.tool_calls`; undefined while its call has no name yet, or if it is no object. */
  read(entry: unknown): ToolCallDelta | undefined {
    if (!isObject(entry)) return undefined;
    // Some servers put name and arguments beside the id.
    const detail = isObject(entry['function']) ? entry['function'] : entry;
    const name = nonEmptyText(detail['name']);
    const id = nonEmptyText(entry['id']);
    const wireIndex = Number.isInteger(entry['index']) ? Number(entry['index']) : undefined;
    const piece = argumentsText(detail['arguments']);
    const known = this.#find({ id, name, wireIndex });
    const extra = extraMembers(entry);
    const isEmpty = id === undefined && name === undefined && piece === '' && extra === undefined;
    if (isEmpty) return undefined;
    const call = known ?? this.#begin(id, wireIndex);
    this.#last = call;
    call.arguments += piece;
    if (call.index !== undefined) {
      if (piece === '' && extra === undefined) return undefined;
      return { index: call.index, arguments: piece, ...(extra === undefined ? {} : { extra }) };
    }
    if (extra !== undefined) call.extra = { ...call.extra, ...extra };
    if (name === undefined) return undefined;
    call.index = this.#count;
    this.#count += 1;
    call.id ??= this.#makeId();
    return {
      index: call.index,
      id: call.id,
      name,
      arguments: call.arguments,
      ...(call.extra === undefined ? {} : { extra: call.extra }),
    };
  }

  #find(piece: {
    readonly id: string | undefined;
    readonly name: string | undefined;
    readonly wireIndex: number | undefined;
  }): Call | undefined {
    const { id, name, wireIndex } = piece;
    const sameId =
      id === undefined ? undefined : this.#calls.findLast((call) => call.wireId === id);
    if (wireIndex === undefined) {
      if (id !== undefined) return sameId;
      return name === undefined || this.#last?.index === undefined ? this.#last : undefined;
    }
    const sameIndex = this.#calls.findLast((call) => call.wireIndex === wireIndex);
    if (sameIndex === undefined) return name === undefined ? sameId : undefined;
    if (sameIndex.index === undefined || name === undefined) return sameIndex;
    if (id !== undefined) return sameIndex.wireId === id ? sameIndex : undefined;
    return isObject(parseJson(sameIndex.arguments)) ? undefined : sameIndex;
  }

  #begin(id: string | undefined, wireIndex: number | undefined): Call {
    const taken = id !== undefined && this.#calls.some((call) => call.id === id);
    const call: Call = {
      index: undefined,
      id: taken ? this.#makeId() : id,
      wireId: id,
      wireIndex,
      arguments: '',
      extra: undefined,
    };
    this.#calls.push(call);
    return call;
  }
}

function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value;
  // A server that sends the arguments as the object itself.
  return isObject(value) ? JSON.stringify(value) : '';
}

const ownMembers = new Set(['index', 'id', 'type', 'function', 'name', 'arguments']);

function extraMembers(entry: JsonObject): Record<string, unknown> | undefined {
  let extra: Record<string, unknown> | undefined;
  for (const [member, value] of Object.entries(entry)) {
    if (ownMembers.has(member) || value === null || value === undefined) continue;
    extra ??= {};
    extra[member] = value;
  }
  return extra;
}
