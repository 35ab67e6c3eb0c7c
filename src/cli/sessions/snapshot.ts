import { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { localTime, localZone } from '../moments.ts';
import { countOf } from '../../base/numbers.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson } from '../screen.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from '../session-flags.ts';
import { nothingStored } from './nothing-stored.ts';

/** What the operation `snapshot` answers. */
interface Taken {
  readonly session: string;
  readonly directory?: string;
  readonly snapshot: string;
  readonly timeMs: number;
  readonly entries: number;
  readonly chars: number;
}

/** `rlm-opencode sessions snapshot`: a name for what a store holds now. */
export function snapshotCommand(): Command {
  const command = new Command('snapshot')
    .description('give what a store holds now a name')
    .argument('[name]', 'letters, digits, dots, dashes (default: the time, at-2026-01-31-14h30)');
  return addSessionFlags(command).action(async (name: string | undefined, flags: SessionFlags) => {
    await withOperations(flags, async (call) => {
      const named = name === undefined ? { name: nameOfNow(), mayNumber: true } : { name };
      const taken = (await call('snapshot', { ...choiceOf(flags), ...named })) as Taken | null;
      if (taken === null) nothingStored(flags);
      else if (flags.json === true) printJson(taken, 2);
      else
        print(
          `Snapshot ${taken.snapshot} of ${taken.session}:\n${countOf(taken.entries, 'text')}, ${localTime(taken.timeMs)} (${localZone()}).\nBack to it: rlm-opencode sessions restore ${taken.snapshot}\n`,
        );
    });
  });
}

/** A time that nobody takes for one: names begin with a letter. */
function nameOfNow(): string {
  return `at-${localTime(systemClock.now()).replace(' ', '-').replace(':', 'h')}`;
}
