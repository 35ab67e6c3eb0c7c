import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import type { SecretRange } from './find-secrets.ts';
import type { SecretKind } from './token-shapes.ts';

/** So much of a text is looked through before others get their turn, code units: some 10 ms. */
const burstChars = 1 << 20;

/** A text or a message in which secrets were found. */
export interface Masked<Content> {
  /** The same with its secrets masked. */
  readonly content: Content;
  /** What they are, each once. */
  readonly kinds: readonly SecretKind[];
}

/**
 * Looks for secrets in what comes in, where somebody has set what is to be done with them. What
 * finds them is loaded with the first text. Everything is a pure function of the text: the same
 * bytes are masked to the same bytes, in every turn and after every restart.
 */
export class SecretGuard {
  /** Whether they are masked, or what holds them is refused. */
  readonly does: 'mask' | 'refuse';
  #finder: typeof import('./find-secrets.ts') | undefined;

  constructor(does: 'mask' | 'refuse') {
    this.does = does;
  }

  /** To be awaited before {@link text} is asked. */
  async load(): Promise<typeof import('./find-secrets.ts')> {
    this.#finder ??= await import('./find-secrets.ts');
    return this.#finder;
  }

  /** The text, masked; the same one where there is nothing to mask, or nothing is loaded. */
  text(text: string): string {
    return this.#finder?.maskSecrets(text) ?? text;
  }

  /** A value with all its texts masked; the same one where there is nothing to mask. */
  value<Value>(value: Value): Value {
    if (typeof value === 'string') return this.text(value) as Value;
    if (typeof value !== 'object' || value === null) return value;
    const own = Object.entries(value).map(([name, each]) => [name, this.value(each)] as const);
    if (own.every(([name, each]) => each === (value as Record<string, unknown>)[name]))
      return value;
    return (Array.isArray(value) ? own.map(([, each]) => each) : Object.fromEntries(own)) as Value;
  }

  /**
   * A JSON text, in pieces, with the secrets in its strings masked; nothing where it has none. What
   * is no JSON comes back as far as it is. Names of members and what is encoded stay as they are.
   */
  async json(pieces: readonly Uint8Array[]): Promise<Masked<Uint8Array> | undefined> {
    const json = Buffer.concat(pieces).toString();
    const parts: string[] = [];
    const kinds = new Set<SecretKind>();
    let done = 0;
    for (let from = json.indexOf('"'); from >= 0;) {
      const end = stringEnd(json, from + 1);
      if (end < 0) break;
      const next = json.indexOf('"', end + 1);
      const text = isValue(json, end) ? textOf(json.slice(from, end + 1)) : undefined;
      const secrets = text === undefined ? [] : await this.#secretsIn(text);
      if (text !== undefined && secrets.length > 0) {
        for (const { kind } of secrets) kinds.add(kind);
        parts.push(
          json.slice(done, from),
          JSON.stringify((await this.load()).masked(text, secrets)),
        );
        done = end + 1;
      }
      from = next;
    }
    if (done === 0) return undefined;
    return { content: Buffer.from(parts.join('') + json.slice(done)), kinds: [...kinds] };
  }

  /** A text that is to be stored; nothing where it holds no secret. */
  async stored(text: string | Uint8Array): Promise<Masked<string | Uint8Array> | undefined> {
    const whole = typeof text === 'string' ? text : undefined;
    if (whole === undefined && isUtf8(text as Uint8Array)) return this.#bytes(text as Uint8Array);
    const read = whole ?? Buffer.from(text as Uint8Array).toString();
    const secrets = await this.#secretsIn(read);
    if (secrets.length === 0) return undefined;
    return { content: (await this.load()).masked(read, secrets), kinds: kindsOf(secrets) };
  }

  /** UTF-8, never as one string. */
  async #bytes(bytes: Uint8Array): Promise<Masked<Uint8Array> | undefined> {
    const secrets = await this.secretsOf(partsOf(bytes));
    if (secrets.length === 0) return undefined;
    const content = Buffer.from(bytes);
    for (const { masked, startBytes } of secrets) content.write(masked, startBytes);
    return { content, kinds: kindsOf(secrets) };
  }

  /** The secrets of a text that comes as UTF-8 in pieces. */
  async secretsOf(
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<readonly SecretRange[]> {
    const { SecretScan } = await this.load();
    const scan = new SecretScan();
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const found: SecretRange[] = [];
    for await (const piece of pieces) {
      found.push(...scan.add(decoder.decode(piece, { stream: true })));
      await setImmediate();
    }
    found.push(...scan.add(decoder.decode()), ...scan.end());
    return found;
  }

  async #secretsIn(text: string): Promise<readonly SecretRange[]> {
    const { findSecrets, SecretScan } = await this.load();
    if (text.length < burstChars) return findSecrets(text);
    const scan = new SecretScan();
    const found: SecretRange[] = [];
    for (let at = 0; at < text.length; at += burstChars) {
      found.push(...scan.add(text.slice(at, at + burstChars)));
      await setImmediate();
    }
    found.push(...scan.end());
    return found;
  }
}

/** What the setting asks for; nothing where secrets stay as they are. */
export function guardFor(setting: 'keep' | 'mask' | 'refuse'): SecretGuard | undefined {
  return setting === 'keep' ? undefined : new SecretGuard(setting);
}

/** The same pieces with these secrets of theirs masked. */
export async function* maskedPieces(
  pieces: AsyncIterable<Uint8Array>,
  secrets: readonly SecretRange[],
): AsyncGenerator<Uint8Array, void, void> {
  const stretches = secrets.map(({ startBytes, masked }) => ({
    startBytes,
    bytes: Buffer.from(masked),
  }));
  let start = 0;
  let first = 0;
  for await (const piece of pieces) {
    const end = start + piece.length;
    let own = piece;
    for (let at = first; at < stretches.length; at += 1) {
      const { startBytes, bytes } = stretches[at]!;
      if (startBytes >= end) break;
      if (startBytes + bytes.length <= start) {
        first = at + 1;
        continue;
      }
      if (own === piece) own = Uint8Array.from(piece);
      const skipped = Math.max(0, start - startBytes);
      own.set(bytes.subarray(skipped, end - startBytes), Math.max(0, startBytes - start));
    }
    yield own;
    start = end;
  }
}

function* partsOf(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += burstChars) yield bytes.subarray(at, at + burstChars);
}

function kindsOf(secrets: readonly SecretRange[]): readonly SecretKind[] {
  return [...new Set(secrets.map(({ kind }) => kind))];
}

/** Where the string ends that begins before `from`; -1 where it does not. */
function stringEnd(json: string, from: number): number {
  for (let end = json.indexOf('"', from); end >= 0; end = json.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (end - backslashes > from && json[end - backslashes - 1] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return -1;
}

/** Whether the string that ends here is no member's name. */
function isValue(json: string, end: number): boolean {
  let at = end + 1;
  while (/\s/.test(json.charAt(at))) at += 1;
  return json[at] !== ':';
}

/** What a string says, where it is JSON and no encoded file. */
function textOf(literal: string): string | undefined {
  if (/^"data:[\w/.+;=-]{0,100};base64,/.test(literal)) return undefined;
  if (!literal.includes('\\')) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}
