import type { SharedElsewhere, SharedProject, SharedStore } from '../store/shared-side.ts';
import { countOf, grouped } from '../base/numbers.ts';
import { size } from './numbers.ts';

/** What a store is for others, and who wrote to it last; no line where it is not shared. */
export function teamLines(shared: SharedProject | undefined): readonly string[] {
  if (shared === undefined) return [];
  const lines = [cutFront(`shared as ${shared.project}`, 'shared as ')];
  const { last } = shared;
  if (last !== undefined) lines.push(`last written by ${last.machine}, ${minuteOf(last.lastMs)}`);
  return lines;
}

/** Stores that the team shares and that are not on this machine, and how they come here. */
export function elsewhereLines(stores: readonly SharedElsewhere[]): readonly string[] {
  const [first] = stores;
  if (first === undefined) return [];
  const lines = stores.flatMap((store) => [
    `${store.session}  ${countOf(store.rows, 'row')}, not on this machine`,
    ...teamLines(store).map((line) => `  ${line}`),
  ]);
  return [
    ...lines,
    '',
    `The first command that reads one fetches it: rlm-opencode stats --session ${first.session}`,
  ];
}

/** A shared store: its project, how much there is, how far it is here, who has written to it. */
export function storeLines(store: SharedStore): readonly string[] {
  const { project, rows, here, hereBytes, writers } = store;
  const taken = hereBytes === undefined ? '' : `, ${size(hereBytes)} on this machine`;
  const lines = [cutFront(project === '' ? store.session : project, ''), `  ${store.session}`];
  if (rows === undefined) lines.push(`  ${countOf(here ?? 0, 'row')} here${taken}`);
  else if (here === undefined) lines.push(`  ${countOf(rows, 'row')}, not here yet`);
  else if (here >= rows) lines.push(`  ${countOf(rows, 'row')}, all here${taken}`);
  else lines.push(`  ${grouped(here)} of ${countOf(rows, 'row')} here${taken}`);
  for (const { machine, rows: written, lastMs } of writers) {
    lines.push(`  ${machine}: ${countOf(written, 'row')}, last ${minuteOf(lastMs)}`);
  }
  return lines;
}

/** `2026-11-27 06:00`, UTC. */
function minuteOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ');
}

/** A line that a terminal has room for: what is behind `head` loses its beginning. */
function cutFront(line: string, head: string): string {
  const room = (process.stdout.isTTY ? process.stdout.columns || 80 : Infinity) - 2;
  if (line.length <= room) return line;
  return `${head}…${line.slice(head.length).slice(-(room - head.length - 1))}`;
}
