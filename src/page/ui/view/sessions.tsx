import type { SessionView } from '../../page-protocol.ts';
import { agoText, bytesText, countText, shortCountText } from '../model/figures-text.ts';
import { useNow } from './hooks.ts';
import { nameStart, PathText, StoredText } from './stored-text.tsx';

/** What a session is called: its project, its directory, else its id. */
function sessionName({ id, project, directory }: SessionView): string {
  return project ?? directory ?? id;
}

/** The same where there is room for its beginning only: the last part of a path comes first. */
export function shortSessionName(session: SessionView): string {
  const name = sessionName(session);
  if (name !== session.directory) return name;
  const cut = nameStart(name);
  return `${name.slice(cut)} (${name.slice(0, cut)})`;
}

/** Its name as text of anybody. */
export function SessionName({ session }: { readonly session: SessionView }) {
  if (session.project !== undefined || session.directory === undefined)
    return <StoredText text={sessionName(session)} />;
  return <PathText path={session.directory} />;
}

/** Stores of all projects, with their sizes. */
export function Sessions({ sessions }: { readonly sessions: readonly SessionView[] }) {
  const now = useNow(30_000);
  if (sessions.length === 0) {
    return (
      <p class="empty">
        Nothing is stored yet. Long tool outputs are kept by themselves as soon as an assistant
        works in a project; <code>rlm-opencode ingest FILE</code> puts files in by hand.
      </p>
    );
  }
  const latest = sessions.toSorted((left, right) => right.updatedAtMs - left.updatedAtMs);
  return (
    <table class="sessions">
      <thead>
        <tr>
          <th scope="col">project</th>
          <th scope="col" class="number">
            entries
          </th>
          <th scope="col" class="number">
            characters
          </th>
          <th scope="col" class="number">
            on disk
          </th>
          <th scope="col" class="number">
            last written
          </th>
        </tr>
      </thead>
      <tbody>
        {latest.map((session) => (
          <tr key={session.id}>
            <th scope="row">
              <a href={`#/session/${encodeURIComponent(session.id)}`}>
                <SessionName session={session} />
              </a>
              {session.damage !== undefined && (
                <span class="fault">
                  {' '}
                  cannot be read: <StoredText text={session.damage} />
                </span>
              )}
            </th>
            <td class="number" data-name="entries">
              {countText(session.entries)}
            </td>
            <td class="number" data-name="characters">
              {shortCountText(session.chars)}
            </td>
            <td class="number" data-name="on disk">
              {bytesText(session.bytes)}
            </td>
            <td class="number" data-name="last written">
              {agoText(session.updatedAtMs, now)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
