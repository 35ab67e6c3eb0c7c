import { Command } from 'commander';
import { countOf } from '../../base/numbers.ts';
import { isSessionId } from '../../store/disk/session-paths.ts';
import type { StoreLink } from '../../store/types.ts';
import { addDataDirFlag } from '../data-dir-flag.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson } from '../screen.ts';
import { projectOf } from '../session-flags.ts';
import { shortPath } from '../start-text.ts';

/** A link as the operations tell it. */
interface ShownLink extends StoreLink {
  readonly isGone?: true;
}

/** What `show-session` answers. */
interface ShownStore {
  readonly id: string;
  readonly directory?: string;
  readonly totals: { readonly entries: number; readonly chars: number };
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly damage?: string;
  readonly links: readonly ShownLink[];
  readonly linkedFrom: readonly {
    readonly session: string;
    readonly directory?: string;
    readonly as: string;
  }[];
}

interface JsonFlag {
  readonly json?: boolean;
}

/** `sessions link`: one store reads another one. */
export function linkCommand(): Command {
  const command = new Command('link')
    .description('let a store read another one, too: one way, nothing is copied')
    .argument('<store>', 'a directory, or a session id: the one that reads')
    .argument('<other>', 'a directory, or a session id: the one that is read')
    .option('--as <name>', 'its name in front of ids, as in api:e7 (default: of its directory)')
    .option('--json', 'JSON for machines');
  return addDataDirFlag(command).action(
    async (store: string, other: string, flags: JsonFlag & { readonly as?: string }) => {
      await withOperations(flags, async (call) => {
        const made = (await call('link-session', {
          store: meant(store),
          other: meant(other),
          ...(flags.as === undefined ? {} : { as: flags.as }),
        })) as { readonly session: string; readonly directory?: string; readonly link: StoreLink };
        if (flags.json === true) {
          printJson(made, 2);
          return;
        }
        const { as } = made.link;
        print(
          `${named(made.session, made.directory)} reads ${named(made.link.sessionId, made.link.directory)} as ${as}.\nSearch both: rlm-opencode search --scope linked PATTERN\nIts entries are ${as}:e1, ${as}:e2, …  New chats are told of it; in chats that go on\nmodels are told where they find nothing.\n`,
        );
      });
    },
  );
}

/** `sessions unlink`: ends that. */
export function unlinkCommand(): Command {
  const command = new Command('unlink')
    .description('end a link to another store')
    .argument('<store>', 'a directory, or a session id: the one that reads')
    .argument('<other>', 'the name of the link, or what it leads to')
    .option('--json', 'JSON for machines');
  return addDataDirFlag(command).action(async (store: string, other: string, flags: JsonFlag) => {
    await withOperations(flags, async (call) => {
      const isPath = /[/\\]|^\.{1,2}$/.test(other);
      const ended = (await call('unlink-session', {
        store: meant(store),
        other: isPath ? meant(other) : other,
      })) as { readonly session: string; readonly link: StoreLink };
      if (flags.json === true) {
        printJson(ended, 2);
        return;
      }
      const { as, sessionId, directory } = ended.link;
      print(`${named(sessionId, directory)} is not read as ${as} any more.\n`);
    });
  });
}

/** `sessions show`: one store, the stores that it reads, and those that read it. */
export function showCommand(): Command {
  const command = new Command('show')
    .description('show a store: its size, which others it reads, which read it')
    .argument('[store]', 'a directory, or a session id', '.')
    .option('--json', 'JSON for machines');
  return addDataDirFlag(command).action(async (store: string, flags: JsonFlag) => {
    await withOperations(flags, async (call) => {
      const shown = (await call('show-session', { store: meant(store) })) as ShownStore;
      if (flags.json === true) printJson(shown, 2);
      else print(shownText(shown));
    });
  });
}

function shownText({
  id,
  directory,
  totals,
  createdMs,
  updatedMs,
  damage,
  links,
  linkedFrom,
}: ShownStore): string {
  const lines = [
    id,
    directory === undefined ? '(no directory)' : shortPath(directory),
    `${countOf(totals.entries, 'entry', 'entries')}, ${countOf(totals.chars, 'character')}`,
    `made ${timeText(createdMs)}, last stored to ${timeText(updatedMs)}`,
  ];
  if (damage !== undefined) lines.push(`DAMAGED: ${damage}`);
  if (links.length > 0) lines.push('', 'reads:', ...links.flatMap(linkLines));
  if (linkedFrom.length > 0) {
    lines.push('', 'is read by:');
    for (const { session, directory: from, as } of linkedFrom)
      lines.push(`  ${named(session, from)}`, `    as ${as}`);
  }
  if (links.length + linkedFrom.length === 0) lines.push('', 'no links to or from other stores');
  return `${lines.join('\n')}\n`;
}

/** `2026-01-31 12:00` */
function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

/** The lines of a link in a list: its name, where it leads, and whether that is still there. */
export function linkLines({ as, sessionId, directory, isGone }: ShownLink): readonly string[] {
  const lines = [`  ${as}: ${named(sessionId, directory)}`];
  if (isGone === true) lines.push('    DELETED: nothing of it can be read any more');
  return lines;
}

function named(sessionId: string, directory: string | undefined): string {
  return directory === undefined ? sessionId : shortPath(directory);
}

/** A session id stays one; all else is a directory. */
function meant(store: string): string {
  return isSessionId(store) ? store : projectOf({ directory: store });
}
