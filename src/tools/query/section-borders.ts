/** What begins a section by itself: a heading, a rule, a file or a hunk of a diff. */
const sectionStart = /^(?:#{1,6} |={2,}|-{3,}|diff --git |@@ )/;

/**
 * How good the start of a line is to cut a text at: 3 where a section begins, 2 where something
 * stands at the margin behind an empty line, 1 behind an empty line, 0 anywhere else.
 */
function borderRank(line: string, isBehindEmpty: boolean): number {
  if (sectionStart.test(line)) return 3;
  if (!isBehindEmpty) return 0;
  return /^[^\s)\]}]/.test(line) ? 2 : 1;
}

/** A border of one rank more may lie so much further off, as a share of the reach. */
const rankShare = 0.4;

/**
 * Where a text is best cut within itself, as an index into it: at the start of a line, of a section
 * if one begins not too far from `wanted`. `undefined` where no line begins in it.
 */
export function bestBorder(text: string, wanted: number): number | undefined {
  let best: number | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  const reach = Math.max(wanted, text.length - wanted, 1);
  for (let at = text.indexOf('\n') + 1; at > 0; at = text.indexOf('\n', at) + 1) {
    const line = text.slice(at, at + 12);
    const rank = borderRank(line, text[at - 2] === '\n');
    const cost = Math.abs(at - wanted) / reach - rank * rankShare;
    if (cost >= bestCost) continue;
    best = at;
    bestCost = cost;
  }
  return best;
}
