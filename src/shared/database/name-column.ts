import { hash } from 'node:crypto';

/**
 * Bytes of a name that stand in a column of its own: an index of PostgreSQL holds a key of at most
 * 2,704 bytes (a third of a page, `BTMaxItemSize`), and paths may be 4,096 long.
 */
const maxNameBytes = 2_000;

/** Begins what stands for a sign that a column cannot hold; itself written so, too. */
const escape = '\u0010';

const unfit = new RegExp(
  `[\\0${escape}]|[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]`,
  'g',
);
const escapedSign = new RegExp(`${escape}([0-9a-f]{4})`, 'g');
const wholeSign = new RegExp(`${escape}[0-9a-f]{4}|[^]`, 'gu');
const hashAtEnd = new RegExp(`${escape}#[0-9a-f]{64}$`);

/**
 * The name of a project as a column of type text can hold it: NUL and halves of surrogate pairs,
 * which PostgreSQL refuses or the driver would make into one and the same sign, as U+0010 and four
 * hexadecimal digits; of a name that is too long for an index the beginning, U+0010, `#` and its
 * SHA-256. Two names never have the same column, and all others stand there as they are.
 */
export function nameColumn(name: string): string {
  const column = name.replace(unfit, escaped);
  if (Buffer.byteLength(column) <= maxNameBytes) return column;
  return `${beginningOf(column)}${escape}#${hash('sha256', column)}`;
}

/** What {@link nameColumn} was given; of a name that was too long the beginning, with `…`. */
export function columnName(column: string): string {
  if (!column.includes(escape)) return column;
  return column
    .replace(hashAtEnd, '…')
    .replace(escapedSign, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function escaped(sign: string): string {
  return `${escape}${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** As many whole signs as fit; what is written with an escape is one. */
function beginningOf(column: string): string {
  let bytes = 0;
  let end = 0;
  for (const [sign] of column.matchAll(wholeSign)) {
    bytes += Buffer.byteLength(sign);
    if (bytes > maxNameBytes - 100) break;
    end += sign.length;
  }
  return column.slice(0, end);
}
