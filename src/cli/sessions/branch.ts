import { Command } from 'commander';
import { momentGiven, momentHelp, momentText, withLocalTimes } from '../moments.ts';
import { countOf } from '../../base/numbers.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson } from '../screen.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from '../session-flags.ts';
import { nothingStored } from './nothing-stored.ts';

interface BranchFlags extends SessionFlags {
  readonly at?: string;
  readonly name?: string;
}

/** What the operation `branch-session` answers. */
interface Branched {
  readonly session: string;
  readonly name?: string;
  readonly from: string;
  readonly at: string;
  readonly timeMs: number;
  readonly entries: number;
  readonly chars: number;
}

/** `rlm-opencode sessions branch`: a store that goes on from a moment of another. */
export function branchCommand(): Command {
  const command = new Command('branch')
    .description('make a store that goes on from a moment of another, without copying it')
    .option('--at <moment>', `${momentHelp}; default: now`)
    .option('--name <name>', 'what it is called');
  return addSessionFlags(command).action(async (flags: BranchFlags) => {
    await withOperations(flags, async (call) => {
      const { at, name } = flags;
      const made = (await withLocalTimes(call)('branch-session', {
        ...choiceOf(flags),
        ...(at === undefined ? {} : { at: momentGiven(at) }),
        ...(name === undefined ? {} : { name }),
      })) as Branched | null;
      if (made === null) nothingStored(flags);
      else if (flags.json === true) printJson(made, 2);
      else print(branchText(made));
    });
  });
}

function branchText(made: Branched): string {
  const called = made.name === undefined ? '' : ` (${made.name})`;
  return `${made.session}${called} goes on from ${made.from}
as of ${momentText(made)}, with ${countOf(made.entries, 'text')}.
No directory has it yet. Give it to yours:
  rlm-opencode sessions restore ${made.name ?? made.session}
`;
}
