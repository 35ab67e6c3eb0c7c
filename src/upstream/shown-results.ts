/*
 * Reads what our tools show a model, as far as a script that plays one needs it: the plain text of
 * searches and of statistics. It knows what it sees and nothing else.
 */

/** One hit as it is shown. */
export interface ReadHit {
  readonly entry: string;
  /** What the head says of the entry: its path, or tool and command. */
  readonly label: string;
  /** In the entry. */
  readonly line: number;
  readonly text: string;
  /** Of the match, where the line is too long to be shown whole. */
  readonly offset?: number;
}

/** A search's result as it is shown. */
export interface ReadSearch {
  readonly total: number;
  /** Whether not all was searched: there may be more. */
  readonly isPartial: boolean;
  readonly occurrences?: number;
  /** Values with how often each occurs, where they were asked for. */
  readonly groups: readonly { readonly value: string; readonly count: number }[];
  readonly hits: readonly ReadHit[];
}

/** A search's result; undefined for any other text. */
export function readSearch(result: string): ReadSearch | undefined {
  const [head = '', ...lines] = result.replace(/^(?:note: .*\n)+/, '').split('\n');
  const counted = /^(?:at least )?(\d+) (?:matching lines?|occurrences? in (\d+) lines?)/.exec(
    head,
  );
  if (counted === null && !head.startsWith('No matching line')) return undefined;
  const isCount = counted?.[2] !== undefined;
  const hits: ReadHit[] = [];
  const groups: { value: string; count: number }[] = [];
  let entry: { entry: string; label: string } | undefined;
  for (const line of lines) {
    const group = isCount ? /^(\d+) {2}(.*)$/.exec(line) : null;
    const begun = /^(e\d+) (.*)$/.exec(line);
    const hit = /^(\d+): (.*)$/.exec(line);
    if (group !== null) groups.push({ count: Number(group[1]), value: group[2] ?? '' });
    else if (begun !== null) entry = { entry: begun[1] ?? '', label: withoutMarks(begun[2] ?? '') };
    else if (hit !== null && entry !== undefined)
      hits.push({ ...entry, line: Number(hit[1]), ...textOf(hit[2] ?? '') });
  }
  return {
    total: Number((isCount ? counted?.[2] : counted?.[1]) ?? 0),
    isPartial: counted === null || head.startsWith('at least'),
    ...(isCount ? { occurrences: Number(counted?.[1]) } : {}),
    groups,
    hits,
  };
}

/** How much is stored, as `rlm_stats` shows it; undefined for any other text. */
export function readStats(
  result: string,
): { readonly characters: number; readonly entries: number } | undefined {
  const head = /^(\d+) characters, \d+ lines?, (\d+) entr/m.exec(result);
  return head === null ? undefined : { characters: Number(head[1]), entries: Number(head[2]) };
}

/** A head without what it says of other paths and newer texts. */
function withoutMarks(head: string): string {
  return head.replace(/ \((?:same text at |old: ).*\)$/, '');
}

function textOf(shown: string): { readonly text: string; readonly offset?: number } {
  const long = /^…?(.*?)…? @(\d+)(?: \(more matches in this line\))?$/.exec(shown);
  return long === null ? { text: shown } : { text: long[1] ?? '', offset: Number(long[2]) };
}
