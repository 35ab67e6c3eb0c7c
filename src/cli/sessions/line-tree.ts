import { countOf, grouped } from '../../base/numbers.ts';
import type { LineMember } from '../../operations/session-line.ts';
import { localTime } from '../moments.ts';
import { shortCount, size } from '../numbers.ts';
import { shortPath } from '../start-text.ts';

/**
 * A session of a line, and what its own files take on the disk: what it reads of others is theirs.
 */
export interface SizedMember extends LineMember {
  readonly diskBytes: number;
}

/** Cells of a line. */
const maxWidth = 80;

/** Branches of branches are drawn further in, as far as there is room for what is said of them. */
const maxLevels = 8;

/** What hangs on a session: a snapshot of it, or a branch. */
interface Hanging {
  readonly entries: number;
  readonly timeMs: number;
  readonly draw: (isLast: boolean) => readonly string[];
}

/** A line as a tree: lines of at most 80 cells, each ending in a line feed. */
export function lineText(line: readonly SizedMember[]): string {
  const ids = new Set(line.map(({ id }) => id));
  const roots = line.filter(({ from }) => from === undefined || !ids.has(from.session));
  const drawn = roots.flatMap((root) => drawSession(root, line, ['', ''], 0));
  return drawn.map((text) => `${fitted(text)}\n`).join('');
}

function drawSession(
  one: SizedMember,
  line: readonly SizedMember[],
  [first, rest]: readonly [string, string],
  level: number,
): readonly string[] {
  const branches = line.filter(({ from }) => from?.session === one.id);
  const inner = level < maxLevels ? rest : rest.slice(0, -3);
  const hanging: readonly Hanging[] = [
    ...one.snapshots.map(({ name, timeMs, entries }) => ({
      entries,
      timeMs,
      draw: (isLast: boolean) => [
        `${inner}${isLast ? '└─' : '├─'} e${entries}  snapshot ${name}  ${localTime(timeMs, { seconds: true })}`,
      ],
    })),
    ...branches.map((branch) => ({
      entries: branch.from?.entries ?? 0,
      timeMs: branch.createdMs,
      draw: (isLast: boolean) =>
        drawSession(
          branch,
          line,
          [
            `${inner}${isLast ? '└─' : '├─'} e${branch.from?.entries ?? 0}  `,
            `${inner}${isLast ? '  ' : '│ '} `,
          ],
          level + 1,
        ),
    })),
  ].toSorted((a, b) => a.entries - b.entries || a.timeMs - b.timeMs);
  const stem = hanging.length > 0 ? `${inner}│ ` : `${inner}  `;
  return [
    `${first}${one.id}${one.name === undefined ? '' : `  ${one.name}`}`,
    ...factsOf(one).map((fact) => `${stem}${fact}`),
    ...hanging.flatMap(({ draw }, index) => draw(index === hanging.length - 1)),
  ];
}

function factsOf(one: SizedMember): readonly string[] {
  const { totals, chats = 0, from } = one;
  const own = totals.entries - (from?.entries ?? 0);
  const texts =
    from === undefined
      ? countOf(totals.entries, 'text')
      : `${countOf(totals.entries, 'text')}, ${grouped(own)} of its own`;
  const facts = [
    `${texts}, ${shortCount(totals.chars)} characters, ${countOf(chats, 'chat')}, ${size(one.diskBytes)}`,
    `${localTime(one.createdMs)} to ${localTime(one.updatedMs)}`,
  ];
  if (one.damage !== undefined) facts[0] = `DAMAGED: ${one.damage}`;
  if (one.directory !== undefined) facts.push(`◄ ${shortPath(one.directory)} has this one`);
  if (one.earlierDirectory !== undefined)
    facts.push(`${shortPath(one.earlierDirectory)} had this one before`);
  return facts;
}

function fitted(text: string): string {
  const cells = Array.from(text);
  return cells.length <= maxWidth ? text : `${cells.slice(0, maxWidth - 1).join('')}…`;
}
