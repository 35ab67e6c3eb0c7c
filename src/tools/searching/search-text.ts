import type { AggregateGroup, WordCount } from '../../search/types.ts';
import { counted, onOneLine } from '../result-form.ts';
import type { ListedHit } from './search-hit.ts';

/** Values of a group are shown so long in a list, characters. */
const maxValueChars = 200;

/** A group of an aggregate, with its first and last place. */
interface GroupFields {
  readonly value: string;
  /** Where there are several keys. */
  readonly values?: readonly string[] | undefined;
  readonly count: number;
  readonly sum?: number;
  readonly min?: number;
  readonly max?: number;
  readonly avg?: number;
  readonly distinct?: number;
  /** Texts of measured groups that are no numbers. */
  readonly not_numbers?: number | undefined;
  readonly first: PlaceFields;
  readonly last: PlaceFields;
}

/** Where something was found. */
export interface PlaceFields {
  readonly entry?: string;
  /** In the entry. */
  readonly line: number;
  /** Only of the context's own store. */
  readonly storeLine?: number;
  /** Characters from the start of the whole context. Only of the context's own store. */
  readonly offset?: number;
}

/** What one of several stores has to an answer. */
export interface StoreShare {
  /** The linked store; absent for the own one. */
  readonly store?: string;
  /** Matching lines. */
  readonly total: number;
  /** Not everything was searched there. */
  readonly partial?: true;
}

/** A search's answer, before it is written in one form or the other. */
export interface SearchAnswer {
  readonly hits: readonly ListedHit[];
  readonly groups?: readonly GroupFields[];
  readonly groupCount?: number;
  readonly occurrences?: number;
  /** How often each word occurs, where words were searched for. */
  readonly words?: readonly WordCount[];
  readonly total: number;
  readonly isPartial: boolean;
  readonly nextCursor?: string;
  readonly notes: readonly string[];
  /** Where several stores were searched, each of them. */
  readonly stores?: readonly StoreShare[];
  /** Characters of all that was to be searched. */
  readonly searchedChars: number;
  /** Whether the caller asked where the groups are. */
  readonly showsPlaces: boolean;
  /** Whether it goes on behind an earlier answer. */
  readonly isLaterPage: boolean;
}

/**
 * Hits as a model reads them, each with the head of its entry where that is another one: grouped
 * like `rg --heading`, so that a path is paid for once. `12: text` is a hit, `11- text` a line
 * beside one; `@` gives the offset of the match in a line that is too long to be shown whole.
 */
export function hitBlocks(hits: readonly ListedHit[]): readonly string[] {
  let last: ListedHit | undefined;
  let lastLine = Number.NaN;
  return hits.map((hit, number) => {
    const { fields } = hit;
    const { before = [], after = [] } = fields;
    const lines: string[] = [];
    const first = fields.line - before.length;
    if (last === undefined || last.head !== hit.head) {
      if (last !== undefined) lines.push('');
      if (fields.store !== undefined && fields.store !== last?.fields.store)
        lines.push(`--- in the linked store ${fields.store}:`);
      lines.push(hit.head);
    } else if ((fields.before !== undefined || fields.after !== undefined) && first > lastLine + 1)
      lines.push('--');
    const isBehind = (line: number): boolean =>
      last === undefined || last.head !== hit.head || !(line <= lastLine);
    for (const [index, text] of before.entries())
      // Lines that the hit before has shown behind it are not shown again.
      if (isBehind(first + index)) lines.push(`${first + index}- ${text}`);
    const shown = shownLines(hit);
    for (const [index, text] of shown.entries())
      lines.push(`${fields.line + index}${index === 0 ? ':' : '+'} ${text}`);
    const end = fields.line + shown.length;
    // As far as the next hit, which shows its line itself.
    const next = hits[number + 1];
    const room = next?.head === hit.head ? Math.max(0, next.fields.line - end) : Infinity;
    const shownAfter = after.slice(0, room);
    for (const [index, text] of shownAfter.entries()) lines.push(`${end + index}- ${text}`);
    const isEnd = fields.border?.includes('ends') === true && next?.head !== hit.head;
    if (isEnd) lines.push(`[${fields.entry ?? ''} ends]`);
    last = hit;
    lastLine = end + shownAfter.length - 1;
    return lines.join('\n');
  });
}

/** The lines of a hit: one mostly; those of a match over several each with its number. */
function shownLines({ fields, cut, matchPlace }: ListedHit): readonly string[] {
  const more = fields.more_in_line === true ? ' (more matches in this line)' : '';
  const start = cut?.start === true ? '…' : '';
  const end = cut?.end === true ? '…' : '';
  const place = fields.clipped === true ? ` ${matchPlace}${more}` : '';
  return `${start}${fields.text}${end}${place}`.split('\n');
}

/** A whole answer as a model reads it. */
export function searchText(answer: SearchAnswer): string {
  const { hits, groups, notes, nextCursor } = answer;
  const lines = [headLine(answer)];
  for (const note of notes) lines.push(`note: ${note}`);
  if (hits.some(({ fields }) => fields.clipped === true))
    lines.push('note: … is more of a long line; @ is the offset of the match for rlm_get_context.');
  if (hits.some(({ fields }) => fields.clipped === true && fields.store !== undefined))
    lines.push('note: "@N of api:e7" is {"entry": "api:e7", "offset": N}.');
  if (groups !== undefined) for (const group of groups) lines.push(groupLine(group, answer));
  if (hits.length > 0) lines.push('', ...hitBlocks(hits));
  if (nextCursor !== undefined)
    lines.push('', `There are more: the same call with "cursor":"${nextCursor}".`);
  return lines.join('\n');
}

function headLine(answer: SearchAnswer): string {
  const { hits, total, isPartial, groups, groupCount = 0, occurrences, searchedChars } = answer;
  const least = isPartial ? 'at least ' : '';
  const among = sharesText(answer);
  const found = `${least}${counted(total, 'matching line')}${among}`;
  if (occurrences !== undefined) {
    const what = `${least}${counted(occurrences, 'occurrence')} in ${counted(total, 'line')}${among}`;
    if (groups === undefined) return `${what}.`;
    const shown = groups.length < groupCount ? `the ${groups.length} most frequent of ` : '';
    return `${what}; ${shown}${counted(groupCount, 'different value')}:`;
  }
  if (total === 0)
    return isPartial
      ? `No matching line was found${among}, but not everything was searched.`
      : `0 matching lines${among}: all ${searchedChars} characters were searched.`;
  if (answer.words !== undefined) {
    const each = answer.words.map(({ text, count }) => `${JSON.stringify(text)} ${count}`);
    return `${found} (${each.join(', ')}); the best passages first:`;
  }
  if (answer.isLaterPage) return `${found} in all; ${hits.length} more:`;
  return hits.length < total ? `${found}; ${hits.length} shown:` : `${found}:`;
}

/** ` in 3 stores (this one 5, api 4, web at least 0)` */
function sharesText({ stores, total }: SearchAnswer): string {
  if (stores === undefined) return '';
  const each = stores.map(({ store = 'this one', total: own, partial }) =>
    total === 0 ? store : `${store} ${partial === true ? 'at least ' : ''}${own}`,
  );
  return ` in ${counted(stores.length, 'store')} (${each.join(', ')})`;
}

/** A group of a result as an answer has it. */
export function groupFields(
  { values, notNumbers, first: _first, last: _last, ...computed }: AggregateGroup,
  isByKeys: boolean,
  places: { readonly first: PlaceFields; readonly last: PlaceFields },
): GroupFields {
  return {
    ...computed,
    values: isByKeys ? values : undefined,
    not_numbers: notNumbers,
    ...places,
  };
}

function groupLine(group: GroupFields, answer: SearchAnswer): string {
  const { value, values = [value], count, first, last } = group;
  const texts = values.map((text) => (text === '' ? '(empty)' : onOneLine(text, maxValueChars)));
  const line = `${count}  ${texts.join(' | ')}${measuresText(group)}`;
  if (!answer.showsPlaces) return line;
  return `${line}  (first ${placeText(first)}, last ${placeText(last)})`;
}

/** `  sum 12, max 3` */
function measuresText({ sum, min, max, avg, distinct, not_numbers }: GroupFields): string {
  const measured = Object.entries({ sum, min, max, avg, distinct, 'not numbers': not_numbers })
    .filter(([, number]) => number !== undefined)
    .map(([name, number]) => `${name} ${number}`);
  return measured.length === 0 ? '' : `  ${measured.join(', ')}`;
}

function placeText({ entry, line }: PlaceFields): string {
  return entry === undefined ? `line ${line}` : `${entry}:${line}`;
}

/** The same answer with its fields. */
export function searchJson(answer: SearchAnswer): string {
  const { hits, groups, groupCount, occurrences, total, isPartial, nextCursor, notes } = answer;
  return JSON.stringify({
    ...(groups === undefined
      ? { matches: hits.map(({ fields }) => fields) }
      : { groups, group_count: groupCount }),
    ...(occurrences === undefined ? {} : { occurrences }),
    ...(answer.words === undefined ? {} : { words: answer.words }),
    total,
    ...(answer.stores === undefined ? {} : { stores: answer.stores }),
    truncated: nextCursor !== undefined || isPartial,
    ...(isPartial ? { partial: true } : {}),
    ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
    ...(notes.length === 0 ? {} : { note: notes.join(' ') }),
  });
}
