import type { Entry, SessionStore } from '../../store/types.ts';
import { labelOf, titleOf } from '../entry-title.ts';
import { counted } from '../result-form.ts';
import { foldersOf } from './folders.ts';

/** So many entries are named each; of more it is said where they lie and what they are. */
const maxNamed = 12;

/** Folders, tools, and titles of one tool that are named. */
const maxFolders = 8;
const maxTools = 6;
const maxTitles = 5;

/** Newest outputs of one tool whose titles are counted. */
const maxTitled = 200;

/**
 * What is in a store, in a few lines for a model: each entry where there are few, else folders and
 * commands with counts, sizes and ages. A function of the entries and the time it is told.
 */
export async function storeMap(
  store: SessionStore,
  entries: readonly Entry[],
  nowMs: number,
): Promise<string> {
  if (entries.length === 0) return '';
  if (entries.length <= maxNamed) {
    const lines: string[] = [];
    for (const entry of entries)
      lines.push(
        `- ${entry.id} ${await labelOf(store, entry)}: ${entry.lengthChars} characters, ${ageOf(entry, nowMs)} old`,
      );
    return lines.join('\n');
  }
  const files = entries.filter(({ tool, path }) => tool === undefined && path !== undefined);
  const outputs = Map.groupBy(
    entries.filter(({ tool }) => tool !== undefined),
    ({ tool }) => tool as string,
  );
  const others = Map.groupBy(
    entries.filter(({ tool, path }) => tool === undefined && path === undefined),
    ({ kind }) => kind,
  );
  const lines: string[] = [];
  if (files.length > 0) lines.push(fileLine(store, files, nowMs));
  const byCount = [...outputs].toSorted(([, a], [, b]) => b.length - a.length);
  for (const [tool, own] of byCount.slice(0, maxTools))
    lines.push(await groupLine(store, `outputs of ${tool}`, own, nowMs));
  if (byCount.length > maxTools)
    lines.push(`- outputs of ${counted(byCount.length - maxTools, 'other tool')}`);
  for (const [kind, own] of others) lines.push(await groupLine(store, kind, own, nowMs));
  return lines.join('\n');
}

function fileLine(store: SessionStore, files: readonly Entry[], nowMs: number): string {
  const own = new Set(files);
  const namings = store.list.namings.filter(({ entry }) => own.has(entry));
  const { root, shares } = foldersOf(namings);
  const named = shares
    .slice(0, maxFolders)
    .map(({ name, entries, characters }) =>
      name.endsWith('/') ? `${name} ${entries} (${shortCount(characters)})` : name,
    );
  const left = shares.length - named.length;
  const more = left === 0 ? '' : `, and ${left} more`;
  return `- ${counted(files.length, 'file')}${root === '' ? '' : ` under ${root}`}, ${sizeAndAge(files, nowMs)}: ${named.join(', ')}${more}`;
}

async function groupLine(
  store: SessionStore,
  what: string,
  entries: readonly Entry[],
  nowMs: number,
): Promise<string> {
  const counts = new Map<string, number>();
  for (const entry of entries.slice(-maxTitled).toReversed()) {
    const title = await titleOf(store, entry);
    counts.set(title, (counts.get(title) ?? 0) + 1);
  }
  const titles = [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, maxTitles)
    .map(([title, count]) => (count === 1 ? title : `${title} x${count}`));
  const more = counts.size > titles.length ? ', …' : '';
  return `- ${entries.length} ${what}, ${sizeAndAge(entries, nowMs)}: ${titles.join(', ')}${more}`;
}

function sizeAndAge(entries: readonly Entry[], nowMs: number): string {
  const chars = entries.reduce((sum, { lengthChars }) => sum + lengthChars, 0);
  const newest = entries.reduce((best, entry) => (entry.timeMs >= best.timeMs ? entry : best));
  return `${shortCount(chars)} characters, newest ${ageOf(newest, nowMs)} old`;
}

/** `950`, `12K`, `3.4M`. */
function shortCount(count: number): string {
  if (count < 10_000) return String(count);
  if (count < 1_000_000) return `${Math.round(count / 1_000)}K`;
  return `${(count / 1_000_000).toFixed(1)}M`;
}

function ageOf({ timeMs }: Entry, nowMs: number): string {
  const minutes = Math.max(0, Math.round((nowMs - timeMs) / 60_000));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
