import { Command } from 'commander';
import { countOf, grouped } from '../base/numbers.ts';
import type { SharedProject } from '../store/shared-side.ts';
import { withOperations } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import {
  addAsOfFlag,
  addScopeFlags,
  addSessionFlags,
  callTool,
  sayAsOf,
  scopeOf,
  type SessionFlags,
} from './session-flags.ts';
import { jsonText, print } from './screen.ts';
import { teamLines } from './shared-text.ts';
import { shortPath } from './start-text.ts';

interface Share {
  readonly entries: number;
  readonly characters: number;
}

interface EntryLine {
  readonly entry: string;
  readonly kind: string;
  readonly tool?: string;
  readonly path?: string;
  /** The command, the path, the first line. */
  readonly title?: string;
  readonly characters: number;
  readonly time: string;
}

/** Which part of the store is meant. */
interface StatsFlags extends SessionFlags {
  readonly since?: string;
  readonly until?: string;
}

/** `rlm-opencode stats`: the model's `rlm_stats`, for people. */
export function statsCommand(): Command {
  const command = new Command('stats').description('say what is stored');
  command
    .option('--since <time>', 'only what was stored since: 30m, 2h, 7d, 2026-01-31')
    .option('--until <time>', 'only what was stored until then, a whole day included');
  return addAsOfFlag(addSessionFlags(addScopeFlags(command))).action(async (flags: StatsFlags) => {
    const { since, until } = flags;
    const asked = { since, until, ...scopeOf(flags) };
    await withOperations(flags, async (call) => {
      const found = await callTool(call, flags, { name: 'rlm_stats', arguments: asked });
      if (found === undefined) {
        finish(exitCodes.nothing);
        return;
      }
      sayAsOf(found);
      const { session, directory, as_of: asOf, shared, answer } = found;
      print(
        flags.json === true
          ? `${jsonText({ session, directory, as_of: asOf, shared, ...answer }, 2)}\n`
          : statsText({ session, directory, shared }, answer),
      );
    });
  });
}

/**
 * A path as seen from the project, its front left out where it is longer than `room` cells.
 */
function fitted(path: string, directory: string | undefined, room: number): string {
  const inside = directory !== undefined && path.startsWith(`${directory}/`);
  const shown = inside ? path.slice(directory.length + 1) : shortPath(path);
  return shown.length <= room ? shown : `…${shown.slice(-Math.max(1, room - 1))}`;
}

/** The beginning of a title on one line, as far as there is room. */
function cutTo(title: string, room: number): string {
  const line = title.replaceAll(/\s+/g, ' ').trim();
  return line.length <= room ? line : `${line.slice(0, Math.max(1, room - 1))}…`;
}

/** Of a branch or a copy: what it counts and another store, too. */
function sharedLines({ shared_texts: shared }: LinkedStats): readonly string[] {
  if (shared === undefined) return [];
  return [`${countOf(shared, 'text')} of these are those of another store here (branch, copy)`];
}

function statsText(
  {
    session,
    directory,
    shared,
  }: {
    readonly session: string;
    readonly directory: string | undefined;
    readonly shared: SharedProject | undefined;
  },
  stats: Readonly<Record<string, unknown>>,
): string {
  const lines = [
    session,
    ...(directory === undefined ? [] : [shortPath(directory)]),
    ...teamLines(shared),
    ...sizeLines(stats, directory),
  ];
  const linked = (stats['linked_sessions'] ?? []) as readonly LinkedStats[];
  const [short, whole] = [
    linked.filter((one) => one['by_kind'] === undefined),
    linked.filter((one) => one['by_kind'] !== undefined),
  ];
  if (short.length > 0) lines.push('', 'linked stores (--scope linked asks them, too):');
  for (const { name, directory: of, entries, characters, fault } of short)
    lines.push(
      fault === undefined
        ? `  ${name ?? ''}: ${countOf(Number(entries), 'entry', 'entries')}, ${countOf(Number(characters), 'character')}${of === undefined ? '' : `, ${shortPath(of)}`}`
        : `  ${fault}`,
    );
  for (const store of whole)
    lines.push(
      '',
      `--- linked as ${store.name}: ${store.directory === undefined ? (store.session ?? '') : shortPath(store.directory)}`,
      ...sizeLines(store, store.directory),
      ...sharedLines(store),
    );
  return `${lines.join('\n')}\n`;
}

/** A linked store: its size alone, or all that is said of a store. */
interface LinkedStats extends Readonly<Record<string, unknown>> {
  readonly name?: string;
  readonly session?: string;
  readonly directory?: string;
  readonly entries?: number;
  readonly characters?: number;
  readonly shared_texts?: number;
  readonly fault?: string;
}

function sizeLines(
  stats: Readonly<Record<string, unknown>>,
  directory: string | undefined,
): readonly string[] {
  const lines = [
    `${countOf(Number(stats['characters']), 'character')}, ${countOf(Number(stats['lines']), 'line')}, ${countOf(Number(stats['entries']), 'entry', 'entries')}`,
  ];
  for (const [title, member] of [
    ['by kind', 'by_kind'],
    ['by tool', 'by_tool'],
  ] as const) {
    const shares = Object.entries(stats[member] as Record<string, Share>);
    if (shares.length > 0) lines.push('', `${title}:`);
    for (const [name, share] of shares) {
      lines.push(
        `  ${name.padEnd(14)} ${grouped(share.entries).padStart(8)} ${(share.entries === 1 ? 'entry' : 'entries').padEnd(7)} ${grouped(share.characters).padStart(14)} characters`,
      );
    }
  }
  const newest = stats['newest_entries'] as readonly EntryLine[];
  if (newest.length > 0) lines.push('', 'newest:');
  for (const { entry, kind, tool, path, title, characters, time } of newest) {
    const place = `  ${entry.padEnd(6)} ${time.slice(0, 16).replace('T', ' ')} ${grouped(characters).padStart(11)}  ${tool ?? kind}`;
    const room =
      (process.stdout.isTTY ? process.stdout.columns || 80 : Infinity) - place.length - 2;
    const what = path === undefined ? cutTo(title ?? '', room) : fitted(path, directory, room);
    lines.push(`${place}  ${what}`.trimEnd());
  }
  return lines;
}
