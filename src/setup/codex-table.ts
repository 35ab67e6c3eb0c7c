import type { EditOutcome } from './config-text.ts';

/** A table of ours in a text of TOML that others write, too. */
interface CodexTable {
  /** The table alone. */
  readonly text: string;
  readonly isIn: (text: string) => boolean;
  /** A text with the table; what a user has added to it stays. */
  readonly put: (text: string) => EditOutcome;
  /**
   * A text without it and its inner tables; nothing where the file was made for it.
   * @param before The text before the first installation, where there was one
   */
  readonly take: (text: string, before: string | undefined) => string | undefined;
}

/**
 * A table that is known by its name: Codex writes its tables anew whenever it is told of another
 * server, and comments that could mark ours are lost. It is told by lines, as Codex and people
 * write them; a form that cannot be understood so is left alone.
 * @param path Plain words
 * @param values In TOML, a line each
 */
export function codexTable(
  path: readonly string[],
  values: Readonly<Record<string, string>>,
): CodexTable {
  const name = path.join('.');
  const own = Object.entries(values).map(([key, value]) => `${key} = ${value}\n`);
  const text = [`[${name}]\n`, ...own].join('');
  const isIn = (whole: string): boolean => partsOf(whole, name).ours.length > 0;
  return {
    text,
    isIn,
    put: (whole) => {
      const eol = whole.includes('\r\n') ? '\r\n' : '\n';
      const { head, ours, tail } = partsOf(whole, name);
      const [outer = '', inner = ''] = path;
      const others = [...head, ...tail];
      if (ours.length === 0 && isSaidOtherwise(others, outer, inner))
        return { ok: false, fault: `its "${outer}" is not written as tables of their own` };
      const [header = `[${name}]\n`, ...lines] = ours;
      const added = withoutKeys(lines, Object.keys(values));
      const table = [header, ...own, ...added].join('').replaceAll(/\r?\n/g, eol);
      const before = head.join('');
      const gap = before === '' || ours.length > 0 ? '' : before.endsWith('\n') ? eol : eol + eol;
      return { ok: true, text: before + gap + table + tail.join('') };
    },
    take: (whole, before) => {
      const { head, ours, tail } = partsOf(whole, name);
      if (ours.length === 0) return whole;
      if (before === undefined) {
        const rest = [...head, ...tail].join('');
        return rest.trim() === '' ? undefined : rest;
      }
      // The line between it and what stood before it.
      if (head.at(-1)?.trim() === '') head.pop();
      const rest = [...head, ...tail].join('');
      return rest.trimEnd() === before.trimEnd() ? before : rest;
    },
  };
}

/** A text as lines with their ends: what is before our table, the table, what is behind it. */
function partsOf(
  text: string,
  name: string,
): { readonly head: string[]; readonly ours: string[]; readonly tail: string[] } {
  const lines = text.split(/(?<=\n)/).filter((line) => line !== '');
  const start = lines.findIndex((line) => isHeaderOf(line, name));
  if (start < 0) return { head: lines, ours: [], tail: [] };
  let end = start + 1;
  while (end < lines.length && (!isHeader(lines[end]!) || isWithin(lines[end]!, name))) end += 1;
  // Comments in front of a table are about that, and so is an empty line.
  while (/^(?:#.*)?$/.test(lines[end - 1]!.trim())) end -= 1;
  return { head: lines.slice(0, start), ours: lines.slice(start, end), tail: lines.slice(end) };
}

function isHeader(line: string): boolean {
  return /^[ \t]*\[/.test(line);
}

/** The path of a header without what may be written in it or not. */
function plainHeader(line: string): string {
  return line.replace(/#.*/, '').replaceAll(/[\s"']/g, '');
}

function isHeaderOf(line: string, name: string): boolean {
  return isHeader(line) && plainHeader(line) === `[${name}]`;
}

function isWithin(line: string, name: string): boolean {
  return plainHeader(line).startsWith(`[${name}.`);
}

/** Whether the outer table, or ours in it, is written in another of TOML's forms. */
function isSaidOtherwise(lines: readonly string[], outer: string, inner: string): boolean {
  let header = '';
  return lines.some((line) => {
    if (isHeader(line)) header = plainHeader(line);
    const key = plainHeader(line.split('=', 1)[0] ?? '');
    if (!line.includes('=')) return false;
    if (header === '') return key === outer || key.startsWith(`${outer}.`);
    return header === `[${outer}]` && (key === inner || key.startsWith(`${inner}.`));
  });
}

/** Lines of a table without those keys, a list over several lines included. */
function withoutKeys(lines: readonly string[], keys: readonly string[]): readonly string[] {
  const left: string[] = [];
  let isInList = false;
  let isInner = false;
  for (const line of lines) {
    if (isHeader(line) && !isInList) isInner = true;
    const key = line.split('=', 1)[0]?.trim() ?? '';
    const isOurs = !isInner && !isInList && line.includes('=') && keys.includes(key);
    const isCut = isInList || isOurs;
    if (isOurs) isInList = /=\s*\[[^\]]*$/.test(line);
    else if (isInList) isInList = !line.includes(']');
    if (!isCut) left.push(line);
  }
  return left;
}
