import { Command } from 'commander';
import { localZone } from '../moments.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson } from '../screen.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from '../session-flags.ts';
import { dataDirOf } from '../data-dir-flag.ts';
import type { LineMember } from '../../operations/session-line.ts';
import { lineText } from './line-tree.ts';
import { nothingStored } from './nothing-stored.ts';
import { sizesOnDisk } from '../../store/disk/sizes-on-disk.ts';

interface LogFlags extends SessionFlags {
  readonly all?: boolean;
}

/** `rlm-opencode sessions log`: the stores that go on from each other, and their snapshots. */
export function logCommand(): Command {
  const command = new Command('log')
    .description("show a project's stores, branches and snapshots as a tree")
    .option('--all', 'every project');
  return addSessionFlags(command).action(async (flags: LogFlags) => {
    const sizes = await sizesOnDisk(await dataDirOf(flags));
    await withOperations(flags, async (call) => {
      const asked = { ...choiceOf(flags), ...(flags.all === true ? { all: true } : {}) };
      const found = (await call('session-lines', asked)) as LineMember[][] | null;
      if (found === null || found.length === 0) {
        nothingStored(flags);
        return;
      }
      const lines = found.map((line) =>
        line.map((one) => ({ ...one, diskBytes: sizes.get(one.id) ?? 0 })),
      );
      if (flags.json === true) printJson(lines, 2);
      else print(`${lines.map(lineText).join('\n')}\nTimes are local: ${localZone()}.\n`);
    });
  });
}
