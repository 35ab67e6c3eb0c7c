/** A pattern that is not one. Caught by `parsePattern`, never seen outside. */
export class PatternError extends Error {
  constructor(message: string, position: number) {
    super(`${message} at ${position + 1}`);
    this.name = 'PatternError';
  }
}

/** Flags that change in the middle of a pattern and are restored at the end of a group. */
export interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
  readonly extended: boolean;
  /** RE2's `U`: `*` is lazy and `*?` greedy. */
  readonly ungreedy: boolean;
}

/** A cursor over a pattern's source. Positions count UTF-16 units. */
export class PatternReader {
  readonly source: string;
  position = 0;
  flags: Flags;
  /** Set when the pattern names a newline on purpose. */
  namesNewline = false;

  constructor(source: string, flags: Flags) {
    this.source = source;
    this.flags = flags;
  }

  get atEnd(): boolean {
    return this.position >= this.source.length;
  }

  /** Whether the rest starts with this text; moves on if it does. */
  eat(text: string): boolean {
    if (!this.source.startsWith(text, this.position)) return false;
    this.position += text.length;
    return true;
  }

  /** Whether the rest starts with this text. */
  sees(text: string): boolean {
    return this.source.startsWith(text, this.position);
  }

  /** Matches a sticky expression here and moves on. */
  take(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.position;
    const match = sticky.exec(this.source);
    if (match === null) return undefined;
    this.position += match[0].length;
    return match;
  }

  /** The next code point. @throws PatternError at the end */
  next(): number {
    const codePoint = this.source.codePointAt(this.position);
    if (codePoint === undefined) throw this.error('it ends too early');
    this.position += codePoint > 0xffff ? 2 : 1;
    return codePoint;
  }

  error(message: string): PatternError {
    return new PatternError(message, Math.min(this.position, this.source.length));
  }
}
