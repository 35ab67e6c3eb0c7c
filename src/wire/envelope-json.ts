import { isObject } from './json.ts';
import { mayHoldHalves, wellFormed } from './well-formed.ts';

/** Numbers of a request's own members as they came, by the member's name. */
type ExactNumbers = ReadonlyMap<string, { readonly value: number; readonly json: string }>;

/**
 * Where a request keeps them: not a member, so that nothing that walks members meets it, and copied
 * along by a spread.
 */
export const exactNumbers = Symbol('numbers as they came');

/** A request that may have such numbers. */
export interface WithExactNumbers {
  readonly [exactNumbers]?: ExactNumbers;
}

/**
 * What JavaScript's numbers may spell differently: 16 digits and more, zeros at the end, exponents,
 * a negative zero.
 */
const oddNumber = /\d{16}|\d\.\d{15}|\d\.\d*0[\s,}\]]|\d[eE]|-0[\s,}\]]/;

/** Node 24 has these; the library of types does not. */
const exact = JSON as unknown as {
  rawJSON(json: string): object;
  parse(
    json: string,
    revive: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
};

/**
 * Parses a request without its messages so that its numbers keep their digits: a seed of 20 digits,
 * a temperature of `1.0`. A number that is a member of the request stays one and has its spelling
 * beside it (see {@link exactNumbers}); one further inside, which nobody here reads, becomes what
 * `JSON.stringify` writes as it came. Halves of characters become U+FFFD.
 * @throws SyntaxError for what is not JSON
 */
export function parseEnvelopeJson(json: string): unknown {
  const value: unknown = oddNumber.test(json) ? parseExact(json) : JSON.parse(json);
  return mayHoldHalves(json) ? wellFormed(value) : value;
}

function parseExact(json: string): unknown {
  const odd = new Map<unknown, string>();
  const value = exact.parse(json, (_name, one, { source }) => {
    if (typeof one !== 'number' || source === undefined || String(one) === source) return one;
    const raw = exact.rawJSON(source);
    odd.set(raw, source);
    return raw;
  });
  if (!isObject(value)) return odd.has(value) ? Number(odd.get(value)) : value;
  const own: Record<string, unknown> = value;
  const numbers = new Map<string, { readonly value: number; readonly json: string }>();
  for (const [name, member] of Object.entries(own)) {
    const source = odd.get(member);
    if (source === undefined) continue;
    numbers.set(name, { value: Number(source), json: source });
    own[name] = Number(source);
  }
  return numbers.size === 0 ? value : Object.assign(own, { [exactNumbers]: numbers });
}

/**
 * The JSON of a request's member, with the digits it came with unless it has been changed since.
 */
export function memberJson(request: WithExactNumbers, name: string, value: unknown): string {
  const known = request[exactNumbers]?.get(name);
  return known !== undefined && known.value === value ? known.json : JSON.stringify(value);
}
