/** Where something is in a text, code units: `[start, end)`. */
export type TextMark = readonly [start: number, end: number];

/** A piece of a text, as it is shown. */
export interface TextPiece {
  readonly text: string;
  /** Part of a hit. */
  readonly isMarked: boolean;
  /**
   * Set for a character that is not seen, or that changes how others are seen: its name, which
   * stands for it. The text is what it was, for whoever copies it.
   */
  readonly sign?: string;
}

/** Characters that turn the order of others around, hide, or are nothing to look at. */
const unseen =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const names: Readonly<Record<string, string>> = {
  '\u00ad': 'SHY',
  '\u061c': 'ALM',
  '\u200b': 'ZWSP',
  '\u200c': 'ZWNJ',
  '\u200d': 'ZWJ',
  '\u200e': 'LRM',
  '\u200f': 'RLM',
  '\u2028': 'LS',
  '\u2029': 'PS',
  '\u202a': 'LRE',
  '\u202b': 'RLE',
  '\u202c': 'PDF',
  '\u202d': 'LRO',
  '\u202e': 'RLO',
  '\u2060': 'WJ',
  '\u2066': 'LRI',
  '\u2067': 'RLI',
  '\u2068': 'FSI',
  '\u2069': 'PDI',
  '\ufeff': 'BOM',
  '\u007f': '^?',
};

/** Joiners between these are what emoji and some scripts are written with: they stay. */
const joined = /[\p{Extended_Pictographic}\p{M}\p{Script=Arabic}\p{Script=Devanagari}\ufe0f]/u;

/**
 * A text in pieces: hits are marked, and characters that nobody sees have a name in their place.
 * All pieces together are the text.
 *
 * @param marks In any order; they may touch or overlap, and may lie outside
 */
export function textPieces(text: string, marks: readonly TextMark[] = []): readonly TextPiece[] {
  const borders = new Set([0, text.length]);
  for (const [start, end] of marks) {
    if (end <= start) continue;
    borders.add(Math.min(Math.max(0, start), text.length));
    borders.add(Math.min(Math.max(0, end), text.length));
  }
  const at = [...borders].sort((left, right) => left - right);
  return at.slice(1).flatMap((end, index) => {
    const start = at[index] ?? 0;
    const isMarked = marks.some(([from, to]) => from < end && to > start);
    return withSigns(text, [start, end], isMarked);
  });
}

function withSigns(text: string, [start, end]: TextMark, isMarked: boolean): TextPiece[] {
  const piece = text.slice(start, end);
  const pieces: TextPiece[] = [];
  let done = 0;
  for (const { 0: unseenText, index } of piece.matchAll(unseen)) {
    if (
      isJoiner(unseenText) &&
      joined.test(text.slice(Math.max(0, start + index - 2), start + index))
    )
      continue;
    if (index > done) pieces.push({ text: piece.slice(done, index), isMarked });
    pieces.push({ text: unseenText, isMarked, sign: signOf(unseenText) });
    done = index + unseenText.length;
  }
  if (done < piece.length) pieces.push({ text: piece.slice(done), isMarked });
  return pieces;
}

function isJoiner(character: string): boolean {
  return character === '\u200c' || character === '\u200d';
}

function signOf(character: string): string {
  const code = character.charCodeAt(0);
  // As terminals write them: `^[` is an escape. Fonts seldom have Unicode's pictures of them.
  if (code < 0x20) return `^${String.fromCharCode(0x40 + code)}`;
  return names[character] ?? `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}
