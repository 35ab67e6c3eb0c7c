const openLine = '# rlm-opencode: begin. Written by `rlm-opencode setup`, which also takes it out.';
const closeLine = '# rlm-opencode: end';

/**
 * Our part of a text whose comments begin with `#`, with the lines around it that mark it; the
 * place of the whole in the text. Undefined where there is none, or no end to it.
 */
function partIn(
  text: string,
): { readonly start: number; readonly end: number; readonly indent: string } | undefined {
  const found =
    /^([ \t]*)# rlm-opencode: begin[^\n]*\n(?:[^\n]*\n)*?[ \t]*# rlm-opencode: end[^\n]*(?:\n|$)/m.exec(
      text,
    );
  if (found === null) return undefined;
  return { start: found.index, end: found.index + found[0].length, indent: found[1] ?? '' };
}

/** Whether a text holds our part. */
export function hasPart(text: string): boolean {
  return partIn(text) !== undefined;
}

/** Our part of a text with its marks, or nothing. */
export function partOf(text: string): string {
  const part = partIn(text);
  return part === undefined ? '' : text.slice(part.start, part.end);
}

/** A text without our part. */
export function withoutPart(text: string): string {
  const part = partIn(text);
  return part === undefined ? text : text.slice(0, part.start) + text.slice(part.end);
}

/**
 * A text with our part: in the place of the one that it has, else at an offset, where a line
 * starts.
 * @param place.indent Spaces in front of each line, where the part is new
 */
export function withPart(
  text: string,
  lines: readonly string[],
  place: { readonly offset: number; readonly indent: string },
): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const standing = partIn(text);
  const { start, end, indent } = standing ?? { ...place, start: place.offset, end: place.offset };
  const part = [openLine, ...lines, closeLine].map((line) => `${indent}${line}${eol}`).join('');
  const head = text.slice(0, start);
  const gap = head === '' || head.endsWith('\n') ? '' : eol;
  return `${head}${gap}${part}${text.slice(end)}`;
}
