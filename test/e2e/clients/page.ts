import { readFileSync, writeFileSync } from 'node:fs';
import { withPlays } from '../../support/clients-table.ts';
import { partOf } from '../../support/readme.ts';
import { behaviours, type Seen } from './client-play.ts';
import { playedClients } from './played-clients.ts';

/** What became of one client: what was seen, or why it was not played. */
export type Outcome = Seen | { readonly reason: string };

/**
 * Writes the outcomes into the page of clients. Clients that were not asked for keep the row that
 * they have, if it is of the same version.
 */
export function writeOutcomes(path: string, outcomes: ReadonlyMap<string, Outcome>): void {
  const text = readFileSync(path, 'utf8');
  const head = ['client', ...behaviours];
  const [headBefore, ...rowsBefore] = partOf(text, 'plays')
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const isSameTable = headBefore?.join('|') === head.join('|');
  const before = new Map(
    (isSameTable ? rowsBefore : []).map((cells) => [cells[0] ?? '', cells] as const),
  );
  const rows = playedClients.map(({ id, title, version }) => {
    const name = `${title} ${version}`;
    const outcome = outcomes.get(id);
    const kept = before.get(name);
    if (outcome === undefined && kept?.length === head.length) return kept;
    return [name].concat(cellsOf(outcome ?? { reason: 'not asked for' }));
  });
  writeFileSync(path, withPlays(text, head, rows));
}

function cellsOf(outcome: Outcome): readonly string[] {
  if (!('reason' in outcome)) return behaviours.map((name) => outcome[name]);
  const reason = outcome.reason.replaceAll(/[|\s]+/g, ' ').slice(0, 120);
  return behaviours.map((_, index) => (index === 0 ? `not run: ${reason}` : 'not run'));
}
