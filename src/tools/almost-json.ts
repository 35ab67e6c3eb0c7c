/** What a text says, or why it cannot be told: a clause that goes into a sentence. */
export type ReadJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly reason: string };

/**
 * Values nest this deep at most in a text that is not JSON as it stands: no arguments of ours are
 * deeper.
 */
const maxDepth = 50;

/** So often a text may be JSON inside a JSON string. */
const maxEncodings = 3;

/** So much of a text is shown around the place where it fails, UTF-16 units to each side. */
const shownUnits = 20;

/**
 * Reads the arguments of a call, which models write almost as JSON: escapes that JSON does not know
 * (a backslash too few in a regular expression), raw line feeds in strings, single quotes, Python's
 * constants, a comma too many, a fence or words around, the whole encoded twice, an empty object in
 * front. Taken only where one reading is possible. Linear.
 */
export function readAlmostJson(text: string): ReadJson {
  let current = text;
  for (let round = 0; round < maxEncodings; round += 1) {
    const read = readOnce(current);
    if (!read.ok || typeof read.value !== 'string' || !/^\s*[[{"]/.test(read.value)) return read;
    // A string that holds an object is the object encoded twice; any other string is what it says.
    const inner = readOnce(read.value);
    if (!inner.ok) return read.value.trimStart().startsWith('{') ? inner : read;
    current = read.value;
  }
  return readOnce(current);
}

function readOnce(text: string): ReadJson {
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    return readLeniently(text);
  }
}

/** All values of a text that is not JSON, of which one may say something. */
function readLeniently(text: string): ReadJson {
  const start = text.search(/[[{"]/);
  if (start < 0) return { ok: false, reason: `it begins with ${shown(text, 0)}` };
  const reader = new LenientReader(text, start);
  let said: { readonly value: unknown; readonly json: string } | undefined;
  try {
    for (;;) {
      const value = reader.value(0);
      const json = JSON.stringify(value);
      if (json !== '{}' && said !== undefined && said.json !== '{}' && said.json !== json)
        return { ok: false, reason: 'it holds several objects, which are not the same' };
      if (said === undefined || said.json === '{}') said = { value, json };
      const next = text.slice(reader.at).search(/[[{]/);
      if (next < 0) break;
      reader.at += next;
    }
  } catch (error) {
    if (error instanceof NotJson) return { ok: false, reason: error.message };
    throw error;
  }
  return { ok: true, value: said.value };
}

/** Why a text has no one reading. */
class NotJson extends Error {}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

const constants: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  null: null,
  True: true,
  False: false,
  None: null,
  undefined: null,
};

/** Reads one value after the other, more tolerant than JSON. */
class LenientReader {
  at: number;
  readonly #text: string;

  constructor(text: string, at: number) {
    this.#text = text;
    this.at = at;
  }

  value(depth: number): unknown {
    if (depth > maxDepth) throw new NotJson(`it nests more than ${maxDepth} deep`);
    this.#skipSpace();
    const first = this.#text[this.at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#list(depth);
    if (first === '"' || first === "'") return this.#string(first);
    return this.#word();
  }

  #object(depth: number): Record<string, unknown> {
    const members: [string, unknown][] = [];
    this.at += 1;
    while (!this.#ends('}')) {
      const first = this.#text[this.at];
      const name =
        first === '"' || first === "'" ? this.#string(first) : this.#take(/[A-Za-z_$][\w$]*/y);
      if (name === undefined) throw this.#fault('a member name is expected');
      this.#skipSpace();
      if (this.#text[this.at] !== ':') throw this.#fault('a colon is expected');
      this.at += 1;
      members.push([name, this.value(depth + 1)]);
      this.#separator('}');
    }
    return Object.fromEntries(members);
  }

  #list(depth: number): unknown[] {
    const values: unknown[] = [];
    this.at += 1;
    while (!this.#ends(']')) {
      values.push(this.value(depth + 1));
      this.#separator(']');
    }
    return values;
  }

  /** Whether the closing bracket is here; takes it. */
  #ends(close: string): boolean {
    this.#skipSpace();
    if (this.#text[this.at] !== close) return false;
    this.at += 1;
    return true;
  }

  #separator(close: string): void {
    this.#skipSpace();
    if (this.#text[this.at] === ',') this.at += 1;
    else if (this.#text[this.at] !== close) throw this.#fault(`a comma or ${close} is expected`);
  }

  /** A string. An escape that JSON does not know is the backslash itself. */
  #string(quote: string): string {
    const start = this.at;
    let said = '';
    let isRaw = false;
    /** Where an escape stands that says another thing if backslashes are meant as they are. */
    let twofold: number | undefined;
    for (let at = start + 1; at < this.#text.length; at += 1) {
      const char = this.#text[at] as string;
      if (char === quote) {
        if (isRaw && twofold !== undefined) {
          this.at = twofold;
          throw this.#fault(
            `${this.#text.slice(twofold, twofold + 2)} can be read in two ways; write each backslash of the text as two, as in {"pattern":"\\\\bname\\\\s"}`,
          );
        }
        this.at = at + 1;
        return said;
      }
      if (char !== '\\') {
        said += char;
        continue;
      }
      const next = this.#text[at + 1] ?? '';
      const code = /^[0-9a-fA-F]{4}$/.test(this.#text.slice(at + 2, at + 6));
      if (next === 'u' && code) {
        said += String.fromCharCode(Number.parseInt(this.#text.slice(at + 2, at + 6), 16));
        at += 5;
      } else if (Object.hasOwn(escapes, next) || next === quote) {
        if (next === 'b' || next === '\\') twofold ??= at;
        said += escapes[next] ?? next;
        at += 1;
      } else {
        isRaw = true;
        said += char;
      }
    }
    this.at = start;
    throw this.#fault('this string has no end');
  }

  #word(): unknown {
    const start = this.at;
    const word = this.#take(/[-+.\w]+/y) ?? '';
    if (Object.hasOwn(constants, word)) return constants[word];
    const number = Number(word);
    if (word !== '' && Number.isFinite(number)) return number;
    this.at = start;
    throw this.#fault('a value is expected');
  }

  #skipSpace(): void {
    this.#take(/\s+/y);
  }

  #take(what: RegExp): string | undefined {
    what.lastIndex = this.at;
    const found = what.exec(this.#text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  #fault(what: string): NotJson {
    return new NotJson(`at character ${this.at + 1}, ${shown(this.#text, this.at)}: ${what}`);
  }
}

function shown(text: string, at: number): string {
  const start = Math.max(0, at - shownUnits);
  return JSON.stringify(text.slice(start, at + shownUnits).toWellFormed());
}
