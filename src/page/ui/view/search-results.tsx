import { useEffect, useRef, useState } from 'preact/hooks';
import type { HitView, SearchPage } from '../../page-protocol.ts';
import { countOf, countText, durationText } from '../model/figures-text.ts';
import { fragmentOf, type SearchWish } from '../model/route.ts';
import { faultWords, useRovingRow } from './hooks.ts';
import { askSearch } from './server-calls.ts';
import { StoredText } from './stored-text.tsx';

const hitsAtOnce = 50;

/** What a search has found: hits with what is around them. */
export function SearchResults({
  session,
  wish,
}: {
  readonly session: string;
  readonly wish: SearchWish;
}) {
  const key = JSON.stringify([session, wish]);
  const found = useSearch(key, session, wish);
  const { page, hits, fault, isAsking } = found;
  const list = useRef<HTMLOListElement>(null);
  const { row, onKeyDown, setRow } = useRovingRow(hits.length, (next) =>
    list.current?.querySelector<HTMLElement>(`[data-row="${next}"]`)?.focus(),
  );
  return (
    <section class="results" aria-label="What was found">
      <p class="found" role="status">
        {fault === undefined && page === undefined && 'Searching …'}
        {fault === undefined && page !== undefined && (
          <>
            <strong>
              {page.isExact ? '' : 'at least '}
              {countOf(page.total, 'hit')}
            </strong>{' '}
            <span class="quiet">in {durationText(page.tookMs)}</span>
          </>
        )}
        {fault !== undefined && (
          <span class="fault">
            <StoredText text={fault} />
          </span>
        )}
      </p>
      {page?.notes.map((note, index) => (
        <p class="note" key={index}>
          <StoredText text={note} />
        </p>
      ))}
      {/* Keys move the focus between the links in it. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <ol class="hits" role="list" ref={list} onKeyDown={onKeyDown}>
        {hits.map((hit, index) => (
          <li key={index}>
            <a
              href={fragmentOf({
                at: 'entry',
                session,
                entry: hit.entry.id,
                line: hit.line,
                search: wish,
              })}
              tabIndex={index === row ? 0 : -1}
              data-row={index}
              onFocus={() => setRow(index)}
            >
              <Hit hit={hit} isSameEntry={hits[index - 1]?.entry.id === hit.entry.id} />
            </a>
          </li>
        ))}
      </ol>
      {page !== undefined && hits.length > 0 && hits.length < page.total && (
        <button type="button" class="more" disabled={isAsking} onClick={found.askMore}>
          Show more ({countText(hits.length)} of {page.isExact ? '' : 'at least '}
          {countText(page.total)})
        </button>
      )}
    </section>
  );
}

function Hit({ hit, isSameEntry }: { readonly hit: HitView; readonly isSameEntry: boolean }) {
  const { entry, line, before, after } = hit;
  return (
    <>
      <span class={isSameEntry ? 'hit-head is-same' : 'hit-head'}>
        {!isSameEntry && (
          <>
            <span class="entry-id">{entry.id}</span> <StoredText text={entry.title} />{' '}
          </>
        )}
        <span class="quiet">line {countText(line)}</span>
      </span>
      <span class="hit-lines">
        {before.map((text, index) => (
          <HitLine key={index} number={line - before.length + index} text={text} />
        ))}
        <HitLine number={line} text={hit.text} marks={hit.marks} />
        {after.map((text, index) => (
          <HitLine key={index} number={line + 1 + index} text={text} />
        ))}
      </span>
    </>
  );
}

function HitLine({
  number,
  text,
  marks,
}: {
  readonly number: number;
  readonly text: string;
  readonly marks?: HitView['marks'];
}) {
  return (
    <span class={marks === undefined ? 'hit-line' : 'hit-line is-hit'}>
      <span class="line-number" aria-hidden="true">
        {number}
      </span>
      <StoredText className="line-text" text={text} {...(marks === undefined ? {} : { marks })} />
    </span>
  );
}

interface Found {
  /** The last one that has come. */
  readonly page?: SearchPage;
  readonly hits: readonly HitView[];
  readonly fault?: string;
  readonly isAsking: boolean;
  readonly askMore: () => void;
}

function useSearch(key: string, session: string, wish: SearchWish): Found {
  const [found, setFound] = useState<Omit<Found, 'askMore' | 'isAsking'> & { key: string }>({
    key,
    hits: [],
  });
  const [from, setFrom] = useState({ key, hits: 0 });
  const first = from.key === key ? from.hits : 0;
  const [isAsking, setAsking] = useState(true);
  useEffect(() => {
    const leaving = new AbortController();
    setAsking(true);
    askSearch(session, { wish, from: first, count: hitsAtOnce }, leaving.signal).then(
      (page) => {
        setAsking(false);
        setFound((old) => ({
          key,
          page,
          hits: [...(old.key === key ? old.hits.slice(0, first) : []), ...page.hits],
        }));
      },
      (error: unknown) => {
        if (leaving.signal.aborted) return;
        setAsking(false);
        setFound({ key, hits: [], fault: faultWords(error) });
      },
    );
    return () => leaving.abort();
  }, [key, first]);
  const present = found.key === key ? found : { hits: [] };
  return { ...present, isAsking, askMore: () => setFrom({ key, hits: present.hits.length }) };
}
