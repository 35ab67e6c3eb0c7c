/** What becomes of the texts of a JSON value, and of the names of its members. */
interface LiteralScrub {
  /** @param member The name of the innermost member that it stands in; absent at the top */
  readonly text: (text: string, member: string | undefined) => string;
  readonly name: (name: string) => string;
}

/** A literal, with the colon behind it where it is a name; or what opens and closes. */
const tokens = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/gs;

/**
 * Replaces the texts of a JSON value that stands as a text. Everything else stays as it is written:
 * spaces, digits, which characters are escaped.
 * @param json A valid one
 */
export function inLiterals(json: string, { text, name }: LiteralScrub): string {
  const outer: (string | undefined)[] = [];
  let member: string | undefined;
  return json.replaceAll(
    tokens,
    (found, literal: string | undefined, colon: string | undefined) => {
      if (literal === undefined) {
        if (found === '{' || found === '[') outer.push(member);
        else member = outer.pop();
        return found;
      }
      const held = JSON.parse(literal) as string;
      if (colon === undefined) return rewritten(literal, held, text(held, member));
      member = held;
      return rewritten(literal, held, name(held)) + colon;
    },
  );
}

/** The literal of another text, each character written as the one in its place was. */
function rewritten(literal: string, held: string, other: string): string {
  const plain = JSON.stringify(other);
  if (!literal.includes('\\') || other.length !== held.length) return plain;
  const units = literal.slice(1, -1).match(/\\u[0-9a-f]{4}|\\.|[^\\]/gis) ?? [];
  return `"${units.map((unit, at) => unitLike(unit, held[at] ?? '', other[at] ?? '')).join('')}"`;
}

function unitLike(unit: string, held: string, other: string): string {
  if (held === other) return unit;
  if (!/^\\u/i.test(unit)) return JSON.stringify(other).slice(1, -1);
  return `\\u${other.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
