import { useEffect, useState } from 'preact/hooks';
import type { EntryDetail } from '../../page-protocol.ts';
import { countText } from '../model/figures-text.ts';
import type { TextMark } from '../model/marked-text.ts';
import type { PageRoute } from '../model/route.ts';
import { usePaged } from './paged.ts';
import { askLines } from './server-calls.ts';
import { StoredText } from './stored-text.tsx';
import { type RowToShow, VirtualRows } from './virtual-rows.tsx';

const rowPx = 20;

interface Line {
  readonly text: string;
  readonly isCut: boolean;
}

/** The text of an entry, line by line, however long it is. */
export function EntryText({
  route,
  detail,
  onLine,
}: {
  readonly route: Extract<PageRoute, { at: 'entry' }>;
  readonly detail: EntryDetail;
  readonly onLine: (line: number) => void;
}) {
  const { session, entry, line } = route;
  const list = usePaged<Line>({ key: `${session} ${entry}` }, async (range, signal) => {
    const { total, from, lines, cutLines } = await askLines({ session, entry }, range, signal);
    const cut = new Set(cutLines);
    return {
      total,
      items: lines.map((text, index) => ({ text, isCut: cut.has(from + index) })),
    };
  });
  const [show, setShow] = useState<RowToShow>();
  useEffect(() => {
    if (line !== undefined) setShow({ row: line - 1, place: 'middle' });
  }, [route]);
  const total = list.total ?? detail.lines;
  return (
    <section class="text" aria-labelledby="text">
      <div class="section-head">
        <h2 id="text">Text</h2>
        <GoToLine lines={total} line={line} onLine={onLine} />
      </div>
      {list.fault !== undefined && (
        <p class="fault" role="alert">
          <StoredText text={list.fault} />
        </p>
      )}
      {total === 0 && <p class="empty">It is empty.</p>}
      {total > 0 && (
        <VirtualRows
          rows={total}
          rowPx={rowPx}
          label={`Text of ${entry}, ${countText(total)} lines`}
          className="lines"
          isFocusable
          show={show}
          onWindow={list.onWindow}
        >
          {(row) => {
            const there = list.at(row);
            return (
              <span class={row + 1 === line ? 'line is-hit' : 'line'}>
                <span class="line-number">{row + 1}</span>
                {there === undefined ? (
                  <span class="quiet">…</span>
                ) : (
                  <StoredText
                    className="line-text"
                    text={there.text}
                    marks={marksIn(there.text, route)}
                  />
                )}
                {there?.isCut === true && <span class="tag">the line goes on: cut here</span>}
              </span>
            );
          }}
        </VirtualRows>
      )}
    </section>
  );
}

const noMarks: readonly TextMark[] = [];

/** Most marks in a line that are drawn. */
const maxMarks = 200;

/** Where the words that were searched for are; of an expression only the server knows. */
function marksIn(
  text: string,
  { search }: Extract<PageRoute, { at: 'entry' }>,
): readonly TextMark[] {
  if (search === undefined || search.isRegex) return noMarks;
  const { query, isCaseSensitive } = search;
  const fold = (words: string): string => (isCaseSensitive ? words : words.toLowerCase());
  const folded = fold(text);
  // A letter that becomes two when it is folded would put all marks behind it elsewhere.
  if (folded.length !== text.length) return noMarks;
  const wanted = fold(query);
  const marks: TextMark[] = [];
  let at = folded.indexOf(wanted);
  while (at !== -1 && marks.length < maxMarks) {
    marks.push([at, at + query.length]);
    at = folded.indexOf(wanted, at + wanted.length);
  }
  return marks;
}

function GoToLine({
  lines,
  line,
  onLine,
}: {
  readonly lines: number;
  readonly line: number | undefined;
  readonly onLine: (line: number) => void;
}) {
  const [typed, setTyped] = useState('');
  useEffect(() => setTyped(line === undefined ? '' : String(line)), [line]);
  return (
    <form
      class="go-to-line"
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = Number(typed);
        if (Number.isSafeInteger(wanted) && wanted >= 1) onLine(Math.min(wanted, lines));
      }}
    >
      <label>
        line{' '}
        <input
          inputMode="numeric"
          pattern="[0-9]*"
          autocomplete="off"
          value={typed}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        />
      </label>{' '}
      <span class="quiet">of {countText(lines)}</span>
    </form>
  );
}
