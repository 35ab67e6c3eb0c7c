import { Command } from 'commander';
import { momentGiven, momentText, withLocalTimes } from '../moments.ts';
import { countOf } from '../../base/numbers.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson } from '../screen.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from '../session-flags.ts';
import { shortPath } from '../start-text.ts';
import { nothingStored } from './nothing-stored.ts';

/** What the operation `restore-session` answers. */
interface Restored {
  readonly directory: string;
  readonly session: string;
  readonly entries: number;
  readonly chars: number;
  readonly earlier: string;
  readonly earlierEntries: number;
  readonly isBranch: boolean;
  readonly from: string;
  readonly at?: string;
  readonly timeMs?: number;
}

/**
 * `rlm-opencode sessions restore`: what a directory had at a moment, or another store of its line.
 */
export function restoreCommand(): Command {
  const command = new Command('restore')
    .description('give a directory what it had at a moment, or another store of its line')
    .argument(
      '<what>',
      'a snapshot, a session id or its name, an entry (e42), a time (2026-01-31, "2026-01-31 14:30") or how long ago (2h, 3d)',
    );
  return addSessionFlags(command).action(async (what: string, flags: SessionFlags) => {
    await withOperations(flags, async (call) => {
      const restored = (await withLocalTimes(call)('restore-session', {
        ...choiceOf(flags),
        what: momentGiven(what),
      })) as Restored | null;
      if (restored === null) nothingStored(flags);
      else if (flags.json === true) printJson(restored, 2);
      else print(restoreText(restored));
    });
  });
}

function restoreText(restored: Restored): string {
  const { session, earlier, isBranch, from, at, timeMs } = restored;
  const directory = shortPath(restored.directory);
  if (session === earlier)
    return `${directory} has ${session} already,\nand nothing has come since: it stays as it is.\n`;
  const texts = countOf(restored.entries, 'text');
  const moment = at === undefined || timeMs === undefined ? '' : momentText({ at, timeMs });
  const what = isBranch
    ? `${session}, a branch of ${from}\nas of ${moment}, with ${texts}.`
    : `${session}, with ${texts}.`;
  return `${directory} now has ${what}
Chats go on with it from their next turn on. Nothing was deleted: what it had,
${earlier} with ${countOf(restored.earlierEntries, 'text')}, stays. To go back:
  rlm-opencode sessions restore ${earlier}
`;
}
