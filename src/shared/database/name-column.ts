import { hash } from 'node:crypto';

/**
 * Bytes of a name that stand in a column of its own: an index of PostgreSQL holds a key of at most
 * 2,704 bytes (a third of a page, `BTMaxItemSize`), and paths may be 4,096 long.
 */
const maxNameBytes = 2_000;
/** So many of a longer one, bytes: its hash stands behind them. */
const beginningBytes = 1_900;

/** Begins what stands for a sign that a column cannot hold; itself written so, too. */
const escape = '\u0010';

/**
 * The name of a project as a column of type text can hold it: NUL and halves of surrogate pairs,
 * which PostgreSQL refuses or the driver would make into one and the same sign, as U+0010 and four
 * hexadecimal digits; of a name that is too long for an index the beginning, U+0010, `#` and its
 * SHA-256. Two names never have the same column, and all others stand there as they are.
 */
export function nameColumn(name: string): string {
  // By code points: halves of pairs stand alone.
  const signs = Array.from(name, (sign) => (isUnfit(sign) ? escaped(sign) : sign));
  const column = signs.join('');
  if (Buffer.byteLength(column) <= maxNameBytes) return column;
  let bytes = 0;
  const tooFar = signs.findIndex((sign) => (bytes += Buffer.byteLength(sign)) > beginningBytes);
  return `${signs.slice(0, tooFar).join('')}${escape}#${hash('sha256', column)}`;
}

/** What {@link nameColumn} was given; of a name that was too long the beginning, with `…`. */
export function columnName(column: string): string {
  const [first = '', ...others] = column.split(escape);
  const signs = others.map((other) =>
    other.startsWith('#')
      ? '…'
      : `${String.fromCharCode(Number.parseInt(other.slice(0, 4), 16))}${other.slice(4)}`,
  );
  return first + signs.join('');
}

function isUnfit(sign: string): boolean {
  return sign === '\0' || sign === escape || !sign.isWellFormed();
}

function escaped(sign: string): string {
  return `${escape}${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
