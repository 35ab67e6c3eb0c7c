import type { ServerView } from '../../page-protocol.ts';
import { agoText } from '../model/figures-text.ts';
import type { Connection } from '../model/live-state.ts';
import { useNow } from './hooks.ts';
import { StoredText } from './stored-text.tsx';

/** Name, health, version, upstreams. */
export function Header({
  server,
  connection,
}: {
  readonly server: ServerView;
  readonly connection: Connection;
}) {
  const now = useNow(60_000);
  const isLost = connection !== 'live';
  const isWell = !isLost && server.status === 'ok';
  return (
    <header class="top">
      <a class="brand" href="#/">
        RLM-OpenCode
      </a>
      <p class={`health ${isWell ? 'is-well' : 'is-ill'}`} role="status">
        <span class="lamp" aria-hidden="true" />
        {isLost && 'no connection: the server was stopped or is being restarted; trying again'}
        {!isLost && (server.status === 'ok' ? 'running well' : 'degraded')}
        {!isLost && server.fault !== undefined && (
          <>
            {': '}
            <StoredText text={server.fault} />
          </>
        )}
      </p>
      <dl class="facts">
        <div>
          <dt>version</dt>
          <dd>{server.version}</dd>
        </div>
        <div>
          <dt>started</dt>
          <dd>{agoText(server.startedAtMs, now)}</dd>
        </div>
        <div>
          <dt>{server.upstreams.length === 1 ? 'upstream' : 'upstreams'}</dt>
          <dd>
            {server.upstreams.map((name, index) => (
              <span key={name}>
                {index > 0 && ', '}
                <StoredText text={name} />
              </span>
            ))}
          </dd>
        </div>
      </dl>
    </header>
  );
}
